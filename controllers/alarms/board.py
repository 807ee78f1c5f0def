"""The latest value of every watched signal of every subject, as columns that rules read at once.

Only signals that some rule watches are kept. Rows are the subjects of the park, fixed for the life
of a board; a state of somebody else, or older than the one held, is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from controllers.alarms.signals import AGE, COMMAND_WAIT
from controllers.kernel.states import AggregateState, ResourceState

FloatArray = NDArray[np.float64]
StateT = TypeVar("StateT", ResourceState, AggregateState)

_SINCE = (AGE, COMMAND_WAIT)
"""Kept as instants, told as seconds since."""


class Board(Generic[StateT]):
    """The signals of all subjects of one kind.

    Args:
        ids: of the subjects.
        kinds: kind of plant of each; empty texts where that means nothing.
        began_s: when listening began, in seconds since 1970; a silent subject ages from here.
    """

    def __init__(self, ids: Sequence[str], kinds: Sequence[str], began_s: float) -> None:
        self.ids = list(ids)
        self.kinds = list(kinds)
        self._row = {id_: row for row, id_ in enumerate(self.ids)}
        self._newest = [(-1, -1)] * len(self.ids)
        self._states: list[StateT | None] = [None] * len(self.ids)
        self._readers: list[tuple[FloatArray, Callable[[StateT], float]]] = []
        self._columns: dict[str, FloatArray] = {}
        self._began_s = began_s

    def watch(self, readers: dict[str, Callable[[StateT], float]]) -> None:
        """Keep these signals from now on, filled from the states already known."""
        for name, reader in readers.items():
            if name not in self._columns:
                column = np.full(len(self.ids), np.nan)  # [subjects]
                for row, state in enumerate(self._states):
                    if state is not None:
                        column[row] = reader(state)
                self._columns[name] = column
        for name in set(self._columns) - set(readers):
            del self._columns[name]
        self._readers = [(self._columns[name], reader) for name, reader in readers.items()]

    def take(self, states: Iterable[StateT]) -> None:
        """Take in states, the newest of each subject."""
        for state in states:
            row = self._row.get(state.id)
            if row is None or (state.epoch, state.seq) <= self._newest[row]:
                continue
            self._newest[row] = (state.epoch, state.seq)
            self._states[row] = state
            for column, reader in self._readers:
                column[row] = reader(state)

    def values(self, signal: str, now_s: float) -> FloatArray:
        """Return a watched signal as of now, one value per subject; NaN where unknown.

        Args:
            signal: its name.
            now_s: the present instant, in seconds since 1970.
        """
        column = self._columns[signal]
        if signal not in _SINCE:
            return column
        since_s = np.where(np.isnan(column), self._began_s, column) if signal == AGE else column
        # A device whose clock is ahead is not from the future, it is fresh.
        return np.maximum(now_s - since_s, 0.0)

    def measured_at_s(self) -> FloatArray:
        """Return when each subject was measured, in seconds since 1970; NaN for never."""
        return self._columns[AGE]
