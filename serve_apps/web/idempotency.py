"""One effect per idempotency key: the first answer stands, a lost one is found again.

The record and its audit entry are durable before the act. A repeat of a finished request gets the
stored answer; a repeat of one that was cut off drives the same subject id on, which the control
plane takes as the same instruction; the same key with another body is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request
from starlette.responses import Response

from controllers.kernel.errors import KeyReusedError, PermanentError
from controllers.kernel.wire import encode
from controllers.ports.operations import IdempotencyRecord
from serve_apps.web.acts import REPLAYED, fingerprint
from serve_apps.web.bodies import Body
from serve_apps.web.deps import ApiDeps
from serve_apps.web.guard import Principal
from serve_apps.web.permissions import Operation
from serve_apps.web.problems import MEDIA_TYPE, RefusedError, document, refusal_of


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request that must have one effect."""

    key: str
    operation: Operation
    path: str
    """Canonical path, the same under every version prefix."""
    location: str | None
    """Path under which subjects of this kind are found; None if nowhere."""
    subject_id: str
    """Id the effect will have if this is the first use of the key."""
    body: Body
    audit: Mapping[str, object]

    def fingerprint(self) -> str:
        """Return the hash that tells whether a repeat asks for the same."""
        return fingerprint(self.operation, self.path, self.body)


def required_key(key: str | None) -> str:
    """Return the key of a request that must not have its effect twice.

    Raises:
        RefusedError: none was sent (400).
    """
    if key is None:
        detail = "send a header Idempotency-Key, so that a repeat has no second effect"
        raise RefusedError(HTTPStatus.BAD_REQUEST, "idempotency-key-required", detail)
    return key


async def once(
    request: Request,
    deps: ApiDeps,
    caller: Principal,
    keyed: KeyedRequest,
    act: Callable[[str, bool], Awaitable[Response]],
) -> Response:
    """Return the answer of the first use of a key, acting only if there is none yet.

    Args:
        request: the HTTP request.
        deps: what the API is built from.
        caller: whose key it is.
        keyed: key, body and subject.
        act: does it; takes the subject id and whether an earlier attempt may have done it already.

    Raises:
        KeyReusedError: the key was used with another body.
        TemporaryError: nothing is known of the outcome; the same request may be repeated.
    """
    offered = IdempotencyRecord(
        key=keyed.key,
        principal=caller.username,
        fingerprint=keyed.fingerprint(),
        subject_id=keyed.subject_id,
    )
    record = await deps.store.begin(offered, keyed.operation.value, keyed.subject_id, keyed.audit)
    if record.fingerprint != offered.fingerprint:
        raise KeyReusedError(record.key, record.subject_id)
    repeated = record.subject_id != offered.subject_id
    if record.status is not None and record.response is not None:
        response = _stored(record.status, record.response)
    else:
        response = await _drive(
            request=request,
            deps=deps,
            record=offered,
            subject_id=record.subject_id,
            repeated=repeated,
            act=act,
        )
    if response.status_code < HTTPStatus.BAD_REQUEST and keyed.location is not None:
        response.headers["Location"] = f"{keyed.location}/{record.subject_id}"
    if repeated:
        response.headers[REPLAYED] = "true"
    return response


async def _drive(
    *,
    request: Request,
    deps: ApiDeps,
    record: IdempotencyRecord,
    subject_id: str,
    repeated: bool,
    act: Callable[[str, bool], Awaitable[Response]],
) -> Response:
    try:
        response = await act(subject_id, repeated)
    except PermanentError as error:
        response = _refused(request, error)
    # An error of ours is no answer to keep, nor one that is wanting in part: the same key must be
    # able to succeed later.
    final = response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    if final and response.status_code != HTTPStatus.MULTI_STATUS:
        body = bytes(response.body).decode()
        await deps.store.finish(record.principal, record.key, response.status_code, body)
    return response


def _stored(status: int, body: str) -> Response:
    media_type = "application/json" if status < HTTPStatus.BAD_REQUEST else MEDIA_TYPE
    return Response(body, status, media_type=media_type)


def _refused(request: Request, error: PermanentError) -> Response:
    refusal = refusal_of(error)
    body = document(refusal, instance=request.url.path, request_id=request.state.request_id)
    return Response(encode(body), refusal.status.value, refusal.headers, MEDIA_TYPE)
