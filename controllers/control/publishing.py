"""What the rest of Parkgrid sees of a resource: its state, its health, its refusals.

State goes out with every accepted sample, at once when something others act on has changed, and at
least every second. Refused input is counted always and recorded as a summary now and then, so that
a flood of it does not become a flood of records.
"""

from __future__ import annotations

from controllers.control.commands import ActiveCommand
from controllers.control.contract import DeviceMode
from controllers.control.events import PublishState
from controllers.control.freshness import overall_quality
from controllers.control.state import Turn
from controllers.kernel.states import CommandState, Health, Quality, ResourceState, Rung


def publish(turn: Turn, *, sampled: bool) -> None:
    """Publish the state if it is time to, and ask for a checkpoint now and then."""
    state, settings = turn.state, turn.spec.settings
    if _is_behind(turn):
        return
    quality = overall_quality(state.intake, turn.spec.rules, turn.now)
    health, why = _health(turn, quality)
    headline = _headline(turn, quality, health)
    published_at = state.published_at
    due = published_at is None or turn.since(published_at) >= settings.publish_every_s
    if not (sampled or due or headline != state.headline):
        return
    turn.set(headline=headline, publish_seq=state.publish_seq + 1, published_at=turn.now)
    turn.effects.append(PublishState(state=_view(turn, quality, health, why), sampled=sampled))
    _summarise_refusals(turn)
    _ask_for_checkpoint(turn)


def _is_behind(turn: Turn) -> bool:
    """Tell whether the meter restored from the checkpoint is all there is to publish.

    The predecessor has published later readings, and nobody should see the power jump back.
    """
    state = turn.state
    received_at = state.intake.received_at
    restored = received_at is not None and received_at < state.resumed_at
    return restored and turn.since(state.resumed_at) < turn.spec.settings.resume_quiet_s


def _view(turn: Turn, quality: Quality, health: Health, why: str) -> ResourceState:
    state, spec, twin = turn.state, turn.spec, turn.state.twin
    command = state.command
    return ResourceState(
        id=spec.id,
        kind=spec.definition.kind,
        epoch=state.epoch,
        seq=state.publish_seq,
        published_at=turn.now,
        measured_at=twin.measured_at,
        power_kw=twin.power_kw,
        sigma_kw=twin.sigma_kw,
        quality=quality,
        rung=state.ladder.rung,
        health=health,
        envelope=turn.envelope,
        rated_kw=spec.twin.rated_kw,
        setpoint_kw=None if command is None or command.ended else command.setpoint_kw,
        command=None if command is None else command.view(),
        holder=state.holder,
        holder_until=state.holder_until,
        contenders=state.contenders,
        signals=twin.signals,
        exported_kwh=twin.exported_kwh if state.exported_kwh is None else state.exported_kwh,
        imported_kwh=twin.imported_kwh if state.imported_kwh is None else state.imported_kwh,
        killed=state.kill is not None,
        counters=state.counters,
        detail=why,
    )


def _headline(turn: Turn, quality: Quality, health: Health) -> str:
    # All that others act on except the numbers that move with every sample.
    state, command = turn.state, turn.state.command
    parts = [state.ladder.rung, health, quality, state.holder or "-", state.detail]
    parts.append("killed" if state.kill is not None else "-")
    if command is not None:
        parts += [command.command_id, command.state]
    parts += [f"{c.source_id}={c.outcome}" for c in state.contenders]
    return "|".join(parts)


def _health(turn: Turn, quality: Quality) -> tuple[Health, str]:
    """Return the light and the sentence that explains it."""
    state, command = turn.state, turn.state.command
    failsafe = state.ladder.rung is Rung.FAILSAFE
    if state.n_failures:
        reason = "" if command is None else f": {command.reason}"
        return Health.FAILED, f"{state.n_failures} command(s) in a row not carried out{reason}"
    if state.device_mode is DeviceMode.FAULT:
        return Health.FAILED, f"the device reports a fault: {state.device_detail}"
    if failsafe and quality in (Quality.STALE, Quality.MISSING):
        return Health.FAILED, "failsafe: no heartbeat"
    if command is not None and _is_late(turn, command):
        return Health.DEGRADED, "applied, but the meter does not agree"
    if state.device_mode in (DeviceMode.LOCAL, DeviceMode.OFFLINE):
        return Health.DEGRADED, f"the device is {state.device_mode.value}"
    if not state.link_up:
        return Health.DEGRADED, "no connection to the broker"
    if failsafe:
        return Health.DEGRADED, "failsafe: waiting for a fresh command"
    if quality is not Quality.GOOD:
        return Health.DEGRADED, f"telemetry is {quality.value}"
    return Health.OK, state.detail


def _is_late(turn: Turn, command: ActiveCommand) -> bool:
    if command.state is not CommandState.APPLIED or command.applied_at is None:
        return False
    allowed_s = command.ramp_time_s + turn.spec.settings.verify_margin_s
    return turn.since(command.applied_at) > allowed_s


def _summarise_refusals(turn: Turn) -> None:
    state = turn.state
    if state.counters == state.summarised:
        return
    last = state.summarised_at
    if last is not None and turn.since(last) < turn.spec.settings.refusal_summary_s:
        return
    grown = {
        name: count - state.summarised.get(name, 0)
        for name, count in state.counters.items()
        if count != state.summarised.get(name, 0)
    }
    turn.set(summarised=state.counters, summarised_at=turn.now)
    turn.record("refusals", **grown)


def _ask_for_checkpoint(turn: Turn) -> None:
    last = turn.state.checkpointed_at
    if last is None or turn.since(last) >= turn.spec.settings.checkpoint_every_s:
        turn.durable = True
    if turn.durable:
        turn.set(checkpointed_at=turn.now)
