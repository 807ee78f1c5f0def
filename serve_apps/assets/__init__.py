"""Resources and aggregations as their owners build, change and retire them."""
