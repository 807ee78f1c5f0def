"""Table-driven state machines: the whole behaviour is one dictionary; an unknown pair raises.

States and triggers are string enums, so a table reads aloud and stores as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from controllers.kernel.errors import InvalidTransitionError

StateT = TypeVar("StateT", bound=StrEnum)
TriggerT = TypeVar("TriggerT", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Machine(Generic[StateT, TriggerT]):
    """A named transition table."""

    name: str
    table: Mapping[tuple[StateT, TriggerT], StateT]

    def next(self, state: StateT, trigger: TriggerT) -> StateT:
        """Return the state after ``trigger``.

        Raises:
            InvalidTransitionError: the table has no row for the pair.
        """
        try:
            return self.table[state, trigger]
        except KeyError:
            raise InvalidTransitionError(self.name, state, trigger) from None

    def allows(self, state: StateT, trigger: TriggerT) -> bool:
        """Tell whether the table has a row for the pair."""
        return (state, trigger) in self.table

    def terminal(self) -> frozenset[StateT]:
        """Return the states that no trigger leaves."""
        sources = {state for state, _ in self.table}
        return frozenset(set(self.table.values()) - sources)
