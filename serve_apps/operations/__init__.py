"""The operator's routes: the park, its dispatches, and taking things in hand."""
