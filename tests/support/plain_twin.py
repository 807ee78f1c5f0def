"""A twin whose envelope is whatever the test says: given at first, moved by signals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import msgspec
import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.parameters import Parameter, ParameterValue
from controllers.resources.twin import (
    FloatArray,
    Projection,
    Reading,
    SignalRule,
    TwinState,
)


class PlainTwin:
    """A resource between two powers; the signals ``min_kw``, ``max_kw``, ``natural_kw`` move it."""

    KIND: ClassVar[str] = "plain"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = ()

    def __init__(
        self,
        values: Mapping[str, ParameterValue] | None = None,
        *,
        envelope: Envelope | None = None,
        rules: tuple[SignalRule, ...] = (),
    ) -> None:
        self._envelope = envelope or make_envelope()
        self._rules = rules

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Find nothing wrong."""
        return []

    @property
    def rated_kw(self) -> float:
        """Greatest absolute power of the envelope it began with."""
        return max(abs(self._envelope.min_kw), abs(self._envelope.max_kw))

    @property
    def signal_rules(self) -> tuple[SignalRule, ...]:
        """The rules it was given."""
        return self._rules

    def observe(self, state: TwinState, reading: Reading) -> TwinState:
        """Believe the reading."""
        return msgspec.structs.replace(
            state,
            measured_at=reading.measured_at,
            power_kw=reading.power_kw,
            signals={**state.signals, **reading.signals},
        )

    def envelope(self, state: TwinState, now: datetime) -> Envelope:
        """Return the envelope it began with, as moved by signals."""
        moved = {k: v for k, v in state.signals.items() if k in ("min_kw", "max_kw", "natural_kw")}
        return msgspec.structs.replace(self._envelope, **moved)

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Follow the set-points exactly."""
        power = np.where(np.isnan(setpoints_kw), natural_kw, setpoints_kw)
        low = np.full_like(power, self._envelope.min_kw)
        high = np.full_like(power, self._envelope.max_kw)
        return Projection(
            power_kw=power, min_kw=low, max_kw=high, energy_kwh=np.zeros(len(power) + 1)
        )


def make_envelope(**given: float) -> Envelope:
    """Return an envelope of -100..100 kW at 600 kW/min; any field may be given."""
    values: dict[str, float] = {
        "min_kw": -100.0,
        "max_kw": 100.0,
        "ramp_up_kw_per_min": 600.0,
        "ramp_down_kw_per_min": 600.0,
        "energy_up_kwh": 1000.0,
        "energy_down_kwh": 1000.0,
    }
    return Envelope(**(values | given))
