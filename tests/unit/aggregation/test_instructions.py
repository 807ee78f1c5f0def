"""What an aggregate accepts as an instruction, and how it may change."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import pytest

from controllers.aggregation.instruction import InstructionState, InstructionTrigger
from controllers.aggregation.instructions import InstructionBook
from controllers.kernel.errors import ConflictError, DomainError, NotFoundError
from tests.support.small_plant import START, make_instruction

MINUTE = timedelta(minutes=1)


def make_book(n_ended_kept: int = 50) -> InstructionBook:
    """Return an empty book of ``vpp`` with limits of -600 and 800 kW."""
    return InstructionBook(
        "vpp",
        low_kw=-600.0,
        high_kw=800.0,
        limit_name="rated power",
        start_grace_s=60.0,
        n_ended_kept=n_ended_kept,
    )


def amend(book: InstructionBook, version: int = 1, **changes: object) -> None:
    none = dict.fromkeys(("target_kw", "end_at", "ramp_kw_per_min", "reason"))
    book.amend("dispatch-1", version, START, operator="o", **(none | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"target_kw": math.nan}, "target_kw", "finite"),
        ({"target_kw": math.inf}, "target_kw", "finite"),
        ({"target_kw": 800.5}, "target_kw", "800 kW (rated power)"),
        ({"target_kw": -601.0}, "target_kw", "-600 and"),
        ({"end_at": START}, "end_at", "after start_at"),
        ({"end_at": START - MINUTE}, "end_at", "after start_at"),
        ({"start_at": START - 2 * MINUTE}, "start_at", "before"),
        ({"start_at": START - MINUTE, "end_at": START - MINUTE / 2}, "end_at", "after now"),
        ({"start_at": datetime(2026, 3, 2, 10)}, "start_at", "time zone"),  # noqa: DTZ001
        ({"end_at": datetime(2026, 3, 2, 11)}, "end_at", "time zone"),  # noqa: DTZ001
        ({"ramp_kw_per_min": 0.0}, "ramp_kw_per_min", "above 0"),
        ({"ramp_kw_per_min": math.inf}, "ramp_kw_per_min", "finite"),
        ({"tolerance_kw": 0.0}, "tolerance_kw", "above 0"),
        ({"tolerance_kw": math.nan}, "tolerance_kw", "above 0"),
        ({"aggregate_id": "other"}, "aggregate_id", "vpp"),
    ],
)
def test_senseless_instruction_is_refused_with_field_and_limit(
    changes: dict[str, object], field: str, rule: str
) -> None:
    book = make_book()
    with pytest.raises(DomainError) as refusal:
        book.submit(make_instruction(**changes), START)  # type: ignore[arg-type]
    assert refusal.value.field == field
    assert rule in refusal.value.rule
    assert book.all() == []
    assert book.records == []


def test_repeated_submission_returns_what_stands() -> None:
    book = make_book()
    first = book.submit(make_instruction(), START)
    book.move(first.id, InstructionTrigger.START, START, "")
    again = book.submit(make_instruction(issued_at=START + MINUTE), START + MINUTE)
    assert again.state is InstructionState.ACTIVE
    assert len(book.all()) == 1
    amend(book, target_kw=100.0)
    assert book.submit(make_instruction(), START).version == 2


def test_same_id_with_other_content_is_a_conflict() -> None:
    book = make_book()
    book.submit(make_instruction(500.0), START)
    with pytest.raises(ConflictError, match="other content"):
        book.submit(make_instruction(501.0), START)


def test_overlapping_windows_conflict_and_name_the_first_and_the_remedy() -> None:
    book = make_book()
    book.submit(make_instruction(), START)
    second = make_instruction(
        id="dispatch-2", start_at=START + 9 * MINUTE, end_at=START + 12 * MINUTE
    )
    with pytest.raises(ConflictError, match=r"dispatch-1 .*amend or cancel") as conflict:
        book.submit(second, START)
    assert conflict.value.current == "dispatch-1"
    touching = make_instruction(
        id="dispatch-3", start_at=START + 10 * MINUTE, end_at=START + 12 * MINUTE
    )
    book.submit(touching, START)
    with pytest.raises(ConflictError, match="dispatch-3"):
        amend(book, end_at=START + 11 * MINUTE)
    book.cancel("dispatch-1", None, START, operator="o", reason="r")
    amended = make_instruction(id="dispatch-4")
    assert book.submit(amended, START).state is InstructionState.ACCEPTED


def test_amendment_needs_the_present_version_and_a_valid_result() -> None:
    book = make_book()
    book.submit(make_instruction(), START)
    with pytest.raises(ConflictError, match="version 1, not 2"):
        amend(book, version=2, target_kw=1.0)
    with pytest.raises(DomainError, match="target_kw"):
        amend(book, target_kw=9000.0)
    with pytest.raises(DomainError, match="end_at"):
        amend(book, end_at=START - MINUTE)
    assert book.get("dispatch-1").instruction.version == 1
    amend(book, target_kw=100.0, ramp_kw_per_min=5.0, reason="less", end_at=START + MINUTE)
    changed = book.get("dispatch-1").instruction
    assert (changed.version, changed.target_kw, changed.ramp_kw_per_min) == (2, 100.0, 5.0)
    assert (changed.reason, changed.end_at) == ("less", START + MINUTE)


def test_ended_instruction_can_neither_be_amended_nor_cancelled() -> None:
    book = make_book()
    book.submit(make_instruction(), START)
    book.move("dispatch-1", InstructionTrigger.END_UNDELIVERED, START, "")
    with pytest.raises(ConflictError, match="is failed"):
        amend(book, target_kw=1.0)
    with pytest.raises(ConflictError, match="already failed"):
        book.cancel("dispatch-1", 1, START, operator="o", reason="r")


def test_unknown_instruction_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        make_book().cancel("nobody", None, START, operator="o", reason="r")


def test_every_change_leaves_a_step_and_a_record() -> None:
    book = make_book()
    book.submit(make_instruction(), START)
    amend(book, target_kw=1.0)
    book.cancel("dispatch-1", 2, START + MINUTE, operator="anna", reason="storm")
    steps = book.get("dispatch-1").history
    assert [(s.state, s.version) for s in steps] == [
        (InstructionState.ACCEPTED, 1),
        (InstructionState.ACCEPTED, 2),
        (InstructionState.CANCELLED, 2),
    ]
    assert steps[-1].note == "cancelled by anna: storm"
    assert [r.data["state"] for r in book.records] == ["accepted", "accepted", "cancelled"]
    assert book.get("dispatch-1").instruction.ended_at == START + MINUTE


def test_oldest_ended_instructions_are_forgotten() -> None:
    book = make_book(n_ended_kept=2)
    for i in range(4):
        book.submit(make_instruction(id=f"d{i}"), START)
        book.cancel(f"d{i}", None, START + i * MINUTE / 10, operator="o", reason="r")
    assert [d.instruction.id for d in book.all()] == ["d2", "d3"]
