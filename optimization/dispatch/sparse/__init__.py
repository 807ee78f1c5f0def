"""The fast face: blocks of columns and rows by array operations, straight into HiGHS."""
