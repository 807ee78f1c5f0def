"""Secrets that must be told again later, such as a password for another system, sealed at rest."""

from __future__ import annotations

from typing import Protocol


class SecretBox(Protocol):
    """Seals secrets for storage and opens them again.

    What only has to be recognised (our own passwords, tokens, API keys) is hashed instead.
    """

    def seal(self, secret: str) -> str:
        """Return the secret in a form that tells nothing without the key."""
        ...

    def open(self, sealed: str) -> str:
        """Return the secret.

        Raises:
            SealBrokenError: changed since it was sealed, or no key is left that fits.
        """
        ...
