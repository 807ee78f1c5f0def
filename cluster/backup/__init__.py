"""Backup of an installation into one file, and back, from any kind of database to any other."""
