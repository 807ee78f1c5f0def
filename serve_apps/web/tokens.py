"""JWT access and refresh tokens, and the gate that admits a request by its route's operation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal, cast, get_origin

import jwt
from fastapi import Depends, HTTPException, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.responses import Response

from controllers.kernel.ids import IdSource
from controllers.kernel.timebase import Clock
from serve_apps.web.bodies import StrictRequest, is_text
from serve_apps.web.deps import ApiSettings
from serve_apps.web.permissions import Operation, permits
from serve_apps.web.problems import RefusedError, refuse_field

_ALGORITHM = "HS256"
_ISSUER = "parkgrid"
_MAX_TOKEN_CHARS = 4096
_CACHE_SIZE = 1024

TokenKind = Literal["access", "refresh"]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a request is from."""

    username: str
    roles: tuple[str, ...]
    expires_at: datetime
    """When the token that named them ends."""


class Tokens:
    """Issues and verifies tokens."""

    def __init__(self, settings: ApiSettings, clock: Clock, ids: IdSource) -> None:
        self._settings = settings
        self._clock = clock
        self._ids = ids
        # A verified signature stays verified; only the expiry is judged anew.
        self._verified: OrderedDict[tuple[TokenKind, str], Principal] = OrderedDict()

    def issue(self, kind: TokenKind, username: str, roles: list[str]) -> tuple[str, datetime]:
        """Return a signed token and the instant it ends."""
        settings = self._settings
        lifetime_s = settings.access_lifetime_s if kind == "access" else settings.refresh_lifetime_s
        now = self._clock.now()
        expires_at = now + timedelta(seconds=lifetime_s)
        claims = {
            "iss": _ISSUER,
            "aud": kind,
            "sub": username,
            "roles": roles,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
            "jti": self._ids.new("token"),
        }
        return jwt.encode(claims, settings.jwt_secret, _ALGORITHM), expires_at

    def verify(self, kind: TokenKind, token: str) -> Principal:
        """Return whom a token names.

        Raises:
            RefusedError: not a token of ours, not of this kind, or ended (401).
        """
        principal = self._verified.get((kind, token))
        if principal is None:
            principal = self._decode(kind, token)
            self._verified[kind, token] = principal
            if len(self._verified) > _CACHE_SIZE:
                self._verified.popitem(last=False)
        if principal.expires_at <= self._clock.now():
            raise unauthenticated("the token has ended; log in again or refresh it")
        return principal

    def _decode(self, kind: TokenKind, token: str) -> Principal:
        if len(token) > _MAX_TOKEN_CHARS:
            raise unauthenticated("the token is not valid")
        try:
            claims = jwt.decode(
                token,
                self._settings.jwt_secret,
                [_ALGORITHM],
                issuer=_ISSUER,
                audience=kind,
                # Expiry is judged by our own clock, in verify.
                options={
                    "require": ["exp", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            return Principal(
                username=str(claims["sub"]),
                roles=tuple(str(role) for role in claims.get("roles", [])),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            )
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as error:
            raise unauthenticated("the token is not valid") from error


def unauthenticated(detail: str) -> RefusedError:
    """Return the refusal of someone unknown (401)."""
    return RefusedError(
        HTTPStatus.UNAUTHORIZED,
        "unauthenticated",
        detail,
        headers={"WWW-Authenticate": "Bearer"},
    )


def admit(principal: Principal, operation: Operation) -> Principal:
    """Return the principal if they may do the operation.

    Raises:
        RefusedError: none of their roles permits it (403).
    """
    if not permits(principal.roles, operation):
        roles = ", ".join(principal.roles) or "none"
        detail = f"{operation.value} is not permitted to your roles ({roles})"
        raise RefusedError(HTTPStatus.FORBIDDEN, "forbidden", detail)
    return principal


class GuardedRoute(APIRoute):
    """A route that admits the caller before a byte of the body is read.

    Raises:
        KeyError: on construction, when the route does not declare its operation with ``answers``.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        # Generated clients name their methods by it; a path would make a long and shaky name.
        options["operation_id"] = options.get("operation_id") or endpoint.__name__
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Handler:
        """Return the handler behind its gate."""
        inner = self._strict(super().get_route_handler())
        name = (self.openapi_extra or {})["x-operation"]
        if name is None:
            return inner
        operation = Operation(name)

        async def guarded(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise unauthenticated("send the access token as authorization: Bearer ...")
            tokens = cast(Tokens, request.app.state.tokens)
            principal = tokens.verify("access", token.strip())
            request.state.principal = admit(principal, operation)
            return await inner(request)

        return guarded

    def _strict(self, inner: Handler) -> Handler:
        """Refuse what is ambiguous or no text: a misspelt filter must not show everything."""
        known = _query_parameters(self.dependant)

        async def strict(request: Request) -> Response:
            # Most requests have none; parsing nothing costs as much as a small read.
            if request.scope["query_string"]:
                _check_query(request.query_params, known)
            if "\x00" in request.scope["path"]:
                raise HTTPException(HTTPStatus.NOT_FOUND)
            return await inner(StrictRequest(request.scope, request.receive))

        return strict


def _check_query(given: QueryParams, known: Mapping[str, bool]) -> None:
    for name, value in given.multi_items():
        if name not in known:
            names = f"known are {', '.join(sorted(known))}" if known else "there are none"
            raise refuse_field(name, f"is not a known parameter; {names}", place="query")
        if not known[name] and len(given.getlist(name)) > 1:
            raise refuse_field(name, "must be given once", place="query")
        if not is_text(value):
            raise refuse_field(name, "must not hold NUL or half a character", place="query")


def _query_parameters(dependant: Dependant) -> dict[str, bool]:
    """Return by name whether a parameter may be given more than once."""
    found = {
        field.alias: get_origin(field.field_info.annotation) is list
        for field in dependant.query_params
    }
    for below in dependant.dependencies:
        found |= _query_parameters(below)
    return found


async def _principal_of(request: Request) -> Principal:
    return cast(Principal, request.state.principal)


Caller = Annotated[Principal, Depends(_principal_of)]
"""The admitted caller of a guarded route."""
