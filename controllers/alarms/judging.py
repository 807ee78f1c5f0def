"""One condition over all subjects of a rule at once: abnormal, normal, or neither.

Between the limit and the hysteresis, and where a value is unknown, a judge says neither: what
stands stays. Each judge keeps what it must remember of its subjects.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from controllers.alarms.anomaly import RobustLevel
from controllers.alarms.rules import (
    Anomaly,
    AnyCondition,
    Deviation,
    MissingData,
    NotApplied,
    RateOfChange,
    Threshold,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_WINDOW_PARTS = 20
"""Places kept of a window; its length is exact to one of them."""
_MIN_WINDOW_FRAC = 0.5
_RELEASE_FRAC = 0.8
"""A rate or a score is normal again below this part of its limit."""
_REFUSED = 0.5


class Inputs(NamedTuple):
    """What a judge sees, one value per subject of the rule."""

    now_s: float
    values: FloatArray  # [subjects]
    planned: FloatArray  # [subjects], set-point or target
    refused: FloatArray  # [subjects], 1 where the last command was refused
    measured_at_s: FloatArray  # [subjects]


class Verdict(NamedTuple):
    """What a judge says."""

    abnormal: BoolArray  # [subjects]
    normal: BoolArray  # [subjects]
    figure: FloatArray  # [subjects], what was compared with the limit


class Judge(Protocol):
    """Judges one condition."""

    def judge(self, inputs: Inputs) -> Verdict:
        """Return the verdict as of now; call it once per turn."""
        ...


def judge_of(condition: AnyCondition, n: int) -> Judge:
    """Return a judge of a condition over ``n`` subjects."""
    match condition:
        case Threshold():
            return _ThresholdJudge(condition)
        case RateOfChange():
            return _RateJudge(condition)
        case MissingData():
            return _AgeJudge(condition)
        case Deviation():
            return _DeviationJudge(condition)
        case NotApplied():
            return _CommandJudge(condition)
        case Anomaly():
            return _AnomalyJudge(condition, n)


class _ThresholdJudge:
    def __init__(self, condition: Threshold) -> None:
        self._above = np.inf if condition.above is None else condition.above
        self._below = -np.inf if condition.below is None else condition.below
        self._hysteresis = condition.hysteresis

    def judge(self, inputs: Inputs) -> Verdict:
        values = inputs.values
        abnormal = (values > self._above) | (values < self._below)
        high, low = self._above - self._hysteresis, self._below + self._hysteresis
        normal = (values <= high) & (values >= low)
        return Verdict(abnormal, normal, values)


class _RateJudge:
    def __init__(self, condition: RateOfChange) -> None:
        self._rise = np.inf if condition.rise_per_min is None else condition.rise_per_min
        self._fall = np.inf if condition.fall_per_min is None else condition.fall_per_min
        self._window_s = condition.window_s
        self._past: deque[tuple[float, FloatArray]] = deque()

    def judge(self, inputs: Inputs) -> Verdict:
        now_s, values, past = inputs.now_s, inputs.values, self._past
        while past and now_s - past[0][0] > self._window_s:
            past.popleft()
        if past and now_s - past[0][0] >= _MIN_WINDOW_FRAC * self._window_s:
            then_s, then = past[0]
            per_min: FloatArray = (values - then) / (now_s - then_s) * 60.0
        else:
            per_min = np.full(len(values), np.nan)
        if not past or now_s - past[-1][0] >= self._window_s / _WINDOW_PARTS:
            past.append((now_s, values.copy()))
        abnormal = (per_min > self._rise) | (per_min < -self._fall)
        calm = (per_min <= _RELEASE_FRAC * self._rise) & (per_min >= -_RELEASE_FRAC * self._fall)
        return Verdict(abnormal, calm, per_min)


class _AgeJudge:
    def __init__(self, condition: MissingData) -> None:
        self._max_age_s = condition.max_age_s

    def judge(self, inputs: Inputs) -> Verdict:
        age_s = inputs.values
        return Verdict(age_s > self._max_age_s, age_s <= self._max_age_s, age_s)


class _DeviationJudge:
    def __init__(self, condition: Deviation) -> None:
        self._condition = condition

    def judge(self, inputs: Inputs) -> Verdict:
        condition, planned = self._condition, inputs.planned
        away = inputs.values - planned
        allowed = np.fmax(condition.tolerance_kw, condition.tolerance_frac * np.abs(planned))
        free = np.isnan(planned) & ~np.isnan(inputs.values)
        normal = free | (np.abs(away) <= allowed - condition.hysteresis_kw)
        return Verdict(np.abs(away) > allowed, normal, away)


class _CommandJudge:
    def __init__(self, condition: NotApplied) -> None:
        self._within_s = condition.within_s

    def judge(self, inputs: Inputs) -> Verdict:
        known = ~np.isnan(inputs.refused)
        refused = inputs.refused > _REFUSED
        late = inputs.values > self._within_s
        return Verdict(known & (late | refused), known & ~late & ~refused, inputs.values)


class _AnomalyJudge:
    def __init__(self, condition: Anomaly, n: int) -> None:
        self._z = condition.z
        self._level = RobustLevel(
            n,
            half_life_s=condition.half_life_s,
            warm_up=condition.warm_up,
            min_scale=condition.min_scale,
        )

    def judge(self, inputs: Inputs) -> Verdict:
        z = self._level.score(inputs.values, inputs.measured_at_s)
        return Verdict(z > self._z, z <= _RELEASE_FRAC * self._z, z)
