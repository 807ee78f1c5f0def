"""Links to the outside of an actor's process, one module per protocol."""
