"""Alarms over the API: list and follow them, acknowledge, shelve, clear.

Lists and history come from the database, which follows the AlarmActor within a moment; acts go to
the actor itself and are durable before they are answered. Repeating an act changes nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from controllers.alarms.lifecycle import Alarm, AlarmState
from controllers.alarms.rules import Severity
from controllers.kernel.errors import ConflictError, NotFoundError, ParkgridError
from controllers.ports.alarms import AlarmCounts, AlarmDesk, AlarmDetail, AlarmFilter
from serve_apps.alarms.bodies import BulkNoteBody, NoteBody, ShelveBody
from serve_apps.alarms.views import AlarmActOutcome, AlarmPage, BulkAcknowledgement
from serve_apps.web.acts import IdempotencyKey
from serve_apps.web.answers import answers, respond
from serve_apps.web.bodies import Body, Instant
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute, Principal
from serve_apps.web.idempotency import KeyedRequest, once
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import Cursor, Limit, PathId, Sort, page_request
from serve_apps.web.permissions import Operation
from serve_apps.web.records import audited
from serve_apps.web.scope import alarm_subject

_ROOT = f"{PREFIX}/alarms"
_ACT = (400, 404, 409, 413, 415, 422, 503)

router = APIRouter(prefix=_ROOT, tags=["alarms"], route_class=GuardedRoute)

Subject = Annotated[str | None, Query(pattern=r"^(group:)?[a-z0-9][a-z0-9_-]{0,63}$")]
AlarmOrRule = Annotated[str | None, Query(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


@router.get("", **answers(AlarmPage, Operation.ALARM_READ, 422, 503, in_scope=True))
async def list_alarms(
    *,
    deps: Deps,
    caller: Caller,
    state: AlarmState | None = None,
    standing: bool | None = None,
    severity: Severity | None = None,
    subject: Subject = None,
    rule: AlarmOrRule = None,
    group: AlarmOrRule = None,
    from_: Annotated[Instant | None, Query(alias="from")] = None,
    to: Annotated[Instant | None, Query()] = None,
    limit: Limit = 50,
    sort: Sort = "-raised_at",
    cursor: Cursor = None,
) -> Response:
    """Return alarms raised in ``[from, to)``.

    Sort by ``raised_at``, ``changed_at``, ``severity`` (gravest first), ``priority`` or
    ``subject_id``. ``group`` is the id of a group alarm and lists its members.
    """
    wanted = AlarmFilter(
        state=state,
        standing=standing,
        severity=severity,
        subject_id=subject,
        rule_id=rule,
        group_id=group,
        from_at=from_,
        to_at=to,
        within=_within(caller),
    )
    page = await deps.alarms.alarms(wanted, page_request(limit, sort, cursor))
    return respond(AlarmPage(items=page.items, next_cursor=page.next_cursor))


@router.get("/counts", **answers(AlarmCounts, Operation.ALARM_READ, 503, in_scope=True))
async def count_alarms(deps: Deps, caller: Caller) -> Response:
    """Return how many alarms stand."""
    return respond(await deps.alarms.counts(_within(caller)))


@router.post(
    "/acknowledge",
    **answers(
        BulkAcknowledgement, Operation.ALARM_ACKNOWLEDGE, 400, 413, 415, 422, 503, in_scope=True
    ),
)
async def acknowledge_alarms(body: BulkNoteBody, deps: Deps, caller: Caller) -> Response:
    """Take note of several alarms; each is told apart. Repeating it changes nothing more."""
    ids = list(dict.fromkeys(body.ids))

    async def one(alarm_id: str) -> AlarmActOutcome:
        try:
            if caller.reach is not None and not caller.sees(await alarm_subject(deps, alarm_id)):
                raise NotFoundError("alarm", alarm_id)
            alarm = await deps.alarm_desk.acknowledge(alarm_id, caller.username, body.note)
        except ParkgridError as error:
            return AlarmActOutcome(alarm_id=alarm_id, done=False, state=None, detail=str(error))
        return AlarmActOutcome(alarm_id=alarm_id, done=True, state=alarm.state, detail=None)

    data: dict[str, object] = {"ids": ids, "note": body.note}
    async with audited(deps.store, caller, Operation.ALARM_ACKNOWLEDGE, "alarms", data):
        items = await asyncio.gather(*(one(alarm_id) for alarm_id in ids))
    n_done = sum(item.done for item in items)
    return respond(BulkAcknowledgement(n_done=n_done, n_failed=len(items) - n_done, items=items))


@router.get("/{alarm_id}", **answers(AlarmDetail, Operation.ALARM_READ, 404, 422, 503))
async def get_alarm(alarm_id: PathId, deps: Deps) -> Response:
    """Return an alarm with its history and every notice that was sent of it."""
    return respond(await deps.alarms.alarm(alarm_id))


def _within(caller: Principal) -> list[str] | None:
    reach = caller.reach
    return None if reach is None else sorted(reach.resources | reach.aggregates)


class Acting:
    """Somebody about to act on an alarm: audited, once per key, told apart when it is too late."""

    def __init__(
        self, request: Request, deps: ApiDeps, caller: Principal, *, key: str | None
    ) -> None:
        self._request = request
        self._deps = deps
        self._caller = caller
        self._key = key

    @property
    def name(self) -> str:
        """Who."""
        return self._caller.username

    @property
    def desk(self) -> AlarmDesk:
        """Where alarms are acted on."""
        return self._deps.alarm_desk

    @property
    def now(self) -> datetime:
        """When."""
        return self._deps.clock.now()

    async def run(
        self, operation: Operation, alarm_id: str, body: Body, done: Callable[[], Awaitable[Alarm]]
    ) -> Response:
        """Do it and answer with the alarm as it stands then.

        Args:
            operation: what is done.
            alarm_id: to which alarm.
            body: what was asked for.
            done: does it.
        """
        path = self._request.url.path
        data = {"verb": path.rpartition("/")[2], **body.model_dump(mode="json", exclude_none=True)}
        deps, caller = self._deps, self._caller
        if self._key is None:
            async with audited(deps.store, caller, operation, alarm_id, data):
                return respond(await self._tried(alarm_id, done))

        async def act(_subject: str, _repeated: bool) -> Response:
            return respond(await self._tried(alarm_id, done))

        keyed = KeyedRequest(
            key=self._key,
            operation=operation,
            path=f"/alarms/{alarm_id}/{data['verb']}",
            location=_ROOT,
            subject_id=alarm_id,
            body=body,
            audit=data,
        )
        return await once(self._request, deps, caller, keyed, act)

    async def _tried(self, alarm_id: str, done: Callable[[], Awaitable[Alarm]]) -> Alarm:
        try:
            return await done()
        except NotFoundError:
            # Known to the past, or to nobody.
            past = (await self._deps.alarms.alarm(alarm_id)).alarm
            message = f"the alarm stands no more; it is {past.state.value}"
            raise ConflictError(message, current=past.state.value) from None


async def acting(
    request: Request, deps: Deps, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Acting:
    """Return who is about to act."""
    return Acting(request, deps, caller, key=idempotency_key)


Who = Annotated[Acting, Depends(acting)]


@router.post("/{alarm_id}/acknowledge", **answers(Alarm, Operation.ALARM_ACKNOWLEDGE, *_ACT))
async def acknowledge_alarm(alarm_id: PathId, body: NoteBody, who: Who) -> Response:
    """Take note of an alarm; of a group, and so of all it speaks for."""

    async def done() -> Alarm:
        return await who.desk.acknowledge(alarm_id, who.name, body.note)

    return await who.run(Operation.ALARM_ACKNOWLEDGE, alarm_id, body, done)


@router.post("/{alarm_id}/shelve", **answers(Alarm, Operation.ALARM_SHELVE, *_ACT))
async def shelve_alarm(alarm_id: PathId, body: ShelveBody, who: Who) -> Response:
    """Silence an alarm until an instant; a repeat moves the instant."""
    until = body.ends_at(who.now)

    async def done() -> Alarm:
        return await who.desk.shelve(alarm_id, until, who.name, body.reason)

    return await who.run(Operation.ALARM_SHELVE, alarm_id, body, done)


@router.post("/{alarm_id}/unshelve", **answers(Alarm, Operation.ALARM_SHELVE, *_ACT))
async def unshelve_alarm(alarm_id: PathId, body: NoteBody, who: Who) -> Response:
    """Let go of a shelved alarm; one that is not shelved stays as it is."""

    async def done() -> Alarm:
        return await who.desk.unshelve(alarm_id, who.name, body.note)

    return await who.run(Operation.ALARM_SHELVE, alarm_id, body, done)


@router.post("/{alarm_id}/clear", **answers(Alarm, Operation.ALARM_CLEAR, *_ACT))
async def clear_alarm(alarm_id: PathId, body: NoteBody, who: Who) -> Response:
    """End an alarm that has returned and that nobody took note of."""

    async def done() -> Alarm:
        return await who.desk.clear(alarm_id, who.name, body.note)

    return await who.run(Operation.ALARM_CLEAR, alarm_id, body, done)
