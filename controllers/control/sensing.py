"""What the device says of itself: samples and status, folded into the state."""

from __future__ import annotations

import msgspec

from controllers.control.contract import DeviceMode, Status, Telemetry
from controllers.control.delivery import take_evidence
from controllers.control.failsafe import with_heartbeat
from controllers.control.freshness import POWER, Verdict, admit, signal_quality
from controllers.control.state import Turn
from controllers.kernel.states import Quality
from controllers.resources.twin import Reading, Vehicle


def take_sample(turn: Turn, sample: Telemetry) -> bool:
    """Fold a sample; returns whether it was accepted."""
    state, spec = turn.state, turn.spec
    admission = admit(state.intake, sample, spec.rules, spec.settings.intake, turn.now)
    if admission.verdict is not Verdict.ACCEPTED:
        turn.set(intake=admission.intake)
        turn.count(f"samples_{admission.verdict.value}")
        return False
    reading = Reading(
        measured_at=sample.measured_at,
        power_kw=sample.power_kw,
        setpoint_kw=sample.setpoint_kw,
        signals=dict(admission.signals),
        vehicles=_vehicles(sample),
    )
    turn.set(
        intake=admission.intake,
        exported_kwh=_register(sample.exported_kwh, state.exported_kwh),
        imported_kwh=_register(sample.imported_kwh, state.imported_kwh),
    )
    turn.observe(spec.twin.observe(state.twin, reading))
    if admission.n_implausible:
        turn.count("readings_implausible", admission.n_implausible)
    if admission.restarted:
        turn.count("restarts_unannounced")
        turn.set(refresh_after=turn.now)
    _hear(turn)
    take_evidence(turn, sample)
    return True


def take_status(turn: Turn, status: Status) -> None:
    """Fold the device's status or last will."""
    state = turn.state
    if state.intake.boot_id not in (None, status.boot_id):
        turn.count("device_restarts")
        # It numbers its samples anew, and may have forgotten its command.
        intake = msgspec.structs.replace(state.intake, last_seq=None)
        turn.set(intake=intake, refresh_after=turn.now)
    intake = msgspec.structs.replace(turn.state.intake, boot_id=status.boot_id)
    returned = state.device_mode is DeviceMode.OFFLINE and status.mode is not DeviceMode.OFFLINE
    if returned:
        turn.set(refresh_after=turn.now, listening_since=turn.now)
    turn.set(intake=intake, device_mode=status.mode, device_detail=status.detail or "")


def _hear(turn: Turn) -> None:
    state, settings = turn.state, turn.spec.settings
    if state.device_mode is DeviceMode.OFFLINE:
        # An old last will: whoever reports is there.
        turn.set(device_mode=DeviceMode.ONLINE, device_detail="", refresh_after=turn.now)
    # What is already too old on arrival proves a backlog, not a live link.
    rule = next(rule for rule in turn.spec.rules if rule.signal == POWER)
    if signal_quality(turn.state.intake, rule, turn.now) in (Quality.GOOD, Quality.FROZEN):
        timeout_s = settings.heartbeat_timeout_s
        turn.set(ladder=with_heartbeat(state.ladder, turn.now, timeout_s=timeout_s))


def _vehicles(sample: Telemetry) -> list[Vehicle]:
    return [
        Vehicle(
            session_id=session.session_id,
            energy_needed_kwh=session.energy_needed_kwh,
            departs_at=session.departs_at,
            max_charge_kw=session.max_charge_kw,
        )
        for session in sample.sessions
    ]


def _register(read: float | None, before: float | None) -> float | None:
    return before if read is None else read
