"""Many dispatches in one request: one key, one audit entry, one call per aggregate."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.aggregation.instruction import Instruction
from controllers.kernel.errors import NotFoundError, ParkgridError, TemporaryError
from serve_apps.operations.bodies import BulkDispatchBody, BulkItem
from serve_apps.operations.dispatch import instruction_of
from serve_apps.operations.park import require_aggregate
from serve_apps.operations.views import BulkOutcome, BulkView
from serve_apps.web.acts import IdempotencyKey
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute, Principal
from serve_apps.web.idempotency import KeyedRequest, once, required_key
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.problems import document, refusal_of

router = APIRouter(prefix=PREFIX, tags=["dispatch"], route_class=GuardedRoute)

_PATH = "/dispatches/bulk"


@router.post(
    _PATH, **answers(BulkView, Operation.DISPATCH_CREATE, 409, 503, also=207, in_scope=True)
)
async def dispatch_bulk(
    *,
    request: Request,
    body: BulkDispatchBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Dispatch up to 1,000 windows at once; each is accepted, durably, or refused for itself.

    207 says that some aggregates did not answer: repeat the same request under the same
    ``Idempotency-Key``, which never dispatches twice.
    """
    keyed = KeyedRequest(
        key=required_key(idempotency_key),
        operation=Operation.DISPATCH_CREATE,
        path=_PATH,
        location=None,
        subject_id=deps.ids.new("bulk"),
        body=body,
        audit=body.model_dump(mode="json", exclude_none=True),
    )

    async def act(bulk_id: str, _repeated: bool) -> Response:
        # The same ids at a repeat, so that what was accepted before is recognised.
        ids = [f"{item.aggregation_id}.{bulk_id}-{n}" for n, item in enumerate(body.items)]
        planned = [
            _planned(deps, caller, item, id_) for item, id_ in zip(body.items, ids, strict=True)
        ]
        submitted = await deps.control.submit_all(
            [plan for plan in planned if isinstance(plan, Instruction)]
        )
        answered = iter(submitted)
        outcomes = [next(answered) if isinstance(plan, Instruction) else plan for plan in planned]
        return _answer(request, ids, outcomes)

    return await once(request, deps, caller, keyed, act)


def _planned(
    deps: ApiDeps, caller: Principal, item: BulkItem, dispatch_id: str
) -> Instruction | ParkgridError:
    try:
        definition = require_aggregate(deps.park(), item.aggregation_id)
        if not caller.sees_aggregate(definition.id):
            raise NotFoundError("aggregation", definition.id)
        return instruction_of(deps, definition, item, dispatch_id, caller)
    except ParkgridError as error:
        return error


def _answer(
    request: Request, ids: list[str], outcomes: list[Instruction | ParkgridError]
) -> Response:
    items = []
    for id_, outcome in zip(ids, outcomes, strict=True):
        problem = None
        if isinstance(outcome, ParkgridError):
            problem = document(
                refusal_of(outcome),
                instance=request.url.path,
                request_id=request.state.request_id,
            )
        dispatch = outcome if isinstance(outcome, Instruction) else None
        items.append(BulkOutcome(dispatch_id=id_, dispatch=dispatch, problem=problem))
    n_accepted = sum(item.dispatch is not None for item in items)
    n_unavailable = sum(isinstance(outcome, TemporaryError) for outcome in outcomes)
    view = BulkView(
        n_accepted=n_accepted,
        n_refused=len(items) - n_accepted - n_unavailable,
        n_unavailable=n_unavailable,
        items=items,
    )
    return respond(view, HTTPStatus.MULTI_STATUS if n_unavailable else HTTPStatus.OK)
