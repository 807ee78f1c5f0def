"""How the actors are, as metrics and probes want to know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Health = Mapping[str, int | float | str | bool]
"""Named figures of one actor; ``ready`` says whether it does its work."""


class ActorHealth(Protocol):
    """Asks the actors how they are; bounded in time, and not more often than every few seconds."""

    async def healths(self) -> Mapping[str, Health | None]:
        """Return by actor name what each said; None for one that did not answer in time.

        Raises:
            ActorUnavailableError: nobody can tell which actors there are.
        """
        ...
