"""A circuit breaker as a value that is told the time: who keeps failing is left alone for a while.

Our own, because the libraries for it read the wall clock, which may step, take a cancelled caller
for a failure, and let everybody try at once when the rest is over.
"""

from __future__ import annotations

N_FAILURES = 3
REST_S = 1.0


class Breaker:
    """Opens after some failures in a row; then admits one trial per rest until one succeeds.

    Args:
        n_failures: in a row that open it.
        rest_s: how long nobody tries, then between two trials.
    """

    def __init__(self, *, n_failures: int = N_FAILURES, rest_s: float = REST_S) -> None:
        self._n_allowed = n_failures
        self._rest_s = rest_s
        self._n_failures = 0
        self._rests_until_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, trials apart."""
        return self._n_failures >= self._n_allowed

    def admits(self, now_s: float) -> bool:
        """Tell whether a call may be tried; one that is told so must report how it went.

        Args:
            now_s: of a clock that never steps.
        """
        if not self.is_open:
            return True
        if now_s < self._rests_until_s:
            return False
        self._rests_until_s = now_s + self._rest_s
        return True

    def rest_left_s(self, now_s: float) -> float:
        """Return how long an open one admits nobody; for who would rather wait than be refused."""
        return max(self._rests_until_s - now_s, 0.0) if self.is_open else 0.0

    def succeeded(self) -> None:
        """Close it."""
        self._n_failures = 0

    def failed(self, now_s: float) -> None:
        """Count a failure."""
        self._n_failures += 1
        self._rests_until_s = now_s + self._rest_s
