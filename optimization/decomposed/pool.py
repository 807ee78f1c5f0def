"""Where the answers of many stores are computed: here, or by workers elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Pool(Protocol):
    """Runs functions of modules on values that it was given once."""

    def share(self, value: object) -> Any:
        """Hand a value to whoever will need it; return what stands for it in calls."""

    def run(self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]]) -> list[T]:
        """Return what a function answers to each call, in their order.

        Args:
            function: of a module, so that workers can import it.
            calls: positional arguments, of which the first is shared.
        """


class Here:
    """Computes in this process."""

    def share(self, value: object) -> Any:
        """Return the value itself."""
        return value

    def run(self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]]) -> list[T]:
        """Compute one after the other."""
        return [function(*call) for call in calls]
