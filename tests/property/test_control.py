"""Whatever happens in whatever order, control keeps its promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.control.commands import COMMAND_MACHINE, CommandTrigger
from controllers.control.contract import AckResult, DeviceMode
from controllers.control.events import InputRefused, Record
from controllers.control.failsafe import LADDER_MACHINE, LadderTrigger
from controllers.control.state import ControlState
from controllers.kernel.states import CommandState, Priority, Rung
from controllers.kernel.wire import decode, encode
from controllers.resources.twin import SignalRule
from tests.support.cycles import Cycles, make_spec, sent
from tests.support.plain_twin import PlainTwin, make_envelope

Step = Callable[[Cycles], Any]

_kw = st.floats(-150.0, 150.0)
_delay = st.sampled_from([0.0, 0.05, 0.5, 3.0, 6.0, 16.0, 40.0])
_source = st.sampled_from(["vpp1", "vpp2"])
_rank = st.sampled_from([Priority.RESERVE, Priority.MARKET, Priority.COMFORT])


def _sample(delay: float, power: float, low: float, high: float, read: float | None) -> Step:
    # Bounds move with the weather; low <= 0 <= high most of the time, but not always.
    def step(run: Cycles) -> None:
        command = run.state.command
        run.sample(
            power,
            after_s=delay,
            setpoint_kw=read if command is None or read is None else command.setpoint_kw,
            command_id=None if command is None else command.command_id,
            min_kw=min(low, high),
            max_kw=max(low, high),
        )

    return step


def _grid(delay: float, low: float, high: float) -> Step:
    bounds = {"min_kw": min(low, high), "max_kw": max(low, high)}
    return lambda run: run.propose(
        None, after_s=delay, source="grid", priority=Priority.GRID_LIMIT, **bounds
    )


_steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        _sample, _delay, _kw, st.floats(-150.0, 20.0), st.floats(-20.0, 150.0), st.none() | _kw
    ),
    st.builds(lambda d: lambda run: run.tick(after_s=d), _delay),
    st.builds(
        lambda d, kw, s, p: lambda run: run.propose(kw, after_s=d, source=s, priority=p),
        _delay,
        _kw,
        _source,
        _rank,
    ),
    st.builds(_grid, _delay, _kw, _kw),
    st.builds(lambda d, r: lambda run: run.ack(r, after_s=d), _delay, st.sampled_from(AckResult)),
    st.builds(lambda d, n: lambda run: run.ack(after_s=d, seq=n), _delay, st.integers(0, 9)),
    st.builds(lambda d, up: lambda run: run.link(up=up, after_s=d), _delay, st.booleans()),
    st.builds(
        lambda m, b: lambda run: run.status(m, boot_id=b),
        st.sampled_from(DeviceMode),
        st.sampled_from(["b1", "b2"]),
    ),
    st.builds(lambda kw, d: lambda run: run.override(kw, for_s=d), _kw, _delay),
    st.builds(lambda d: lambda run: run.let_go(after_s=d), _delay),
    st.builds(lambda d: lambda run: run.kill(after_s=d), _delay),
    st.builds(lambda d: lambda run: run.release_kill(after_s=d), _delay),
    st.builds(lambda d: lambda run: run.restart(after_s=d), _delay),
    st.builds(lambda: lambda run: run.apply(InputRefused(kind="ack", reason="broken"))),
)


def _run() -> Cycles:
    rules = (
        SignalRule(signal="power_kw", max_age_s=5.0, on_stale="limit", limit_kw=30.0),
        SignalRule(signal="max_kw", max_age_s=20.0, on_stale="zero"),
    )
    envelope = make_envelope(exclusion_low_kw=0.0, exclusion_high_kw=12.0, dead_band_kw=1.0)
    twin = PlainTwin(envelope=envelope, rules=rules)
    return Cycles.warm(make_spec(twin, fallback="zero"))


def _check_sendings(run: Cycles, last: tuple[int, int]) -> tuple[int, int]:
    envelope = run.spec.twin.envelope(run.state.twin, run.now)
    low, high = envelope.min_kw, envelope.max_kw
    grid = run.state.proposals.get("grid")
    if grid is not None and grid.proposal.expires_at > run.now:
        bounds = grid.proposal
        assert bounds.min_kw is not None
        assert bounds.max_kw is not None
        low, high = sorted(max(low, min(b, high)) for b in (bounds.min_kw, bounds.max_kw))
    for command in sent(run.decision):
        assert (command.epoch, command.seq) > last
        last = (command.epoch, command.seq)
        assert run.decision.durable
        assert run.state.link_up
        assert command.expires_at > run.now
        kw = command.setpoint_kw
        if kw is None:
            continue
        assert envelope.min_kw <= kw <= envelope.max_kw
        if run.state.kill is not None:
            assert kw == 0.0
        # Safety outranks the grid's bounds, and what safety asks for is zero or less.
        protected = any(c.priority is Priority.SAFETY for c in run.state.contenders)
        assert protected or low <= kw <= high
        assert not 0.0 < kw < 12.0
    return last


def _check_records(run: Cycles) -> None:
    for effect in run.decision.effects:
        if not isinstance(effect, Record):
            continue
        data = effect.data
        if effect.kind == "command":
            before, trigger = CommandState(data["before"]), CommandTrigger(data["trigger"])
            assert COMMAND_MACHINE.next(before, trigger) == data["state"]
        elif effect.kind == "ladder":
            rung, move = Rung(data["before"]), LadderTrigger(data["trigger"])
            assert LADDER_MACHINE.next(rung, move) == data["rung"]


@given(st.lists(_steps, min_size=1, max_size=40))
@settings(max_examples=250, deadline=None)
def test_promises_hold_under_any_sequence_of_events(steps: list[Step]) -> None:
    run = _run()
    last, published = (0, 0), 0
    for step in steps:
        before, epoch = run.state, run.epoch
        step(run)
        last = _check_sendings(run, last)
        _check_records(run)
        assert all(run.state.counters.get(k, 0) >= n for k, n in before.counters.items())
        if run.epoch == epoch:
            assert run.state.publish_seq >= published
        published = run.state.publish_seq
    assert decode(encode(run.state), ControlState) == run.state


@given(st.lists(_steps, min_size=1, max_size=25))
@settings(max_examples=50, deadline=None)
def test_the_same_events_lead_to_the_same_state(steps: list[Step]) -> None:
    one, other = _run(), _run()
    for step in steps:
        step(one)
        step(other)
    assert encode(one.state) == encode(other.state)


@given(st.lists(_steps, min_size=1, max_size=25))
@settings(max_examples=100, deadline=None)
def test_after_any_turmoil_a_healthy_device_delivers_again(steps: list[Step]) -> None:
    run = _run()
    for step in steps:
        step(run)
    run.release_kill(after_s=1.0)
    run.let_go()
    run.link(up=True)
    run.status(DeviceMode.ONLINE, boot_id="b3")
    run.seq += 100
    for _ in range(60):
        run.propose(50.0, after_s=0.5, priority=Priority.RESERVE)
        if sent(run.decision):
            run.ack()
        _obey(run)
        if sent(run.decision):
            run.ack()
    assert run.state.command is not None
    assert run.state.command.setpoint_kw is not None
    assert abs(run.state.command.setpoint_kw - 50.0) < 1.0  # the dead-band
    assert run.state.command.state is CommandState.VERIFIED
    assert run.state.ladder.rung is Rung.ACTIVE


def _obey(run: Cycles) -> None:
    command = run.state.command
    setpoint = None if command is None else command.setpoint_kw
    run.sample(
        setpoint or 0.0,
        after_s=0.5,
        setpoint_kw=setpoint,
        command_id=None if command is None or setpoint is None else command.command_id,
        min_kw=-100.0,
        max_kw=100.0,
    )
