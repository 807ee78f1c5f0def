"""From park, forecast and prices to a day plan, and from the plan to set-points.

Translates twins' states into the arrays of ``optimization`` and its schedules back into proposals.
"""
