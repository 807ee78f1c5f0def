"""Dispatches as an aggregate's book records them, for whatever reads the records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from controllers.aggregation.events import REPORT_KIND
from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.aggregation.instructions import InstructionBook
from controllers.ports.actors import OutboxRecord


def make_dispatch(id_: str, start_at: datetime, **changes: object) -> Instruction:
    """Return an instruction of 500 kW for ten minutes, issued at its start; ids name the owner."""
    values: dict[str, object] = {
        "id": id_,
        "aggregate_id": id_.partition(".")[0],
        "target_kw": 500.0,
        "start_at": start_at,
        "end_at": start_at + timedelta(minutes=10),
        "ramp_kw_per_min": 1000.0,
        "reason": "peak",
        "issued_by": "operator",
        "issued_at": start_at,
        "tolerance_kw": 10.0,
    }
    return Instruction(**(values | changes))  # type: ignore[arg-type]


def make_book(aggregate_id: str) -> InstructionBook:
    """Return an empty book that forgets what ended at once."""
    return InstructionBook(
        aggregate_id,
        low_kw=-1e6,
        high_kw=1e6,
        limit_name="rated power",
        start_grace_s=60.0,
        n_ended_kept=1,
    )


def records_of(book: InstructionBook, aggregate_id: str, first_seq: int = 1) -> list[OutboxRecord]:
    """Take the records out of a book, as its actor's outbox numbers them."""
    taken, book.records = book.records, []
    return [
        OutboxRecord(actor_id=aggregate_id, seq=seq, kind=one.kind, at=one.at, data=dict(one.data))
        for seq, one in enumerate(taken, first_seq)
    ]


def submitted(dispatches: Sequence[Instruction]) -> list[OutboxRecord]:
    """Return the records of dispatches of one aggregate that were accepted."""
    aggregate_id = dispatches[0].aggregate_id
    book = make_book(aggregate_id)
    for one in dispatches:
        book.submit(one, one.issued_at)
    return records_of(book, aggregate_id)


def report_record(report: DeliveryReport, seq: int) -> OutboxRecord:
    """Return the record of a final report."""
    return OutboxRecord(
        actor_id=report.instruction.aggregate_id,
        seq=seq,
        kind=REPORT_KIND,
        at=report.as_of,
        data=msgspec.to_builtins(report),
    )


def make_report(instruction: Instruction, delivered_kwh: float = 82.5) -> DeliveryReport:
    """Return a final report without members."""
    return DeliveryReport(
        instruction=instruction,
        as_of=instruction.end_at,
        measured_kw=495.0,
        target_kw=None,
        shortfall_kw=0.0,
        requested_kwh=83.0,
        delivered_kwh=delivered_kwh,
        within_tolerance_frac=0.97,
        coverage_frac=1.0,
        members=[],
        history=[],
    )
