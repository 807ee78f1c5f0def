"""What a client's call may raise; the problem document comes with it."""

from __future__ import annotations

from controllers.accounts.approvals import Approval
from controllers.kernel.errors import PermanentError, TemporaryError
from serve_apps.web.problems import ProblemDocument


class RefusedByServerError(PermanentError):
    """The server refused; repeating the same call cannot succeed."""

    def __init__(self, problem: ProblemDocument) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem


class AwaitsApprovalError(PermanentError):
    """Nothing was done yet: a second person must agree to ``approval`` first."""

    def __init__(self, approval: Approval) -> None:
        super().__init__(f"asked for; a second person must approve it ({approval.id})")
        self.approval = approval


class ServerUnavailableError(TemporaryError):
    """The server could not be reached, or not now; ``problem`` is None if it did not answer."""

    def __init__(
        self, message: str, problem: ProblemDocument | None = None, *, retry_after_s: float = 1.0
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.problem = problem
