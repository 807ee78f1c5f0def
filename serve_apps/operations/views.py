"""Answers of operations, encoded straight from these types.

Live states and delivery reports are the inner types themselves, so that what an operator reads is
what control believed. Power in kW, injection positive; energy in kWh; ages in seconds.
"""

from __future__ import annotations

from datetime import datetime

from controllers.aggregation.instruction import Instruction
from controllers.kernel.money import Currency
from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.wire import Wire
from controllers.park import TariffDefinition
from serve_apps.web.problems import ProblemDocument


class ParkView(Wire):
    """The park as defined."""

    id: str
    name: str
    timezone: str
    currency: Currency
    tariff: list[TariffDefinition]
    n_resources: int
    n_aggregates: int
    roots: list[str]
    """Aggregates that are nobody's member."""


class LivePictureView(Wire):
    """The whole live picture."""

    as_of: datetime
    connected: bool
    """Whether the feed is up; when False the picture is ageing."""
    resources: list[ResourceState]
    aggregates: list[AggregateState]


class DispatchPage(Wire):
    """Dispatches in the order asked for."""

    items: list[Instruction]
    next_cursor: str | None
    unavailable: list[str]
    """Aggregates that did not answer; what they did in the last seconds is missing here."""
    complete: bool
    """False: the database does not answer, and only what live aggregates remember is here."""


class BulkOutcome(Wire):
    """What became of one dispatch among many; either ``dispatch`` or ``problem``."""

    dispatch_id: str
    dispatch: Instruction | None
    problem: ProblemDocument | None


class BulkView(Wire):
    """What became of many dispatches, in the order of the request."""

    n_accepted: int
    n_refused: int
    n_unavailable: int
    """Their aggregates did not answer: repeat the same request under the same key."""
    items: list[BulkOutcome]


class OverrideView(Wire):
    """An override as taken."""

    resource_id: str
    target_kw: float
    until: datetime
    reason: str


class KillOutcome(Wire):
    """What became of one resource's kill switch."""

    resource_id: str
    done: bool
    """Durable at the resource's actor; False is pending and is tried again."""
    detail: str | None


class KillView(Wire):
    """What became of a kill switch, resource by resource."""

    killed: bool
    """What was asked: True stops, False releases."""
    recorded: bool
    """Wanted state and audit entry are in the database; False: stopped all the same."""
    n_done: int
    n_pending: int
    resources: list[KillOutcome]
