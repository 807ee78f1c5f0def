"""Secrets that are handed out once: refresh tokens, API keys, one-time passwords.

They are long and random, so a fast hash recognises them and nobody can guess them from it.
"""

from __future__ import annotations

import hashlib
import secrets

KEY_MARK = "pgk_"
"""What every API key begins with, so that scanners for leaked secrets can find it."""
_REFRESH_MARK = "pgr_"
_N_BYTES = 32
_N_PASSWORD_BYTES = 15


def new_refresh_token() -> str:
    """Return a refresh token."""
    return _REFRESH_MARK + secrets.token_urlsafe(_N_BYTES)


def new_one_time_password() -> str:
    """Return a password for someone else, to be changed at its first use."""
    return secrets.token_urlsafe(_N_PASSWORD_BYTES)


def new_api_key(key_id: str) -> tuple[str, str]:
    """Return an API key and the secret part that is to be hashed."""
    secret = secrets.token_urlsafe(_N_BYTES)
    return f"{KEY_MARK}{key_id}_{secret}", secret


def split_api_key(api_key: str) -> tuple[str, str]:
    """Return id and secret part of what may be an API key."""
    key_id, _, secret = api_key.removeprefix(KEY_MARK).partition("_")
    return key_id, secret


def hash_secret(secret: str) -> str:
    """Return the hash to store, 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
