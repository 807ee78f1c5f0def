"""The live picture of a replica, and its stream to clients."""
