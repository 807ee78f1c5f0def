"""How an attempt to deliver can fail."""

from __future__ import annotations

from controllers.kernel.errors import PermanentError, TemporaryError


class TryAgainError(TemporaryError):
    """The other side did not answer, or asked for patience."""


class RefusedForGoodError(PermanentError):
    """The other side will not take it."""
