"""The shared ground floor: units, money, time, ids, errors and state-machine tables.

Standard library and msgspec only; no other part of Parkgrid may be imported here.
"""
