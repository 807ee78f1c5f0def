"""One whole day in simulated time, through the controllers of the live park.

Inputs become series by instant, the park's devices run on them, a small exchange in memory stands
in for the broker, and meters count both this park and the same one without control.
"""
