"""State-machine tables, identifiers and the family of errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest

from controllers.kernel import errors
from controllers.kernel.fsm import Machine
from controllers.kernel.ids import RandomIds, SequentialIds
from controllers.kernel.states import (
    Priority,
    aggregate_state_topic,
    proposal_topic,
    resource_state_topic,
)
from controllers.kernel.timebase import ManualClock


class Door(StrEnum):
    """Where a door stands."""

    OPEN = "open"
    SHUT = "shut"
    GONE = "gone"


class Push(StrEnum):
    """What is done to it."""

    CLOSE = "close"
    OPEN = "open"
    BREAK = "break"


DOOR = Machine(
    "door",
    {
        (Door.OPEN, Push.CLOSE): Door.SHUT,
        (Door.SHUT, Push.OPEN): Door.OPEN,
        (Door.OPEN, Push.BREAK): Door.GONE,
    },
)


def test_a_row_gives_the_next_state() -> None:
    assert DOOR.next(Door.OPEN, Push.CLOSE) is Door.SHUT
    assert DOOR.allows(Door.SHUT, Push.OPEN)


def test_a_pair_without_a_row_is_refused_by_name() -> None:
    assert not DOOR.allows(Door.SHUT, Push.BREAK)
    with pytest.raises(errors.InvalidTransitionError, match="door: no transition") as refusal:
        DOOR.next(Door.SHUT, Push.BREAK)
    assert (refusal.value.machine, refusal.value.state) == ("door", "shut")
    assert refusal.value.trigger == "break"


def test_terminal_states_are_those_nothing_leaves() -> None:
    assert DOOR.terminal() == {Door.GONE}


def test_random_ids_sort_by_time_and_never_repeat() -> None:
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=UTC))
    ids = RandomIds(clock)
    drawn = []
    for _ in range(200):
        drawn.append(ids.new("ins"))
        clock.advance(timedelta(milliseconds=1))
    assert drawn == sorted(drawn)
    assert len({ids.new("ins") for _ in range(1000)}) == 1000


def test_a_random_id_is_prefix_and_26_safe_characters() -> None:
    id_ = RandomIds(ManualClock(datetime(2026, 6, 1, tzinfo=UTC))).new("ins")
    prefix, _, rest = id_.partition("-")
    assert prefix == "ins"
    assert len(rest) == 26
    assert set(rest) <= set("0123456789abcdefghjkmnpqrstvwxyz")


def test_sequential_ids_count() -> None:
    ids = SequentialIds()
    assert [ids.new("a"), ids.new("b"), ids.new("a")] == ["a-1", "b-2", "a-3"]


def test_a_domain_error_names_field_value_and_rule() -> None:
    error = errors.DomainError("parts[2].kw", -3, "must be at least 0 kW")
    assert str(error) == "parts[2].kw = -3: must be at least 0 kW"
    problem = errors.Problem(field="a.b", value="x", rule="must be known")
    assert str(problem) == "a.b = 'x': must be known"


@pytest.mark.parametrize(
    ("error", "permanent", "words"),
    [
        (errors.NotFoundError("resource", "x"), True, "no resource has the id 'x'"),
        (errors.ConflictError("amend it", current="i-1"), True, "amend it"),
        (errors.FencedError("bess1", 3, 4), True, "bess1: epoch 3 was fenced off by epoch 4"),
        (errors.CurrencyMismatchError("CNY", "EUR"), True, "cannot combine CNY with EUR"),
        (errors.ConfigError("p.yaml", ["a", "b"]), True, "p.yaml: 2 problem(s)\na\nb"),
        (errors.DeviceUnreachableError("d1"), False, "device 'd1' is unreachable"),
        (errors.ActorUnavailableError("a1"), False, "a1 is not available"),
        (errors.StorageUnavailableError("locked"), False, "locked"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_the_type_of_an_error_says_whether_a_retry_can_help(
    error: errors.ParkgridError, permanent: bool, words: str
) -> None:
    assert isinstance(error, errors.PermanentError) is permanent
    assert isinstance(error, errors.TemporaryError) is not permanent
    assert words in str(error)
    if isinstance(error, errors.TemporaryError):
        assert error.retry_after_s > 0.0


def test_priorities_nest_as_promised() -> None:
    assert sorted(Priority) == [
        Priority.SAFETY,
        Priority.GRID_LIMIT,
        Priority.ISLANDING,
        Priority.OPERATOR,
        Priority.RESERVE,
        Priority.MARKET,
        Priority.ECONOMICS,
        Priority.COMFORT,
    ]


def test_inner_topics_are_apart_from_device_topics() -> None:
    topics = {resource_state_topic("x"), aggregate_state_topic("x"), proposal_topic("x")}
    assert len(topics) == 3
    assert all(topic.startswith("parkgrid/int/v1/") for topic in topics)
