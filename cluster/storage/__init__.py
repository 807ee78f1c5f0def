"""Durable state: the implementations of the stores that the ports describe."""
