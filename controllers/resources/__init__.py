"""Twins: what each kind of resource is, can do now and could do later.

Pure physics and bookkeeping from telemetry to envelope; nothing here commands anything.
"""
