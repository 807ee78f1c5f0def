"""Recorded streams of control events lead to the recorded effects, to the byte.

``data/control_*/events.jsonl`` holds one event per line with its instant, ``effects.jsonl`` what
was decided. A change of behaviour shows as a diff of the second file: look at it, then record anew
with ``python -m tests.golden.test_control_replay``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from controllers.control.contract import AckResult, DeviceMode
from controllers.control.events import AnyEffect, AnyEvent, InputRefused
from controllers.control.resource import decide, resume
from controllers.control.state import ControlState, Decision, ResourceSpec
from controllers.kernel.states import Priority
from controllers.kernel.wire import Wire, decode, encode
from controllers.resources.twin import SignalRule
from tests.support.cycles import START, Cycles, make_spec
from tests.support.plain_twin import PlainTwin, make_envelope

_DATA = Path(__file__).parent / "data"
_CASE = "control_day"


class Happened(Wire):
    """One line of a recorded stream; without an event the process was restarted."""

    at: datetime
    event: AnyEvent | None


class Decided(Wire):
    """What was decided on the line of the same number."""

    durable: bool
    effects: list[AnyEffect]


def _spec() -> ResourceSpec:
    rules = (
        SignalRule(signal="power_kw", max_age_s=5.0, on_stale="hold", low=-200.0, high=200.0),
        SignalRule(signal="soc_frac", max_age_s=20.0, on_stale="zero", low=0.0, high=1.0),
    )
    envelope = make_envelope(
        dead_band_kw=0.5, ramp_up_kw_per_min=1200.0, exclusion_low_kw=-2.0, exclusion_high_kw=2.0
    )
    return make_spec(PlainTwin(envelope=envelope, rules=rules), fallback="zero")


def _replay(lines: list[Happened]) -> list[Decided]:
    spec, epoch = _spec(), 0
    state: ControlState | None = None
    decided = []
    for line in lines:
        if line.event is None or state is None:
            epoch += 1
            restored = None if state is None else decode(encode(state), ControlState)
            decision = resume(spec, epoch, restored, line.at)
        else:
            decision = decide(spec, state, line.event, line.at)
        state = decision.state
        decided.append(Decided(durable=decision.durable, effects=decision.effects))  # type: ignore[arg-type]
    return decided


def _lines(name: str) -> list[str]:
    return (_DATA / _CASE / name).read_text(encoding="utf-8").splitlines()


def test_a_recorded_day_of_trouble_replays_to_the_same_effects() -> None:
    stream = [decode(line.encode(), Happened) for line in _lines("events.jsonl")]
    decided = [encode(d).decode() for d in _replay(stream)]
    expected = _lines("effects.jsonl")
    assert len(decided) == len(expected)
    for number, (got, wanted) in enumerate(zip(decided, expected, strict=True), start=1):
        assert json.loads(got) == json.loads(wanted), f"line {number}: {stream[number - 1]}"
        assert got == wanted, f"line {number}"


@pytest.mark.parametrize("name", ["events.jsonl", "effects.jsonl"])
def test_the_recording_is_the_one_described(name: str) -> None:
    metadata = json.loads((_DATA / _CASE / "metadata.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((_DATA / _CASE / name).read_bytes()).hexdigest()
    assert metadata["sha256"][name] == digest


@dataclass
class _Recorder(Cycles):
    """A run that writes down what happens to it."""

    happened: list[Happened] = field(default_factory=list)

    def apply(self, event: AnyEvent, *, after_s: float = 0.0) -> Decision:
        decision = super().apply(event, after_s=after_s)
        self.happened.append(Happened(at=self.now, event=event))
        return decision

    def restart(self, *, after_s: float = 0.0) -> Decision:
        decision = super().restart(after_s=after_s)
        self.happened.append(Happened(at=self.now, event=None))
        return decision


def _follow(run: _Recorder, seconds: int) -> None:
    """Let a device follow its command for a while, renewed by nobody."""
    for i in range(seconds):
        command = run.state.command
        setpoint = None if command is None else command.setpoint_kw
        power = (setpoint or 0.0) + 0.1 * (i % 3)
        own = None if command is None or setpoint is None else command.command_id
        run.sample(power, setpoint_kw=setpoint, command_id=own, soc_frac=0.5 - 0.001 * i)


def _day_of_trouble() -> list[Happened]:
    spec = _spec()
    first = resume(spec, 1, None, START)
    run = _Recorder(spec=spec, state=first.state, now=START, decision=first)
    run.happened.append(Happened(at=START, event=None))
    _dispatch_and_bad_input(run)
    _outages_and_emergency_stop(run)
    return run.happened


def _dispatch_and_bad_input(run: _Recorder) -> None:
    run.link(up=True, after_s=0.3)
    run.status(DeviceMode.ONLINE)
    _follow(run, 3)
    run.propose(50.0, instruction_id="i1", lifetime_s=60.0)
    run.ack()
    _follow(run, 20)  # delivered, kept alive
    run.propose(None, source="grid", priority=Priority.GRID_LIMIT, max_kw=30.0)
    run.propose(-40.0, source="vpp2")  # refused: held by vpp1
    run.ack()
    _follow(run, 12)
    run.sample(30.0, seq=run.seq)  # duplicate
    run.sample(30.0, age_s=300.0)  # late
    run.sample(30.0, age_s=-86_400.0)  # from tomorrow
    run.sample(999.0)  # implausible
    run.apply(InputRefused(kind="telemetry", reason="not JSON"))
    run.ack(command_id="res1-9-9")
    run.override(1.0, for_s=20.0)  # into the exclusion band
    run.ack(AckResult.REJECTED, reason="local mode")
    _follow(run, 5)
    run.ack()
    _follow(run, 20)


def _outages_and_emergency_stop(run: _Recorder) -> None:
    run.propose(70.0, lifetime_s=300.0)
    run.ack()
    _follow(run, 2)
    run.restart(after_s=2.0)
    run.link(up=True, after_s=0.2)
    run.ack()
    _follow(run, 4)
    run.link(up=False)
    run.wait(40.0)  # expired, failsafe
    run.link(up=True)
    run.status(DeviceMode.ONLINE, boot_id="b2")
    run.ack()
    run.seq = 0
    _follow(run, 4)
    run.propose(20.0, seq=1000)
    run.ack()
    _follow(run, 4)
    run.kill()
    run.ack()
    _follow(run, 3)
    run.restart(after_s=1.0)
    run.link(up=True)
    run.release_kill(after_s=1.0)
    run.ack()
    _follow(run, 3)
    run.propose(20.0, seq=1001)
    run.wait(8.0)  # never answered, telemetry stale


def record() -> None:
    """Write the case anew."""
    folder = _DATA / _CASE
    folder.mkdir(parents=True, exist_ok=True)
    stream = _day_of_trouble()
    files = {
        "events.jsonl": [encode(line) for line in stream],
        "effects.jsonl": [encode(line) for line in _replay(stream)],
    }
    digests = {}
    for name, lines in files.items():
        payload = b"\n".join(lines) + b"\n"
        (folder / name).write_bytes(payload)
        digests[name] = hashlib.sha256(payload).hexdigest()
    metadata = {
        "source": "recorded from the script in tests/golden/test_control_replay.py",
        "licence": "Apache-2.0",
        "recorded": "2026-11-21",
        "sha256": digests,
    }
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
