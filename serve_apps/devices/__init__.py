"""Devices over HTTP: registration, accounts, configuration, commands, maintenance, records."""
