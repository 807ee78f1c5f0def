"""Request bodies of log-in."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, StringConstraints

from serve_apps.web.bodies import Body


class LoginBody(Body):
    """A name and a password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": "operator", "password": "..."}]}
    )

    username: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
    password: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]


class RefreshBody(Body):
    """A refresh token, for a fresh access token."""

    refresh_token: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=4096)]
