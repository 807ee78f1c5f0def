"""Scenarios drawn from quantile forecasts by a Gaussian copula.

Each quantity's errors follow a Gaussian process in time with covariance ``exp(-|t - t'| / tau)``,
fed by noise that is correlated between quantities; its ranks pick values between the quantiles
(P. Pinson et al., From probabilistic forecasts to statistical scenarios of short-term wind power
production, Wind Energy 12, 2009; the exponential covariance is theirs as well).
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from optimization.checks import FloatArray


def draw_ranks(
    rng: np.random.Generator,
    n_drawn: int,
    middle_h: FloatArray,
    correlation_h: FloatArray,
    cross: FloatArray,
) -> FloatArray:
    """Return ranks in 0 to 1, each uniform by itself, [N, K, T].

    Args:
        rng: seeded.
        n_drawn: N.
        middle_h: [T], rising.
        correlation_h: [K], time over which a quantity's errors fade to 1/e.
        cross: [K, K], correlation of the noise of two quantities; positive semidefinite. It is that
            of their errors where both fade alike, else theirs is weaker.
    """
    values, vectors = np.linalg.eigh(cross)
    mix = vectors * np.sqrt(np.clip(values, 0.0, None))
    noise = np.einsum("kj,njt->nkt", mix, rng.standard_normal((n_drawn, len(cross), len(middle_h))))
    kept = np.exp(-np.diff(middle_h) / correlation_h[:, None])
    # The exponential covariance is that of a process that only remembers its last value.
    errors = np.empty_like(noise)
    errors[:, :, 0] = noise[:, :, 0]
    for t in range(1, len(middle_h)):
        share = kept[:, t - 1]
        errors[:, :, t] = share * errors[:, :, t - 1] + np.sqrt(1 - share**2) * noise[:, :, t]
    return np.asarray(ndtr(errors))


def at_ranks(ranks: FloatArray, levels: FloatArray, values: FloatArray) -> FloatArray:
    """Return a forecast's values [N, T] at ranks [N, T], linear between its quantiles.

    Args:
        ranks: in 0 to 1.
        levels: [L], rising.
        values: [L, T]; beyond the outermost level the outermost value holds.
    """
    columns = [np.interp(ranks[:, t], levels, values[:, t]) for t in range(ranks.shape[1])]
    return np.stack(columns, axis=1)
