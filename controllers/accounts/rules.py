"""Rules about accounts: how they may be called, and that somebody always holds the keys."""

from __future__ import annotations

import re

from controllers.kernel.errors import ConflictError, DomainError
from controllers.ports.accounts import Account

USERNAME_PATTERN = r"^[a-z0-9][a-z0-9._@-]{0,63}(?!\n)$"
ADMIN = "admin"
_RESERVED = frozenset({"anonymous", "cli", "system"})
"""Names that stand in the audit log for nobody's account."""


def check_username(username: str) -> None:
    """Check the name of a new account.

    Raises:
        DomainError: of another form, or reserved.
    """
    if re.match(USERNAME_PATTERN, username) is None:
        rule = "must be 1 to 64 of a-z, 0-9, dot, underscore, @ and hyphen, first a letter or digit"
        raise DomainError("username", username, rule)
    if username in _RESERVED:
        raise DomainError("username", username, "is reserved; choose another")


def holds_the_keys(account: Account) -> bool:
    """Tell whether an account can administer all others."""
    return ADMIN in account.roles and account.scope is None and not account.disabled


def check_change(before: Account, after: Account, by: str, n_other_admins: int) -> None:
    """Check a change of an account's roles, scope or state.

    Args:
        before: as it stands.
        after: as it would be.
        by: account that changes it.
        n_other_admins: accounts besides this one that can administer all others.

    Raises:
        ConflictError: it is one's own, or nobody could administer the accounts any more.
    """
    if by == before.username:
        message = "nobody changes their own roles, scope or state; ask another administrator"
        raise ConflictError(message, current=before.username)
    if holds_the_keys(before) and not holds_the_keys(after) and n_other_admins == 0:
        message = "this is the last administrator; make another one first"
        raise ConflictError(message, current=before.username)
