"""Kinds of resources as forms, and templates over them."""
