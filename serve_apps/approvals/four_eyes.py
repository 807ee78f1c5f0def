"""The one way to let an act wait for a second person: a kind, its payload, what carries it out.

A domain declares a kind once, at import, with ``four_eyes``; its route calls ``with_approval``,
which either does the act at once or answers 202 with a pending approval; or, where the act at once
is not the same, ``must_wait`` and ``ask_second``. What carries it out gets
the payload exactly as it was asked for and must be idempotent by the approval's id: an attempt that
was cut off is driven on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Generic, TypeVar, cast

import msgspec
from fastapi import Request
from starlette.responses import Response

from controllers.accounts.approvals import Approval, needs_second_person
from controllers.accounts.reach import reach_below
from controllers.kernel.wire import Wire
from controllers.ports.acts import Act
from serve_apps.accounts.current import CurrentAccounts
from serve_apps.web.answers import respond
from serve_apps.web.deps import ApiDeps
from serve_apps.web.guard import Principal
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation, permits

PayloadT = TypeVar("PayloadT", bound=Wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """On whose word an act is carried out."""

    requested_by: str
    requested_at: datetime
    approved_by: str | None = None
    """None where no second person was needed."""
    approval_id: str | None = None

    @property
    def username(self) -> str:
        """Who finally lets it happen, for the audit log."""
        return self.approved_by or self.requested_by

    def told(self) -> dict[str, object]:
        """Return both names for an audit entry; nothing where one person sufficed."""
        if self.approved_by is None:
            return {}
        return {
            "requested_by": self.requested_by,
            "approved_by": self.approved_by,
            "approval": self.approval_id,
        }

    def act(self, operation: Operation, subject: str, data: Mapping[str, object]) -> Act:
        """Return the act for a store; an attempt that was cut off after its effect finds it."""
        return Act(
            principal=self.username,
            action=operation.value,
            subject=subject,
            data={**data, **self.told()},
            key=self.approval_id,
            fingerprint=self.approval_id or "",
        )


Execute = Callable[[ApiDeps, PayloadT, Agreed], Awaitable[Wire]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[PayloadT]):
    """A kind of act that may need a second person."""

    name: str
    operation: Operation
    """What both persons must be permitted to do."""
    payload_type: type[PayloadT]
    execute: Execute[PayloadT]

    async def carry_out(self, deps: ApiDeps, approval: Approval, approved_by: str) -> Wire:
        """Do what was approved."""
        agreed = Agreed(
            requested_by=approval.requested_by,
            requested_at=approval.requested_at,
            approved_by=approved_by,
            approval_id=approval.id,
        )
        payload = msgspec.convert(approval.payload, self.payload_type)
        return await self.execute(deps, payload, agreed)


KINDS: dict[str, Kind[Any]] = {}
"""Every kind, by name."""


def four_eyes(
    name: str, operation: Operation, payload_type: type[PayloadT], execute: Execute[PayloadT]
) -> Kind[PayloadT]:
    """Declare a kind of act."""
    kind = Kind(name=name, operation=operation, payload_type=payload_type, execute=execute)
    KINDS[name] = kind
    return kind


async def with_approval(
    request: Request,
    caller: Principal,
    kind: Kind[PayloadT],
    *,
    subject: str,
    payload: PayloadT,
    reason: str,
    answer: Callable[[Wire], Response],
) -> Response:
    """Carry an act out, or ask for a second person (202 with the approval).

    Args:
        request: the HTTP request.
        caller: who asks; admitted to the kind's operation.
        kind: what for.
        subject: id of the resource, aggregate or park that it is about.
        payload: what is to be done, exactly.
        reason: why.
        answer: turns the result of an act that needed nobody else into a response.

    Raises:
        ParkgridError: as the kind's ``execute``.
    """
    if must_wait(request, caller, kind, subject):
        return await ask_second(
            request, caller, kind, subject=subject, payload=payload, reason=reason
        )
    deps = cast(ApiDeps, request.app.state.deps)
    agreed = Agreed(requested_by=caller.username, requested_at=deps.clock.now())
    return answer(await kind.execute(deps, payload, agreed))


def must_wait(request: Request, caller: Principal, kind: Kind[PayloadT], subject: str) -> bool:
    """Tell whether an act waits for a second person; arguments as ``with_approval``."""
    deps = cast(ApiDeps, request.app.state.deps)
    others = _others(request, deps, caller, kind.operation, subject)
    return needs_second_person(deps.settings.four_eyes, others)


async def ask_second(
    request: Request,
    caller: Principal,
    kind: Kind[PayloadT],
    *,
    subject: str,
    payload: PayloadT,
    reason: str,
) -> Response:
    """Answer 202 with the approval that now waits; arguments as ``with_approval``."""
    deps = cast(ApiDeps, request.app.state.deps)
    now = deps.clock.now()
    approval = Approval(
        id=deps.ids.new("approval"),
        kind=kind.name,
        operation=kind.operation.value,
        subject=subject,
        payload=msgspec.to_builtins(payload),
        reason=reason,
        requested_by=caller.username,
        requester=caller.person,
        requested_at=now,
        expires_at=now + timedelta(seconds=deps.settings.approval_lifetime_s),
    )
    act = Act(
        principal=caller.username,
        action="approval.request",
        subject=approval.id,
        data={"kind": kind.name, "subject": subject, "reason": reason},
    )
    standing = (await deps.approvals.request(act, approval)).value
    location = {"Location": f"{PREFIX}/approvals/{standing.id}"}
    return respond(standing, HTTPStatus.ACCEPTED, location)


def _others(
    request: Request, deps: ApiDeps, caller: Principal, operation: Operation, subject: str
) -> Iterator[str]:
    park = deps.park()
    for account in cast(CurrentAccounts, request.app.state.accounts).picture.accounts.values():
        usable = not account.disabled and not account.must_change_password
        if account.username == caller.person or not usable:
            continue
        if account.scope is not None:
            reach = reach_below(park, account.scope)
            if subject not in reach.aggregates and subject not in reach.resources:
                continue
        if permits(account.roles, operation):
            yield account.username
