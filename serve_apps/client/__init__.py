"""The typed client of the API: the same types as the server, one method per operation."""
