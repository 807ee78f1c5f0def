"""The gate: from an Authorization header to a principal, and whether they may do an operation.

It waits for nothing: the accounts are in memory, and so is what a token was last found to mean.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from controllers.accounts.reach import Reach, both, reach_below
from controllers.kernel.timebase import Clock
from controllers.park import ParkDefinition
from controllers.ports.accounts import Account, AccountsPicture
from serve_apps.accounts.current import CurrentAccounts
from serve_apps.accounts.secrets import KEY_MARK, hash_secret, split_api_key
from serve_apps.web.access_tokens import Tokens
from serve_apps.web.permissions import PERSONAL, Operation, permits
from serve_apps.web.principals import Principal, forbidden, unauthenticated

_CACHE_SIZE = 2048


@dataclass(slots=True)
class _Known:
    principal: Principal
    picture: AccountsPicture
    park: ParkDefinition


class Gate:
    """Admits callers.

    Args:
        tokens: verifies access tokens.
        accounts: all accounts and keys.
        park: returns the park as currently defined.
        clock: judges the end of API keys.
    """

    def __init__(
        self,
        tokens: Tokens,
        accounts: CurrentAccounts,
        park: Callable[[], ParkDefinition],
        clock: Clock,
    ) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._park = park
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def of_header(self, header: str) -> Principal:
        """Return whom an Authorization header names.

        Raises:
            RefusedError: nobody who may come in (401).
        """
        scheme, _, credential = header.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise unauthenticated("send the access token as authorization: Bearer ...")
        return self.identify(credential)

    def identify(self, credential: str) -> Principal:
        """Return whom an access token or API key names, as of now.

        Raises:
            RefusedError: unknown, ended, revoked, or of a closed account (401).
        """
        picture, park = self._accounts.picture, self._park()
        known = self._known.get(credential)
        if (
            known is None
            or known.picture is not picture
            or known.park is not park
            or known.principal.expires_at <= self._clock.now()
        ):
            is_key = credential.startswith(KEY_MARK)
            find = self._of_key if is_key else self._of_token
            known = _Known(find(credential, picture, park), picture, park)
            self._known[credential] = known
            self._known.move_to_end(credential)
            if len(self._known) > _CACHE_SIZE:
                self._known.popitem(last=False)
        if known.principal.key_id is not None:
            self._accounts.used(known.principal.key_id)
        return known.principal

    def _of_token(self, token: str, picture: AccountsPicture, park: ParkDefinition) -> Principal:
        claims = self._tokens.verify(token)
        account = _usable(picture.accounts.get(claims.username))
        if claims.session_id in picture.ended_sessions:
            raise unauthenticated("the session has ended; log in again")
        return Principal(
            username=account.username,
            person=account.username,
            roles=tuple(account.roles),
            reach=_reach(park, account.scope),
            expires_at=claims.expires_at,
            session_id=claims.session_id,
        )

    def _of_key(self, api_key: str, picture: AccountsPicture, park: ParkDefinition) -> Principal:
        key_id, secret = split_api_key(api_key)
        on_file = picture.keys.get(key_id)
        if on_file is None or not hmac.compare_digest(on_file.secret_hash, hash_secret(secret)):
            raise unauthenticated("the API key is not valid")
        key = on_file.key
        if key.expires_at <= self._clock.now():
            raise unauthenticated("the API key has ended; make a new one")
        owner = _usable(picture.accounts.get(key.owner))
        return Principal(
            username=f"{owner.username}/{key.id}",
            person=owner.username,
            # Never more than its owner may now, whatever they were when they made it.
            roles=tuple(role for role in key.roles if role in owner.roles),
            reach=both(_reach(park, owner.scope), _reach(park, key.scope)),
            expires_at=key.expires_at,
            key_id=key.id,
        )


def admit(principal: Principal, operation: Operation) -> None:
    """Let a principal do an operation.

    Raises:
        RefusedError: none of their roles permits it, or it is for people only (403).
    """
    if not permits(principal.roles, operation):
        roles = ", ".join(principal.roles) or "none"
        raise forbidden(f"{operation.value} is not permitted to your roles ({roles})")
    if principal.key_id is not None and operation in PERSONAL:
        raise forbidden(f"{operation.value} is for people, not for API keys; log in")


def _usable(account: Account | None) -> Account:
    if account is None or account.disabled:
        raise unauthenticated("the account is closed")
    return account


def _reach(park: ParkDefinition, scope: list[str] | None) -> Reach | None:
    return None if scope is None else reach_below(park, scope)
