"""The twin of one resource: what every kind must answer, and the state it answers from.

``observe`` folds one accepted sample into the state, ``envelope`` says what the resource can do
from now on, ``project`` runs it forward under given set-points. A twin object holds parameters
only; all that changes is in TwinState, so a restart restores it from a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.kernel.wire import Wire
from controllers.resources.parameters import Parameter, ParameterValue

FloatArray = NDArray[np.float64]


class Vehicle(Wire):
    """One plugged-in vehicle as the twin believes it."""

    session_id: str
    energy_needed_kwh: float
    departs_at: datetime
    max_charge_kw: float


class Reading(Wire):
    """One accepted sample in twin terms: the part of telemetry that physics cares about."""

    measured_at: datetime
    power_kw: float
    setpoint_kw: float | None = None
    """Read-back: what the device is executing; None when it runs free."""
    signals: dict[str, float] = {}
    vehicles: list[Vehicle] = []


class TwinState(Wire):
    """What is believed of a resource; grows only by ``observe``."""

    measured_at: datetime | None = None
    power_kw: float = 0.0
    sigma_kw: float = 0.0
    """One standard deviation of the power estimate."""
    exported_kwh: float = 0.0
    imported_kwh: float = 0.0
    """Integrated from samples (trapezoid; gaps over the stale age are left out)."""
    signals: dict[str, float] = {}
    vehicles: list[Vehicle] = []
    memory: dict[str, float] = {}
    """What a kind must remember, e.g. epoch seconds since when a unit runs, rebound energy owed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRule:
    """Age limit of one signal and what its loss does; the declared stale-data policy."""

    signal: str
    """``power_kw`` or a name from the telemetry's signals."""
    max_age_s: float
    on_stale: str
    """``hold``, ``limit``, ``zero`` or ``release``: see controllers.control.freshness."""
    limit_kw: float = 0.0
    """Bound on absolute power under ``limit``."""
    low: float = float("-inf")
    high: float = float("inf")
    """Readings outside are refused as implausible."""
    frozen_after_s: float = 0.0
    """Unchanged for longer, other than at zero, counts as frozen; 0 switches the check off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A resource run forward over T steps under set-points."""

    power_kw: FloatArray  # [T]
    min_kw: FloatArray  # [T]
    max_kw: FloatArray  # [T]
    energy_kwh: FloatArray  # [T+1], stored energy or energy debt; zeros where a kind has none


class Twin(Protocol):
    """What a kind of resource must provide. Built from complete, checked parameter values."""

    KIND: ClassVar[str]
    PARAMETERS: ClassVar[tuple[Parameter, ...]]

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        """Build from complete, checked values."""
        ...

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Return broken rules between parameters, e.g. a minimum above its maximum."""
        ...

    @property
    def rated_kw(self) -> float:
        """Largest absolute power by name-plate."""
        ...

    @property
    def low_kw(self) -> float:
        """Least power by name-plate."""
        ...

    @property
    def high_kw(self) -> float:
        """Greatest power by name-plate."""
        ...

    @property
    def signal_rules(self) -> tuple[SignalRule, ...]:
        """Signals this kind relies on, with their stale-data policy."""
        ...

    def observe(self, state: TwinState, reading: Reading) -> TwinState:
        """Return the state after an accepted sample."""
        ...

    def envelope(self, state: TwinState, now: datetime) -> Envelope:
        """Return what the resource can do from ``now`` on."""
        ...

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Return the run under ``setpoints_kw`` (NaN = released).

        Args:
            state: where the run starts.
            setpoints_kw: [T], wanted power per step.
            natural_kw: [T], forecast of the power when released (PV yield, base load).
            step_s: length of a step in seconds.
        """
        ...
