"""Whatever is submitted, amended and cancelled, an aggregate's open windows never overlap."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.aggregation.instructions import InstructionBook
from controllers.kernel.errors import ConflictError
from tests.support.small_plant import START, make_instruction

MINUTE = timedelta(minutes=1)
PLACE = st.tuples(st.integers(0, 30), st.integers(1, 8))


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("saac"), st.integers(0, 9), PLACE), max_size=40))
def test_a_window_is_taken_exactly_when_it_overlaps_no_open_one(
    steps: list[tuple[str, int, tuple[int, int]]],
) -> None:
    book = InstructionBook(
        "vpp",
        low_kw=-600.0,
        high_kw=800.0,
        limit_name="rated power",
        start_grace_s=60.0,
        n_ended_kept=3,
    )
    # By id, in minutes since the start; the plain way, each against all others.
    taken: dict[str, tuple[int, int]] = {}
    for step, (kind, which, (first, length)) in enumerate(steps):
        ids = sorted(taken)
        id_ = f"i{step}" if kind == "s" or not ids else ids[which % len(ids)]
        if kind == "c" and id_ in taken:
            book.cancel(id_, None, START, operator="o", reason="r")
            del taken[id_]
            continue
        start = taken[id_][0] if id_ in taken else first
        end = start + length
        others = [window for other, window in taken.items() if other != id_]
        free = all(end <= low or high <= start for low, high in others)
        accepted = False
        with suppress(ConflictError):
            if id_ in taken:
                version = book.get(id_).instruction.version
                book.amend(
                    id_,
                    version,
                    START,
                    operator="o",
                    target_kw=None,
                    end_at=START + end * MINUTE,
                    ramp_kw_per_min=None,
                    reason=None,
                )
            else:
                window = {"start_at": START + start * MINUTE, "end_at": START + end * MINUTE}
                book.submit(make_instruction(id=id_, **window), START)
            accepted = True
        assert accepted == free
        if accepted:
            taken[id_] = (start, end)
        listed = [(one.start_at, one.end_at) for one in (d.instruction for d in book.open())]
        expected = sorted(taken.values())
        assert listed == [(START + a * MINUTE, START + b * MINUTE) for a, b in expected]
