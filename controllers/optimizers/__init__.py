"""Optimizers that people deploy: their lifecycle, what they answer, and how that is judged."""
