"""Alarms: rules over live signals, a life-cycle in the sense of ISA-18.2, and who is told when.

Everything here is a value or a pure function of values and ``now``.
"""
