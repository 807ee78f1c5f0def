"""From park, forecasts and prices to the plan of the next day.

``pose`` states the problem, ``engine`` or anybody else answers it, ``read`` turns the answer into
set-points.
"""
