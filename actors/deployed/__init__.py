"""Runs optimizers that people deployed, each in a process that may be killed at any moment."""
