"""Routes to the past: what resources and aggregations did, and what energy went where."""
