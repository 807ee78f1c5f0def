"""The composition root: settings, storage, deployment and the command line.

The only package that picks implementations; nothing imports it.
"""
