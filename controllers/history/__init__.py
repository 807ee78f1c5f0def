"""History as numbers: samples, exact resampling, energy monitoring; pure and without files.

Nothing here reads a clock or a disk. Power in kW, injection into the grid positive; instants are
whole microseconds since 1970 (UTC) wherever they are numbers.
"""
