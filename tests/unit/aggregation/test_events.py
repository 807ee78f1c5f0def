"""What an aggregate's logic leaves on record for when it is no more."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from controllers.aggregation.events import (
    REPORT_KIND,
    AggregateLogic,
    Cancelled,
    KeepReport,
    Submitted,
)
from controllers.aggregation.instruction import DeliveryReport, InstructionState
from controllers.aggregation.portfolio import MemberSpec
from controllers.control.events import Record
from controllers.kernel.wire import encode
from controllers.park import AggregateDefinition
from tests.support.small_plant import START, make_instruction


def test_an_ended_instruction_leaves_its_report_kept_and_on_record() -> None:
    definition = AggregateDefinition(id="vpp", name="All", members=["r1"])
    member = MemberSpec(id="r1", kind="resource", home="vpp", rated_kw=800.0)
    logic = AggregateLogic(definition, [member])
    state = logic.resume(1, None, START).state
    one = make_instruction(500.0, start_at=START)
    state = logic.decide(state, Submitted(instruction=one), START).state
    cancelled = Cancelled(instruction_id=one.id, version=None, operator="anna", reason="storm")
    outcome = logic.decide(state, cancelled, START + timedelta(seconds=5))
    (kept,) = [e.report for e in outcome.effects if isinstance(e, KeepReport)]
    (told,) = [e for e in outcome.effects if isinstance(e, Record) and e.kind == REPORT_KIND]
    assert msgspec.convert(msgspec.json.decode(encode(told.data)), DeliveryReport) == kept
    assert kept.instruction.state is InstructionState.CANCELLED
