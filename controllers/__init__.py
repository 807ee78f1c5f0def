"""Every decision the plant takes, as plain values and pure functions.

Nothing in this package does I/O: no Ray, asyncio, socket, clock or database. ``now`` is passed in
and an effect is a value before it is an act. Injection into the grid is positive everywhere.
"""
