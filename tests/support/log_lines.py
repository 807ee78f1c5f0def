"""What is logged, as the lines a process would write."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from actors.logs import dress


@contextmanager
def captured_lines(*, actor: str = "") -> Iterator[io.StringIO]:
    """Collect every line of every level, as JSON, until the end."""
    stream = io.StringIO()
    handler = dress(logging.StreamHandler(stream), form="json", actor=actor)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
