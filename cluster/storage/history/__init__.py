"""History in files: write-ahead streams, Parquet parts by day, one-minute roll-ups by month."""
