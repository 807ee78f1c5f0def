"""Virtual power plants: live sums, instructions, the dispatch loop and the delivery report.

Pure decisions over member states; set-points leave here as proposals, never as device commands.
"""
