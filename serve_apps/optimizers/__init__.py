"""Optimizers that people deploy."""
