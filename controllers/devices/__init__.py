"""What stands behind a resource: the device, its accounts, configuration, commands and upkeep.

Values and rules only. Set-points never come this way; ``controllers.control`` gives those.
"""
