"""JWT access tokens: short-lived, they name an account and a session and nothing else.

Roles and scope are looked up anew at every use, so that a change holds at once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from controllers.kernel.ids import IdSource
from controllers.kernel.timebase import Clock
from serve_apps.web.deps import ApiSettings
from serve_apps.web.principals import unauthenticated

_ALGORITHM = "HS256"
_ISSUER = "parkgrid"
_AUDIENCE = "access"
_MAX_TOKEN_CHARS = 4096
_CACHE_SIZE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified token says."""

    username: str
    session_id: str | None
    """None for a token that was made beside the API, by whoever holds the data directory."""
    expires_at: datetime


class Tokens:
    """Issues and verifies access tokens."""

    def __init__(self, settings: ApiSettings, clock: Clock, ids: IdSource) -> None:
        self._settings = settings
        self._clock = clock
        self._ids = ids
        # A verified signature stays verified; only the expiry is judged anew.
        self._verified: OrderedDict[str, Claims] = OrderedDict()

    def issue(
        self, username: str, session_id: str | None = None, *, not_after: datetime | None = None
    ) -> tuple[str, datetime]:
        """Return a signed token and the instant it ends.

        Args:
            username: whom it names.
            session_id: the session it belongs to; None for one made beside the API.
            not_after: the end of the session.
        """
        now = self._clock.now()
        expires_at = now + timedelta(seconds=self._settings.access_lifetime_s)
        if not_after is not None:
            expires_at = min(expires_at, not_after)
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": username,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
            "jti": self._ids.new("token"),
        }
        if session_id is not None:
            claims["sid"] = session_id
        return jwt.encode(claims, self._settings.jwt_secret, _ALGORITHM), expires_at

    def verify(self, token: str) -> Claims:
        """Return what a token says.

        Raises:
            RefusedError: not a token of ours, or ended (401).
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = self._decode(token)
            self._verified[token] = claims
            if len(self._verified) > _CACHE_SIZE:
                self._verified.popitem(last=False)
        if claims.expires_at <= self._clock.now():
            raise unauthenticated("the token has ended; log in again or refresh it")
        return claims

    def _decode(self, token: str) -> Claims:
        if len(token) > _MAX_TOKEN_CHARS:
            raise unauthenticated("the token is not valid")
        try:
            claims = jwt.decode(
                token,
                self._settings.jwt_secret,
                [_ALGORITHM],
                issuer=_ISSUER,
                audience=_AUDIENCE,
                # Expiry is judged by our own clock, in verify.
                options={
                    "require": ["exp", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            session_id = claims.get("sid")
            return Claims(
                username=str(claims["sub"]),
                session_id=None if session_id is None else str(session_id),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            )
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as error:
            raise unauthenticated("the token is not valid") from error
