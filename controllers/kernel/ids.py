"""Sources of identifiers; the only place that draws random ids.

Ids are lower-case, sortable by creation time (48-bit milliseconds, then 80 random bits, base 32 as
in ULID), so that lists keyed by id come out in order and nothing about the park can be guessed.
"""

from __future__ import annotations

import itertools
import secrets
from typing import Protocol

from controllers.kernel.timebase import Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 26
_RANDOM_BITS = 80


class IdSource(Protocol):
    """Hands out identifiers that never repeat."""

    def new(self, prefix: str) -> str:
        """Return ``prefix-…``, unique."""
        ...


class RandomIds:
    """Time-sortable random ids."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def new(self, prefix: str) -> str:
        """Return ``prefix-`` and 26 characters."""
        milliseconds = int(self._clock.now().timestamp() * 1000)
        number = (milliseconds << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        digits = [_ALPHABET[(number >> (5 * i)) & 31] for i in reversed(range(_ID_LENGTH))]
        return f"{prefix}-{''.join(digits)}"


class SequentialIds:
    """Counted ids, for tests and for simulated time."""

    def __init__(self) -> None:
        self._counter = itertools.count(1)

    def new(self, prefix: str) -> str:
        """Return ``prefix-1``, ``prefix-2`` and so on."""
        return f"{prefix}-{next(self._counter)}"
