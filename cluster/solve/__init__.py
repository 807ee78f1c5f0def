"""Solves problems from files: ``parkgrid solve``."""
