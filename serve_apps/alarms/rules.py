"""Alarm rules over the API: create, list, replace and delete by version."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from controllers.alarms.rules import Rule, check_rule
from controllers.alarms.signals import SIGNALS, SubjectKind
from controllers.park import ParkDefinition
from controllers.ports.alarms import StoredRule
from serve_apps.alarms.bodies import CreateRuleBody, RuleBody
from serve_apps.alarms.views import AlarmRulePage, SignalList, SignalView
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import Cursor, Limit, PathId, Sort, page_request
from serve_apps.web.permissions import Operation
from serve_apps.web.problems import FieldError, RefusedError
from serve_apps.web.versions import IfMatch, etag, required_version

_ROOT = f"{PREFIX}/alarm-rules"

router = APIRouter(prefix=PREFIX, tags=["alarms"], route_class=GuardedRoute)


@router.get("/alarm-signals", **answers(SignalList, Operation.ALARM_READ, in_scope=True))
async def list_alarm_signals() -> Response:
    """Return what a rule may watch."""
    items = [
        SignalView(
            name=signal.name,
            unit=signal.unit,
            meaning=signal.meaning,
            of_resource=signal.of_resource is not None,
            of_aggregate=signal.of_aggregate is not None,
        )
        for signal in SIGNALS.values()
    ]
    return respond(SignalList(items=items))


@router.get("/alarm-rules", **answers(AlarmRulePage, Operation.ALARM_READ, 422, 503))
async def list_alarm_rules(
    deps: Deps, limit: Limit = 50, sort: Sort = "id", cursor: Cursor = None
) -> Response:
    """Return rules; sort by ``id``, ``name`` or ``changed_at``."""
    page = await deps.alarms.rules(page_request(limit, sort, cursor))
    return respond(AlarmRulePage(items=page.items, next_cursor=page.next_cursor))


@router.post(
    "/alarm-rules",
    **answers(StoredRule, Operation.ALARM_RULE_WRITE, 400, 409, 413, 415, 422, 503, status=201),
)
async def create_alarm_rule(
    body: CreateRuleBody, deps: Deps, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a rule; it is in force within seconds."""
    rule = body.rule(body.id or deps.ids.new("rule"))
    _check(rule, deps.park())
    operation = Operation.ALARM_RULE_WRITE
    act = act_of(caller, operation, rule.id, body, key=idempotency_key, path=_ROOT)
    done = await deps.alarms.create_rule(act, rule)
    headers = {"Location": f"{_ROOT}/{done.value.rule.id}", **etag(done.value.version)}
    return answer(done, HTTPStatus.CREATED, headers)


@router.get("/alarm-rules/{rule_id}", **answers(StoredRule, Operation.ALARM_READ, 404, 422, 503))
async def get_alarm_rule(rule_id: PathId, deps: Deps) -> Response:
    """Return a rule."""
    stored = await deps.alarms.rule(rule_id)
    return respond(stored, headers=etag(stored.version))


@router.put(
    "/alarm-rules/{rule_id}",
    **answers(StoredRule, Operation.ALARM_RULE_WRITE, 400, 404, 409, 412, 413, 415, 422, 428, 503),
)
async def replace_alarm_rule(
    rule_id: PathId, body: RuleBody, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Replace a rule; what stands because of it goes on standing if it still covers it."""
    version = required_version(if_match)
    rule = body.rule(rule_id)
    _check(rule, deps.park())
    act = act_of(caller, Operation.ALARM_RULE_WRITE, rule_id, body)
    done = await deps.alarms.replace_rule(act, rule, version)
    return answer(done, headers=etag(done.value.version))


@router.delete(
    "/alarm-rules/{rule_id}",
    **answers(None, Operation.ALARM_RULE_WRITE, 404, 412, 422, 428, 503, status=204),
)
async def delete_alarm_rule(
    rule_id: PathId, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Delete a rule; alarms that stand because of it go out of service."""
    act = act_of(caller, Operation.ALARM_RULE_WRITE, rule_id)
    await deps.alarms.delete_rule(act, required_version(if_match))
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _check(rule: Rule, park: ParkDefinition) -> None:
    problems = [
        FieldError(field=p.field, place="body", value=str(p.value)[:80], rule=p.rule)
        for p in check_rule(rule)
    ]
    target = rule.target
    known = {
        SubjectKind.RESOURCE: park.resource,
        SubjectKind.AGGREGATE: park.aggregate,
    }.get(target.subject_kind)
    if target.id is not None and (known is None or known(target.id) is None):
        rule_text = f"is no {target.subject_kind.value} of the park"
        problems.append(
            FieldError(field="target.id", place="body", value=target.id, rule=rule_text)
        )
    if problems:
        detail = "; ".join(f"{p.field} {p.rule}" for p in problems[:3])
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        raise RefusedError(status, "validation", detail, errors=problems)
