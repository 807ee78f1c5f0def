"""Deployed optimizers as the API and the actors that run them need them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from controllers.kernel.wire import Wire
from controllers.optimizers.deployment import Optimizer, OptimizerCode, OptimizerState
from controllers.optimizers.scores import Score, ScoreSummary
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest


class OptimizerFilter(Wire):
    """Which optimizers of a list are wanted; None takes all but the removed."""

    state: OptimizerState | None = None


class OptimizerStore(Protocol):
    """Deployed optimizers; every act is durable on return.

    Every method raises StorageUnavailableError when the database does not answer, and NotFoundError
    for an optimizer that does not exist.
    """

    async def deploy(self, act: Act, name: str, code: OptimizerCode, note: str) -> Done[Optimizer]:
        """Store an optimizer; a removed one with the same content comes back.

        Raises:
            ConflictError: it is deployed already, or too many are.
        """
        ...

    async def shadow(self, act: Act, seen_version: int | None, reason: str) -> Done[Optimizer]:
        """Let it solve every live problem, to be judged.

        Raises:
            StaleVersionError: ``seen_version`` is given and not the newest.
            InvalidTransitionError: it is in no state for that.
        """
        ...

    async def check_promotable(
        self, optimizer_id: str, seen_version: int, least_plans: int
    ) -> None:
        """Check what ``promote`` will, before a second person is asked.

        Raises:
            StaleVersionError, InvalidTransitionError, ConflictError: as ``promote``.
        """
        ...

    async def promote(
        self, act: Act, seen_version: int, reason: str, least_plans: int
    ) -> Done[Optimizer]:
        """Let its plans be dispatched; who was promoted before goes back into shadow.

        Raises:
            StaleVersionError: ``seen_version`` is not the newest.
            InvalidTransitionError: it is not in shadow.
            ConflictError: not so many of its newest plans in a row hold.
        """
        ...

    async def roll_back(self, act: Act, seen_version: int | None, reason: str) -> Done[Optimizer]:
        """Take it out of force, into shadow; who was promoted before comes back, if it can.

        Raises:
            StaleVersionError: ``seen_version`` is given and not the newest.
            InvalidTransitionError: it is not promoted.
        """
        ...

    async def remove(self, act: Act, seen_version: int) -> Done[Optimizer]:
        """End it for good; its scores stay for as long as scores are kept.

        Raises:
            StaleVersionError: ``seen_version`` is not the newest.
            InvalidTransitionError: it is promoted, or removed already.
        """
        ...

    async def get(self, optimizer_id: str) -> Optimizer:
        """Return an optimizer."""
        ...

    async def list(self, wanted: OptimizerFilter, request: PageRequest) -> Page[Optimizer]:
        """Return optimizers; sortable by ``deployed_at``, ``changed_at`` and ``id``.

        Raises:
            DomainError: unknown order or foreign cursor.
        """
        ...

    async def scores(self, optimizer_id: str, request: PageRequest) -> Page[Score]:
        """Return its scores, newest first."""
        ...

    async def summary(self, optimizer_id: str) -> ScoreSummary:
        """Return what its newest scores say together."""
        ...


class OptimizerLedger(Protocol):
    """Deployed optimizers for the actors; synchronous, called in threads.

    Every method raises StorageUnavailableError when the database does not answer.
    """

    def revision(self) -> int:
        """Return a number that rises with every change of who runs."""
        ...

    def running(self) -> list[Optimizer]:
        """Return who is in shadow or promoted."""
        ...

    def code(self, optimizer_id: str) -> OptimizerCode:
        """Return what was deployed.

        Raises:
            NotFoundError: there is none of that id.
        """
        ...

    def record(self, scores: Sequence[Score]) -> None:
        """Store scores, once each, and forget some that are too old."""
        ...

    def demote(self, optimizer_id: str, reason: str) -> None:
        """Take a promoted optimizer out of force; nothing happens if it is promoted no more."""
        ...


OptimizerLedgerFactory = Callable[[], OptimizerLedger]
