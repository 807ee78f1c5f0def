"""One call of the client: token, key, retries where they are harmless, errors as exceptions.

Repeated are only calls that cannot have a second effect: GET, PUT and DELETE, and POST with an
idempotency key, which is drawn here once per call if the caller gives none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from controllers.accounts.approvals import Approval
from controllers.kernel.errors import DomainError
from controllers.kernel.ids import IdSource, RandomIds
from controllers.kernel.timebase import SystemClock
from controllers.kernel.wire import Wire, decode
from serve_apps.accounts.views import SessionView
from serve_apps.client.errors import (
    AwaitsApprovalError,
    RefusedByServerError,
    ServerUnavailableError,
)
from serve_apps.web.problems import ProblemDocument

T = TypeVar("T", bound=Wire)
BodyLike = BaseModel | Mapping[str, object]
Scalar = str | int | float | bool | datetime | None

_N_ATTEMPTS = 4
_LONGEST_PAUSE_S = 10.0
_APPROVALS = "/approvals/"
_MAX_ANSWER_BYTES = 256 * 1024 * 1024
_LATER = frozenset({429, 502, 503, 504})
_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})


class Transport:
    """Carries calls to one server; a context manager.

    Args:
        url: of the server, without a path.
        access_token: an access token or an API key.
        refresh_token: renews the access token when it has ended; each works once.
        on_session: is told each new pair of tokens, e.g. to keep them.
        timeout_s: of one attempt.
        http: carries the requests; another one only in tests.
        ids: draws idempotency keys.
    """

    def __init__(
        self,
        url: str,
        *,
        access_token: str | None = None,
        refresh_token: str | None = None,
        on_session: Callable[[SessionView], None] | None = None,
        timeout_s: float = 15.0,
        http: httpx.Client | None = None,
        ids: IdSource | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._http = http or httpx.Client(base_url=self.url, timeout=timeout_s)
        self._access_token = access_token
        self._refresh_token = refresh_token
        self._on_session = on_session
        self._ids = ids or RandomIds(SystemClock())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        self._http.close()

    @property
    def access_token(self) -> str | None:
        """The token that calls carry now."""
        return self._access_token

    def authenticate(self, username: str, password: str) -> SessionView:
        """Log in; later calls carry the session's tokens.

        Raises:
            RefusedByServerError: wrong name or password, or too many failures.
        """
        body = {"username": username, "password": password}
        session = self.call(SessionView, "POST", "/api/vpp/auth/login", body=body)
        self._adopt(session)
        return session

    def call(self, type_: type[T], method: str, path: str, **rest: Any) -> T:
        """Return the answer of an operation; for ``rest`` see ``send``.

        Raises:
            RefusedByServerError: the server refused.
            AwaitsApprovalError: a second person must agree first.
            ServerUnavailableError: it was not reached or could not answer, also when asked again.
        """
        answer = self.send(method, path, **rest)
        try:
            place = answer.headers.get("location", "")
            if answer.status_code == HTTPStatus.ACCEPTED and _APPROVALS in place:
                approval = decode(answer.content, Approval, max_bytes=_MAX_ANSWER_BYTES)
                raise AwaitsApprovalError(approval)
            return decode(answer.content, type_, max_bytes=_MAX_ANSWER_BYTES)
        except DomainError as error:
            raise ServerUnavailableError(f"{method} {path}: not an answer of this API") from error

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Scalar] | None = None,
        body: BodyLike | None = None,
        key: str | None = None,
        keyed: bool = False,
        version: int | None = None,
    ) -> httpx.Response:
        """Return a successful answer as it came.

        Args:
            method: of HTTP.
            path: with its parameters filled in.
            query: parameters; those that are None are left out.
            body: is sent as JSON.
            key: idempotency key; drawn if the operation takes one and none is given.
            keyed: whether the operation takes one.
            version: that the caller saw, as ``If-Match``.
        """
        headers = {}
        if keyed:
            headers["Idempotency-Key"] = key or self._ids.new("key")
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        request = {
            "params": {
                name: _text(value) for name, value in (query or {}).items() if value is not None
            },
            "headers": headers,
            "json": _plain(body),
        }
        if not keyed and method not in _REPEATABLE:
            return self._attempt(method, path, request)
        again = Retrying(
            stop=stop_after_attempt(_N_ATTEMPTS),
            retry=retry_if_exception_type(ServerUnavailableError),
            wait=_pause_s,
            reraise=True,
        )
        return again(self._attempt, method, path, request)

    def _attempt(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        response = self._exchange(method, path, request)
        if response.status_code == httpx.codes.UNAUTHORIZED and self._renew():
            response = self._exchange(method, path, request)
        if response.is_success:
            return response
        raise _error_of(response)

    def _exchange(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        headers = dict(request["headers"])
        if self._access_token is not None:
            headers["Authorization"] = f"Bearer {self._access_token}"
        try:
            return self._http.request(method, path, **{**request, "headers": headers})
        except httpx.TransportError as error:
            raise ServerUnavailableError(f"{self.url}: {type(error).__name__}") from error

    def _renew(self) -> bool:
        refresh_token, self._refresh_token = self._refresh_token, None
        if refresh_token is None:
            return False
        # Without the access token, which has ended.
        body = {"headers": {}, "json": {"refresh_token": refresh_token}}
        response = self._exchange("POST", "/api/vpp/auth/refresh", body)
        if not response.is_success:
            return False
        self._adopt(decode(response.content, SessionView))
        return True

    def _adopt(self, session: SessionView) -> None:
        self._access_token, self._refresh_token = session.access_token, session.refresh_token
        if self._on_session is not None:
            self._on_session(session)


def part(value: Scalar) -> str:
    """Return a value as one part of a path, whatever it contains."""
    return quote(_text(value), safe="")


def _text(value: Scalar) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(body: BodyLike | None) -> object:
    if isinstance(body, BaseModel):
        return body.model_dump(mode="json", exclude_unset=True)
    return body


def _error_of(response: httpx.Response) -> RefusedByServerError | ServerUnavailableError:
    try:
        problem = decode(response.content, ProblemDocument, max_bytes=_MAX_ANSWER_BYTES)
    except DomainError:
        return ServerUnavailableError(f"{response.status_code}: not an answer of this API")
    if response.status_code not in _LATER:
        return RefusedByServerError(problem)
    retry_after = response.headers.get("retry-after", "1")
    pause_s = float(retry_after) if retry_after.isdecimal() else 1.0
    message = f"{problem.status} {problem.title}: {problem.detail}"
    return ServerUnavailableError(message, problem, retry_after_s=pause_s)


def _pause_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked_s = error.retry_after_s if isinstance(error, ServerUnavailableError) else 1.0
    return min(asked_s, _LONGEST_PAUSE_S)
