"""The optimization engine: one problem statement, one result, two faces of one model.

``problem`` states what is to be planned, ``rules`` refuses what makes no sense, ``sparse`` is the
model as matrices straight into HiGHS, ``textbook`` the same model written to be read, ``solve``
the way to an answer by a deadline, ``result`` the answer.

Units are MW, MWh, hours and currency per MWh. Schedules count injection into the grid as positive;
bounds named ``max_charge_mw``, ``demand_mw`` or ``max_import_mw`` are magnitudes. Physics is hard.
Preferences may be missed at a price and are then reported by name.
"""
