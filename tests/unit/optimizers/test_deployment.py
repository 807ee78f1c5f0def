"""A deployed optimizer: what may be one, which states it goes through, when it may be promoted."""

from __future__ import annotations

import io
import itertools
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from controllers.kernel.errors import ConflictError, DomainError, InvalidTransitionError
from controllers.optimizers.deployment import (
    MAX_BYTES,
    MAX_FILES,
    OPTIMIZER_MACHINE,
    Optimizer,
    OptimizerState,
    OptimizerStep,
    check_code,
    check_promotable,
    optimizer_id,
)
from controllers.optimizers.scores import Outcome, Score, summary_of
from tests.support.optimizers import make_optimizer, make_score

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
SOURCE = b"def solve(problem, deadline_s):\n    return {}\n"


def packed(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.py", data)
    return content.getvalue()


def shadow() -> Optimizer:
    return make_optimizer("o", OptimizerState.SHADOW)


def scores(*outcomes: Outcome) -> list[Score]:
    """Return scores, newest first."""
    return [
        make_score(str(i), "o", NOW - timedelta(minutes=i), outcome=outcome)
        for i, outcome in enumerate(outcomes)
    ]


def test_every_pair_that_the_table_does_not_have_is_refused() -> None:
    allowed = {
        pair
        for pair in itertools.product(OptimizerState, OptimizerStep)
        if OPTIMIZER_MACHINE.allows(*pair)
    }
    into = {state for (_, step), state in OPTIMIZER_MACHINE.table.items() if step == "promote"}
    assert into == {OptimizerState.PROMOTED}
    # Nothing is dispatched that was not in shadow first, and nothing promoted vanishes at once.
    ways = {s for (s, t), to in OPTIMIZER_MACHINE.table.items() if to == OptimizerState.PROMOTED}
    assert ways == {OptimizerState.SHADOW}
    assert (OptimizerState.PROMOTED, OptimizerStep.REMOVE) not in allowed
    assert OPTIMIZER_MACHINE.terminal() == frozenset()


def test_a_step_raises_the_version_and_says_who_and_why() -> None:
    later = NOW + timedelta(hours=1)
    promoted = shadow().after(OptimizerStep.PROMOTE, "ada", "good", later)
    assert (promoted.state, promoted.version, promoted.reason) == ("promoted", 3, "good")
    assert (promoted.changed_by, promoted.changed_at) == ("ada", later)


@pytest.mark.parametrize(
    "content",
    [
        SOURCE,
        b"from helper import solve\n",
        b"solve = lambda problem, deadline_s: {}\n",
    ],
    ids=["function", "import", "assignment"],
)
def test_a_file_that_defines_solve_can_be_deployed(content: bytes) -> None:
    check_code("o.py", content)
    check_code("o.zip", packed(optimizer=content, helper=SOURCE))


@pytest.mark.parametrize(
    ("file_name", "content", "told"),
    [
        ("o.py", b"def solver(): pass", "must define solve"),
        ("o.py", b"def solve(:", "must be Python"),
        ("o.py", b"def solve(): pass\0", "must be Python"),
        ("o.py", b"", "1 to"),
        ("o.py", b"#" * (MAX_BYTES + 1), "1 to"),
        ("o.txt", SOURCE, "must end in .py"),
        ("o.zip", SOURCE, "must be a zip"),
        ("o.zip", packed(main=SOURCE), "must hold optimizer.py"),
        ("o.zip", packed(optimizer=b"pass"), "must define solve"),
        ("o.zip", packed(optimizer=SOURCE, zeros=bytes(10**7)), "at most"),
        ("o.zip", packed(optimizer=SOURCE, **{f"f{i}": b"" for i in range(MAX_FILES)}), "at most"),
    ],
    ids=[
        "no solve",
        "no python",
        "nul",
        "empty",
        "large",
        "text",
        "no zip",
        "no entry",
        "zip without solve",
        "bomb",
        "many files",
    ],
)
def test_what_cannot_be_an_optimizer_is_refused(file_name: str, content: bytes, told: str) -> None:
    with pytest.raises(DomainError, match=told):
        check_code(file_name, content)


def test_another_content_is_another_optimizer() -> None:
    ids = {
        optimizer_id("greedy", "o.py", SOURCE, None),
        optimizer_id("greedy", "o.py", SOURCE + b"#", None),
        optimizer_id("greedy", "o.zip", SOURCE, None),
        optimizer_id("greedy", "o.py", SOURCE, "quants"),
    }
    assert len(ids) == 4
    assert optimizer_id("greedy", "other.py", SOURCE, None) in ids
    assert all(id_.startswith("greedy-") for id_ in ids)


def test_a_promotion_takes_plans_in_a_row_that_hold() -> None:
    valid, late = Outcome.VALID, Outcome.LATE
    check_promotable(shadow(), scores(valid, valid, valid, late), 3)
    with pytest.raises(ConflictError, match="2 of its plans"):
        check_promotable(shadow(), scores(valid, valid), 3)
    with pytest.raises(ConflictError, match="did not hold"):
        check_promotable(shadow(), scores(valid, late, valid, valid), 3)
    with pytest.raises(ConflictError, match="did not hold"):
        check_promotable(shadow(), scores(late), 3)


def test_only_a_shadow_is_promoted() -> None:
    promoted = shadow().after(OptimizerStep.PROMOTE, "ada", "", NOW)
    with pytest.raises(InvalidTransitionError):
        check_promotable(promoted, scores(*[Outcome.VALID] * 3), 3)


def test_a_summary_compares_only_plans_that_hold() -> None:
    some = [
        make_score("3", "o", NOW, cost=90.0, solve_s=2.0),
        make_score("2", "o", NOW, cost=104.0, solve_s=1.0, dispatched=True),
        make_score("1", "o", NOW - timedelta(hours=1), outcome=Outcome.LATE, cost=None),
    ]
    summary = summary_of("o", some)
    assert (summary.n_plans, summary.n_valid, summary.n_valid_in_a_row) == (3, 2, 2)
    assert summary.valid_frac == pytest.approx(2 / 3)
    assert summary.mean_cost_difference == pytest.approx((-10.0 + 4.0) / 2)
    assert (summary.cheaper_frac, summary.p95_solve_s, summary.n_dispatched) == (0.5, 2.0, 1)
    assert summary.since == NOW - timedelta(hours=1)
    nothing = summary_of("o", [])
    assert (nothing.n_plans, nothing.valid_frac, nothing.p95_solve_s) == (0, None, None)
