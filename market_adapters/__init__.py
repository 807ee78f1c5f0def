"""Edges towards exchanges, programmes, price feeds and certificate chains.

Adapters translate between a venue's vocabulary and ours and refuse what the venue lacks; they take
no decision and do not know each other.
"""
