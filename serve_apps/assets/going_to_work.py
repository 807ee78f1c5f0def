"""What puts resources to work under an aggregation: activating it, adding to one at work.

The limits that a second person agreed to hold for what is below an aggregation at work. Who could
put the same resources to work under another one alone would go round them; so this waits too, and
taking from work does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import cast

from fastapi import Request
from starlette.responses import Response

from controllers.aggregation.conflicts import Severity, find_conflicts
from controllers.assets.records import AggregateRecord, AggregateStatus
from controllers.kernel.errors import ConflictError, StaleVersionError
from controllers.kernel.wire import Wire
from controllers.ports.acts import Act
from controllers.ports.assets import ConnectionLimits
from serve_apps.approvals.four_eyes import Agreed, ask_second, four_eyes, must_wait
from serve_apps.assets.situations import require_aggregation, situation_of
from serve_apps.web.deps import ApiDeps
from serve_apps.web.guard import Principal
from serve_apps.web.permissions import Operation

_MAX_REASON = 500


class ActivatePayload(Wire):
    """An aggregation that is to go to work as it stands."""

    aggregation_id: str
    version: int
    members: list[str]
    limits: ConnectionLimits


class AddPayload(Wire):
    """Members that an active aggregation is to take in."""

    aggregation_id: str
    version: int | None
    """That the members were chosen for, where one was named."""
    members: list[str]


async def ask_to_activate(
    request: Request, caller: Principal, record: AggregateRecord, version: int | None
) -> Response | None:
    """Ask for a second person, or return None where the activation may go on.

    Args:
        request: the HTTP request.
        caller: who asks.
        record: of the aggregation.
        version: that they saw, where they name one.

    Raises:
        StaleVersionError: it is another now.
    """
    definition = record.definition
    if not must_wait(request, caller, ACTIVATE, definition.id):
        return None
    if version is not None and version != record.version:
        raise StaleVersionError("the aggregation", record.version)
    limits = ConnectionLimits(
        max_import_kw=definition.max_import_kw, max_export_kw=definition.max_export_kw
    )
    payload = ActivatePayload(
        aggregation_id=definition.id,
        version=record.version,
        members=list(definition.members),
        limits=limits,
    )
    return await ask_second(
        request,
        caller,
        ACTIVATE,
        subject=definition.id,
        payload=payload,
        reason=_told("activate with", payload.members),
    )


async def ask_to_add(
    request: Request,
    caller: Principal,
    aggregation_id: str,
    version: int | None,
    members: Sequence[str],
) -> Response | None:
    """Ask for a second person, or return None where the members may be added at once.

    Args:
        request: the HTTP request.
        caller: who asks.
        aggregation_id: what takes them in.
        version: of it that the caller saw, where they name one.
        members: to be added.

    Raises:
        ParkgridError: they could not be added, whoever agreed.
    """
    deps = cast(ApiDeps, request.app.state.deps)
    if require_aggregation(deps, aggregation_id).status is not AggregateStatus.ACTIVE:
        return None
    if not must_wait(request, caller, ADD, aggregation_id):
        return None
    await deps.aggregations.check_members(aggregation_id, members, version)
    return await ask_second(
        request,
        caller,
        ADD,
        subject=aggregation_id,
        payload=AddPayload(aggregation_id=aggregation_id, version=version, members=list(members)),
        reason=_told("add", members),
    )


async def require_unblocked(deps: ApiDeps, principal: str, record: AggregateRecord) -> None:
    """Look for conflicts and keep what was found.

    Raises:
        ConflictError: one of them blocks the activation.
    """
    found = find_conflicts(await situation_of(deps, record))
    check = Act(
        principal=principal,
        action=Operation.AGGREGATION_CHECK.value,
        subject=record.definition.id,
        data={"found": len(found)},
    )
    await deps.findings.record_conflicts(check, found)
    blocking = [c for c in found if c.severity is Severity.BLOCKING]
    if blocking:
        words = "; ".join(f"{c.explanation} ({c.resolution})" for c in blocking[:3])
        raise ConflictError(f"blocked: {words}", current=blocking[0].subject)


async def _carry_out_activation(deps: ApiDeps, payload: ActivatePayload, agreed: Agreed) -> Wire:
    record = require_aggregation(deps, payload.aggregation_id)
    if record.status is not AggregateStatus.ACTIVE:
        await require_unblocked(deps, agreed.username, record)
    act = agreed.act(Operation.AGGREGATION_ACTIVATE, payload.aggregation_id, {"active": True})
    return (await deps.aggregations.activate(act, payload.version)).value


async def _carry_out_addition(deps: ApiDeps, payload: AddPayload, agreed: Agreed) -> Wire:
    data = {"resource_ids": payload.members}
    act = agreed.act(Operation.AGGREGATION_WRITE, payload.aggregation_id, data)
    return (await deps.aggregations.add_members(act, payload.members, payload.version)).value


ACTIVATE = four_eyes(
    "aggregation.activate", Operation.AGGREGATION_ACTIVATE, ActivatePayload, _carry_out_activation
)
ADD = four_eyes("aggregation.add", Operation.AGGREGATION_WRITE, AddPayload, _carry_out_addition)


def _told(verb: str, members: Sequence[str]) -> str:
    return shorten(f"{verb} {', '.join(members)}", _MAX_REASON, placeholder=" ...")
