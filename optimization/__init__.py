"""Mathematics: arrays in, arrays out.

Nothing in this package imports the rest of Parkgrid, reads a clock, a file or a socket, or knows
what a device is. Arrays carry their unit in their name (MW, MWh, currency per MWh) and injection
into the grid is positive.
"""
