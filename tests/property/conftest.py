"""Examples may take as long as a busy machine needs; the suite's own time limit stands."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("parkgrid", deadline=None)
settings.load_profile("parkgrid")
