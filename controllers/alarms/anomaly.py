"""Tells what is unlike its own recent past: robust exponential smoothing with a z-score.

Mean and scale follow each subject with exponentially fading memory; a measurement far away pulls at
neither more than a bounded amount, so that an outlier does not hide the next one. It is the robust
smoothing without trend of Gelper, Fried and Croux (Robust forecasting with exponential and
Holt-Winters smoothing, Journal of Forecasting 29, 2010): Huber's psi with k = 2 cleans what the
mean sees, Tukey's biweight with k = 2 bounds what the scale sees. Both start from median and MAD of
a warm-up, during which nothing is judged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_K = 2.0
_BIWEIGHT_SCALE = 2.52
"""Makes the expected rho of a standard normal one, for k = 2."""
_MAD_TO_SIGMA = 1.4826


class RobustLevel:
    """Mean and scale of many subjects.

    Args:
        n: number of subjects.
        half_life_s: after so long a measurement counts half.
        warm_up: measurements before the first judgement.
        min_scale: least scale, in the signal's unit.
    """

    def __init__(self, n: int, *, half_life_s: float, warm_up: int, min_scale: float) -> None:
        self._half_life_s = half_life_s
        self._min_scale = min_scale
        self._first = np.full((n, warm_up), np.nan)  # [subjects, measurements]
        self._n_seen = np.zeros(n, dtype=np.int64)
        self._mean = np.full(n, np.nan)
        self._scale = np.full(n, np.nan)
        self._measured_at_s = np.full(n, -np.inf)

    def score(self, values: FloatArray, measured_at_s: FloatArray) -> FloatArray:
        """Return how far values are from their past, in standard deviations; learns new ones.

        Args:
            values: [subjects]; NaN where unknown.
            measured_at_s: [subjects]; a value not newer than the last is judged, not learnt again.

        Returns:
            z-scores [subjects], magnitudes; NaN during warm-up.
        """
        z: FloatArray = np.abs(values - self._mean) / self._scale
        fresh = (measured_at_s > self._measured_at_s) & ~np.isnan(values)
        warm = fresh & ~np.isnan(self._mean)
        self._learn(np.flatnonzero(warm), values, measured_at_s)
        self._warm_up(np.flatnonzero(fresh & ~warm), values)
        self._measured_at_s[fresh] = measured_at_s[fresh]
        return z

    def _learn(self, rows: NDArray[np.intp], values: FloatArray, measured_at_s: FloatArray) -> None:
        mean, scale = self._mean[rows], self._scale[rows]
        since_s = measured_at_s[rows] - self._measured_at_s[rows]
        weight = 1.0 - 0.5 ** (np.minimum(since_s, self._half_life_s) / self._half_life_s)
        residual = (values[rows] - mean) / scale
        bounded = np.minimum(np.abs(residual) / _K, 1.0)
        rho = _BIWEIGHT_SCALE * (1.0 - (1.0 - bounded**2) ** 3)
        fading = np.sqrt(weight * rho * scale**2 + (1.0 - weight) * scale**2)
        self._scale[rows] = np.maximum(fading, self._min_scale)
        self._mean[rows] = mean + weight * np.clip(residual, -_K, _K) * scale

    def _warm_up(self, rows: NDArray[np.intp], values: FloatArray) -> None:
        self._first[rows, self._n_seen[rows]] = values[rows]
        self._n_seen[rows] += 1
        done = rows[self._n_seen[rows] == self._first.shape[1]]
        if done.size:
            first = self._first[done]
            self._mean[done] = np.median(first, axis=1)
            spread = np.median(np.abs(first - self._mean[done, None]), axis=1)
            self._scale[done] = np.maximum(_MAD_TO_SIGMA * spread, self._min_scale)
