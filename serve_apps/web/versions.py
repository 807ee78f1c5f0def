"""Versions of what can be changed: told as ETag, demanded back as If-Match."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import Header

from serve_apps.web.problems import RefusedError, refuse_field

_VERSION = re.compile(r'"?(\d{1,9})"?')

IfMatch = Annotated[
    str | None, Header(description='Version the caller saw, e.g. `"3"`, as its ETag told.')
]


def etag(version: int) -> dict[str, str]:
    """Return the header that tells a version."""
    return {"ETag": f'"{version}"'}


def seen_version(if_match: str | None) -> int | None:
    """Return the version a caller saw; None if none was sent.

    Raises:
        RefusedError: not a version (422).
    """
    if if_match is None:
        return None
    match = _VERSION.fullmatch(if_match.strip())
    if match is None:
        rule = 'must be the version as a number, e.g. "3"'
        raise refuse_field("If-Match", rule, value=if_match, place="header")
    return int(match[1])


def required_version(if_match: str | None) -> int:
    """Return the version a caller saw.

    Raises:
        RefusedError: none was sent (428), or not a version (422).
    """
    version = seen_version(if_match)
    if version is None:
        detail = "send the version you saw as If-Match; its ETag tells it"
        raise RefusedError(HTTPStatus.PRECONDITION_REQUIRED, "version-required", detail)
    return version
