"""Request bodies about sessions, accounts and API keys."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from controllers.accounts.passwords import MAX_PASSWORD_CHARS
from serve_apps.web.bodies import Body
from serve_apps.web.permissions import Role

_MAX_SCOPE = 100
_PasswordText = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=MAX_PASSWORD_CHARS)
]
_NameText = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
Roles = Annotated[list[Role], Field(min_length=1, max_length=len(Role))]
Scope = Annotated[
    list[Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]],
    Field(min_length=1, max_length=_MAX_SCOPE),
]


class LoginBody(Body):
    """A name and a password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": "operator", "password": "..."}]}
    )

    username: _NameText
    password: _PasswordText


class PasswordBody(Body):
    """A name, the password that stands, and the one that is to replace it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"username": "anna", "password": "...", "new_password": "..."}]
        }
    )

    username: _NameText
    password: _PasswordText
    new_password: _PasswordText
    """At least 12 characters; a few words of your own are best."""


class RefreshBody(Body):
    """A refresh token, for a fresh access token and the next refresh token."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"refresh_token": "pgr_..."}]})

    refresh_token: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=4096)]


class AccountBody(Body):
    """A new account; its first password is made here and shown once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": "anna", "roles": ["operator"], "scope": None}]}
    )

    username: _NameText
    roles: Roles
    scope: Scope | None = None
    """Aggregates the account is confined to, with everything below them; absent: the whole park."""


class AccountChangeBody(Body):
    """What to change of an account; what is absent stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"roles": ["operator", "maintainer"]}, {"disabled": True}]}
    )

    roles: Roles | None = None
    scope: Scope | None = None
    """Given as null: the whole park."""
    disabled: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing_to_change", "give roles, scope or disabled")
        for name in ("roles", "disabled"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise PydanticCustomError("null", f"{name} cannot be null; leave it out")
        return self


class KeyBody(Body):
    """A new API key: no more than its owner may."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "scada bridge", "roles": ["operator"], "lifetime_days": 90}]
        }
    )

    name: Annotated[
        str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=64)
    ]
    roles: Roles
    scope: Scope | None = None
    """Aggregates the key is confined to; absent: whatever its owner reaches."""
    lifetime_days: Annotated[int, Field(strict=True, ge=1, le=400)] = 90
