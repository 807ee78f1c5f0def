"""Alarms: what stands, what stood, and by which rules and channels."""
