"""From a request to the act that a store performs: who, what, and the key that makes it one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import Header
from starlette.responses import Response

from controllers.kernel.wire import Wire
from controllers.ports.acts import Act, Done
from serve_apps.web.answers import respond
from serve_apps.web.bodies import Body
from serve_apps.web.guard import Principal
from serve_apps.web.permissions import Operation

AnswerT = TypeVar("AnswerT", bound=Wire)

REPLAYED = "Idempotency-Replayed"

WireT = TypeVar("WireT", bound=Wire)

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Chosen by the caller, 1 to 128 visible characters; one effect per key.",
        max_length=128,
        pattern=r"^[\x21-\x7e]{1,128}$",
    ),
]


def fingerprint(operation: Operation, subject: str, body: Body | None) -> str:
    """Return the hash that tells whether a repeat of a key asks for the same."""
    text = "" if body is None else body.model_dump_json()
    return hashlib.sha256(f"{operation.value} {subject} {text}".encode()).hexdigest()


def act_of(
    caller: Principal,
    operation: Operation,
    subject: str,
    body: Body | None = None,
    *,
    key: str | None = None,
    path: str = "",
    data: Mapping[str, object] | None = None,
) -> Act:
    """Return a caller's act.

    Args:
        caller: who is asking.
        operation: what for.
        subject: id of what is changed or created.
        body: the request's body.
        key: the idempotency key.
        path: what the request was sent to, where the subject's id is made here.
        data: what the audit entry tells; the body, if None.
    """
    told = data if data is not None else {} if body is None else body.model_dump(mode="json")
    return Act(
        principal=caller.username,
        action=operation.value,
        subject=subject,
        data=dict(told),
        key=key,
        fingerprint=fingerprint(operation, path or subject, body),
    )


def answer(
    done: Done[AnswerT], status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Return what an act did, marked when an earlier use of its key had done it."""
    marked = dict(headers or {})
    if done.replayed:
        marked[REPLAYED] = "true"
    return respond(done.value, status, marked)
