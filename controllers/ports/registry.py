"""The wanted park, from SQL."""

from __future__ import annotations

from typing import Protocol

from controllers.park import ParkDefinition


class ParkRegistry(Protocol):
    """The wanted park, from SQL."""

    def load(self) -> ParkDefinition:
        """Return the park as currently defined."""
        ...

    def version(self) -> int:
        """Return a number that rises with every change."""
        ...

    def killed(self) -> frozenset[str]:
        """Return the resources whose kill switch is wanted on."""
        ...
