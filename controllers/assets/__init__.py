"""What the park's owners keep on record: resource templates, sites, and the state of each asset.

Pure values and rules. Nothing here opens a database, and nothing here is needed to control a plant.
"""
