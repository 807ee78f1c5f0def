"""Acts that wait for a second person, as the API needs them."""

from __future__ import annotations

from typing import Protocol

from controllers.accounts.approvals import Approval, ApprovalState, ApprovalStep
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest


class ApprovalStore(Protocol):
    """Approvals; every change durable on return, with its audit entry."""

    async def request(self, act: Act, approval: Approval) -> Done[Approval]:
        """Store a request, or return the pending one for exactly the same.

        Raises:
            ConflictError: too many are pending.
        """
        ...

    async def approval(self, approval_id: str) -> Approval:
        """Return an approval.

        Raises:
            NotFoundError: there is none of that id.
        """
        ...

    async def approvals(self, request: PageRequest, state: ApprovalState | None) -> Page[Approval]:
        """Return a page of approvals, newest first."""
        ...

    async def decide(
        self, act: Act, approval_id: str, step: ApprovalStep, by: str, reason: str | None
    ) -> Done[Approval]:
        """Approve or reject, once.

        Raises:
            NotFoundError: there is none of that id.
            ConflictError: as ``controllers.accounts.approvals.decided``.
            InvalidTransitionError: it was decided before.
        """
        ...

    async def finish(
        self, act: Act, approval_id: str, step: ApprovalStep, outcome: str
    ) -> Done[Approval]:
        """Note what came of an approved act."""
        ...
