"""Split one power target exactly over many members, by merit and headroom.

Members start from a base and all move the same way. To raise the sum the cheapest members move
first, to lower it the dearest; members of equal merit share in proportion to their headroom (or to
given weights). Ramps narrow the reach of one step. A member with an exclusion band must end below
or above it: which side is a small exact search (at most ``SEARCHED`` members at once), after which
every member has one plain interval and the sum is met exactly if it can be met at all. Members
whose set-point would change by less than their dead band keep it and the others make up for it;
only when nobody else can does the member with the finest dead band move.

There is no loop over members: the cost is a few passes over the arrays. Power in kW,
injection positive; merit is the marginal cost of injecting one more MWh.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SEARCHED = 10
"""Members with a choice of side that are searched exhaustively (2**SEARCHED combinations)."""

_EPS_KW = 1e-9
_EPS_MERIT = 1e-9
_N_BINS = 1024
_FEW = 512
_SIDES = (np.arange(2**SEARCHED)[:, None] >> np.arange(SEARCHED)[None, :]) & 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitResult:
    """Set-points and what they leave open."""

    setpoints_kw: FloatArray  # [n]
    unserved_kw: float
    """Target minus the sum of the set-points; zero (within 1e-6 kW) whenever it can be met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Members:
    """Where members may go in this step and how soon, all [n]."""

    low_kw: FloatArray
    high_kw: FloatArray
    base_kw: FloatArray
    current_kw: FloatArray
    merit: FloatArray
    weight: FloatArray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lumps:
    """The members that have an exclusion band, all [m]."""

    at: NDArray[np.intp]
    """Their indices among all members."""
    lower_kw: FloatArray
    upper_kw: FloatArray
    was_high: BoolArray
    """Nearer to the upper side now."""

    def part(self, mask: BoolArray) -> _Lumps:
        """Return some of them."""
        chosen = np.flatnonzero(mask)
        return _Lumps(
            at=self.at[chosen],
            lower_kw=self.lower_kw[chosen],
            upper_kw=self.upper_kw[chosen],
            was_high=self.was_high[chosen],
        )

    def inside(self, power_kw: FloatArray) -> BoolArray:
        """Tell whose power [m] lies in its band."""
        return (power_kw > self.lower_kw) & (power_kw < self.upper_kw)


def split(
    target_kw: float,
    *,
    min_kw: ArrayLike,
    max_kw: ArrayLike,
    current_kw: ArrayLike,
    merit_per_mwh: ArrayLike = 0.0,
    base_kw: ArrayLike | None = None,
    ramp_up_kw: ArrayLike | None = None,
    ramp_down_kw: ArrayLike | None = None,
    exclusion_low_kw: ArrayLike | None = None,
    exclusion_high_kw: ArrayLike | None = None,
    dead_band_kw: ArrayLike | None = None,
    weight: ArrayLike | None = None,
) -> SplitResult:
    """Return the set-points whose sum is ``target_kw``, or comes as close as the members can.

    A set-point may cross an exclusion band in one step even if the ramp ends inside it (the device
    ramps through); otherwise no unit could ever start. A member whose whole interval lies in its
    band has no allowed point: it stays as near to ``current_kw`` as its bounds let it.

    Args:
        target_kw: wanted sum.
        min_kw: [n] least set-points; scalars are broadcast here and below.
        max_kw: [n] greatest set-points.
        current_kw: [n] set-points now; ramps, dead bands and the habit of a lumpy member to stay on
            its side count from here. Its shape sets n.
        merit_per_mwh: [n] marginal cost of injecting one more MWh.
        base_kw: [n] where members start from, e.g. their plan or natural power; default is
            ``current_kw``.
        ramp_up_kw: [n] greatest rise in this step; default is no limit.
        ramp_down_kw: [n] greatest fall in this step, as a magnitude.
        exclusion_low_kw: [n] lower end of the open band without set-points.
        exclusion_high_kw: [n] its upper end; equal ends mean no band.
        dead_band_kw: [n] changes smaller than this are avoided.
        weight: [n] share within equal merit (e.g. stored energy); default is the headroom in kW.

    Raises:
        ValueError: a number is not finite, or a minimum lies above its maximum.
    """
    current = np.atleast_1d(np.asarray(current_kw, dtype=np.float64))
    n = current.shape[0]
    minimum, maximum = _column("min_kw", min_kw, n), _column("max_kw", max_kw, n)
    if not np.isfinite(target_kw) or not np.isfinite(current).all():
        raise ValueError("target_kw and current_kw must be finite")
    if (minimum > maximum).any():
        i = int(np.argmax(minimum > maximum))
        raise ValueError(f"min_kw[{i}] = {minimum[i]!r} must not be above max_kw = {maximum[i]!r}")
    low, high = minimum, maximum
    if ramp_down_kw is not None:
        low = np.clip(current - _ramp(ramp_down_kw, n), minimum, maximum)
    if ramp_up_kw is not None:
        high = np.clip(current + _ramp(ramp_up_kw, n), minimum, maximum)
    members = _Members(
        low_kw=low,
        high_kw=high,
        base_kw=current if base_kw is None else _column("base_kw", base_kw, n),
        current_kw=current,
        merit=_column("merit_per_mwh", merit_per_mwh, n),
        weight=None if weight is None else _column("weight", weight, n),
    )
    if exclusion_low_kw is None or exclusion_high_kw is None:
        setpoints = _fill(target_kw, members)
    else:
        lower = _column("exclusion_low_kw", exclusion_low_kw, n)
        upper = _column("exclusion_high_kw", exclusion_high_kw, n)
        bands = _Lumps(
            at=np.arange(n),
            lower_kw=lower,
            upper_kw=upper,
            was_high=current > (lower + upper) / 2.0,
        ).part(lower < upper)
        members, setpoints = _fill_lumpy(target_kw, members, (minimum, maximum), bands)
    if dead_band_kw is not None:
        dead_band = _column("dead_band_kw", dead_band_kw, n)
        setpoints = _keep_small(target_kw, members, setpoints, dead_band)
    return SplitResult(setpoints_kw=setpoints, unserved_kw=float(target_kw - setpoints.sum()))


def _column(name: str, values: ArrayLike, n: int) -> FloatArray:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (n,):
        column = np.broadcast_to(column, (n,))
    if not np.isfinite(column).all():
        raise ValueError(f"{name} must be finite")
    return column


def _ramp(values: ArrayLike, n: int) -> FloatArray:
    ramp = np.broadcast_to(np.asarray(values, dtype=np.float64), (n,))
    if not (ramp >= 0.0).all():
        raise ValueError("ramps must be zero or positive")
    return ramp


def _fill(target_kw: float, members: _Members) -> FloatArray:
    """Move all members from their base in one direction until the sum is met."""
    base = np.clip(members.base_kw, members.low_kw, members.high_kw)
    gap_kw = target_kw - float(base.sum())
    rising = gap_kw >= 0.0
    room = members.high_kw - base if rising else base - members.low_kw
    wanted = abs(gap_kw)
    if float(room.sum()) <= wanted:
        return (members.high_kw if rising else members.low_kw).copy()
    merit = members.merit if rising else -members.merit
    marginal = _marginal_merit(wanted, room, merit)
    shares = merit == marginal
    if shares.all():
        move = _share(wanted, room, members.weight)
    else:
        move = room * (merit < marginal)
        group = np.flatnonzero(shares)
        weight = None if members.weight is None else members.weight[group]
        move[group] = _share(wanted - float(move.sum()), room[group], weight)
    # Base plus room may round beyond the limit.
    return np.clip(base + move if rising else base - move, members.low_kw, members.high_kw)


def _marginal_merit(wanted: float, room: FloatArray, merit: FloatArray) -> float:
    """Return the merit up to which the cheapest room adds up to ``wanted``.

    A histogram of room over merit names the bin of the answer, and that bin is looked into in turn:
    several times faster than sorting, whatever the distribution.
    """
    while True:
        least = float(merit.min())
        span = float(merit.max()) - least
        if span <= _EPS_MERIT or len(merit) <= _FEW:
            break
        bins = ((merit - least) * (_N_BINS / span)).astype(np.intp)
        reached = np.cumsum(np.bincount(bins, weights=room))
        at = min(int(np.searchsorted(reached, wanted)), len(reached) - 1)
        wanted -= float(reached[at - 1]) if at else 0.0
        chosen = bins == at
        merit, room = merit[chosen], room[chosen]
    order = np.argsort(merit)
    at = min(int(np.searchsorted(np.cumsum(room[order]), wanted)), len(order) - 1)
    return float(merit[order[at]])


def _share(wanted: float, room: FloatArray, weight: FloatArray | None) -> FloatArray:
    """Share ``wanted`` over members of equal merit, nobody beyond its room."""
    total = float(room.sum())
    if total <= 0.0:
        return np.zeros_like(room)
    if weight is None or not (weight > 0.0).any():
        return room * min(max(wanted / total, 0.0), 1.0)
    # A weight of zero goes last, not never.
    weight = np.maximum(weight, 1e-9 * float(weight.max()))
    move: FloatArray = np.minimum(weight * _level(wanted, room, weight), room)
    # The sums above round differently from this one; the widest vessel takes the difference.
    error = wanted - float(move.sum())
    slack = room - move if error > 0.0 else move
    widest = int(np.argmax(slack))
    move[widest] += np.sign(error) * min(abs(error), float(slack[widest]))
    return move


def _level(wanted: float, room: FloatArray, weight: FloatArray) -> float:
    """Return the level at which ``wanted`` has run into connected vessels.

    Vessels are as wide as their weights and hold their room; all rise together, the full ones stop.
    From turn to turn the level only rises, so each turn adds to the full ones or is the last.
    """
    full = np.zeros(len(room), dtype=np.bool_)
    level, n_full = 0.0, 0
    while n_full < len(room):
        level = (wanted - float((room * full).sum())) / float((weight * ~full).sum())
        full = room <= level * weight
        n_before, n_full = n_full, int(np.count_nonzero(full))
        if n_full <= n_before:
            break
    return level


def _fill_lumpy(
    target_kw: float, members: _Members, physical: tuple[FloatArray, FloatArray], bands: _Lumps
) -> tuple[_Members, FloatArray]:
    """Fill with every member outside its band; each is returned with one plain interval."""
    members, lumps = _keep_out(members, physical, bands)
    setpoints = _fill(target_kw, members)
    between = lumps.inside(setpoints[lumps.at])
    if int(between.sum()) > 1:
        setpoints = _one_after_another(target_kw, members, lumps.part(between), setpoints)
    go_high = _search(target_kw, members, lumps, setpoints)
    low, high = members.low_kw.copy(), members.high_kw.copy()
    low[lumps.at[go_high]] = lumps.upper_kw[go_high]
    high[lumps.at[~go_high]] = lumps.lower_kw[~go_high]
    members = replace(members, low_kw=low, high_kw=high)
    if between.any():
        setpoints = _fill(target_kw, members)
    return members, setpoints


def _keep_out(
    members: _Members, physical: tuple[FloatArray, FloatArray], lumps: _Lumps
) -> tuple[_Members, _Lumps]:
    """Move bounds and bases out of the bands; return the lumps that still have both sides."""
    at, lower, upper = lumps.at, lumps.lower_kw, lumps.upper_kw
    minimum, maximum = physical[0][at], physical[1][at]
    floor = np.where(lumps.inside(minimum), upper, minimum)
    ceiling = np.where(lumps.inside(maximum), lower, maximum)
    nowhere = floor > ceiling
    low, high = members.low_kw[at], members.high_kw[at]
    # The ramp ends inside the band: the far edge is within reach all the same.
    high = np.where(
        (high >= lower) & (high < upper), np.where(ceiling >= upper, upper, lower), high
    )
    low = np.where((low > lower) & (low <= upper), np.where(floor <= lower, lower, upper), low)
    held = np.clip(members.current_kw[at], minimum, maximum)
    low, high = np.where(nowhere, held, low), np.where(nowhere, held, high)
    base = members.base_kw[at]
    base = np.where(lumps.inside(base), np.where(lumps.was_high, upper, lower), base)
    may_choose = ~nowhere & (low <= lower) & (high >= upper)
    members = replace(
        members,
        low_kw=_replaced(members.low_kw, at, low),
        high_kw=_replaced(members.high_kw, at, high),
        base_kw=_replaced(members.base_kw, at, base),
    )
    return members, lumps.part(may_choose)


def _replaced(column: FloatArray, at: NDArray[np.intp], values: FloatArray) -> FloatArray:
    column = column.copy()
    column[at] = values
    return column


def _one_after_another(
    target_kw: float, members: _Members, between: _Lumps, setpoints: FloatArray
) -> FloatArray:
    """Give what lumpy members of equal merit would share to as few of them as possible."""
    low, high = members.low_kw, members.high_kw
    base = np.clip(members.base_kw, low, high)
    rising = target_kw >= float(base.sum())
    # Those already on the side they would move to go first: nothing has to be switched.
    ready = between.was_high == rising
    at = np.concatenate([between.at[ready], between.at[~ready]])
    room = (high - base if rising else base - low)[at]
    wanted = float(np.abs(setpoints - base)[at].sum())
    move = np.clip(wanted - (np.cumsum(room) - room), 0.0, room)
    moved = base[at] + move if rising else base[at] - move
    return _replaced(setpoints, at, np.clip(moved, low[at], high[at]))


def _search(target_kw: float, members: _Members, lumps: _Lumps, setpoints: FloatArray) -> BoolArray:
    """Return which lumps [m] take their upper side.

    Every combination of the members at the margin is tried; the others take the side they are on.
    The least unserved power wins, then the least moved and switched.
    """
    power = setpoints[lumps.at]
    inside = lumps.inside(power)
    go_high = power >= lumps.upper_kw
    if not inside.any():
        return go_high
    tried = _at_the_margin(inside, members.merit[lumps.at])
    low, high, low_up, high_down = members.low_kw, members.high_kw, lumps.upper_kw, lumps.lower_kw
    low_l, high_l = low[lumps.at], high[lumps.at]
    fixed = np.ones(len(power), dtype=np.bool_)
    fixed[tried] = False
    least = float(low.sum()) - float(low_l.sum())
    least += float(np.where(go_high, low_up, low_l)[fixed].sum())
    most = float(high.sum()) - float(high_l.sum())
    most += float(np.where(go_high, high_l, high_down)[fixed].sum())

    n_tried = len(tried)
    up = _SIDES[: 2**n_tried, :n_tried].astype(np.bool_)  # [2**n_tried, n_tried]
    lows = least + np.where(up, low_up[tried], low_l[tried]).sum(axis=1)
    highs = most + np.where(up, high_l[tried], high_down[tried]).sum(axis=1)
    unserved = np.maximum(lows - target_kw, 0.0) + np.maximum(target_kw - highs, 0.0)
    band = np.where(inside, low_up - high_down, 0.0)[tried]
    was_high = lumps.was_high[tried]
    cost_up = np.maximum(low_up[tried] - power[tried], 0.0) + band * ~was_high
    cost_down = np.maximum(power[tried] - high_down[tried], 0.0) + band * was_high
    cost = np.where(up, cost_up, cost_down).sum(axis=1)
    best = unserved <= float(unserved.min()) + _EPS_KW
    go_high[tried] = up[int(np.argmin(np.where(best, cost, np.inf)))]
    return go_high


def _at_the_margin(inside: BoolArray, merit: FloatArray) -> NDArray[np.intp]:
    """Return at most ``SEARCHED`` lumps, those inside their band and near their merit first."""
    if len(inside) <= SEARCHED:
        return np.arange(len(inside))
    distance = np.where(inside, -1.0, np.abs(merit - float(merit[inside].mean())))
    return np.argpartition(distance, SEARCHED - 1)[:SEARCHED]


def _keep_small(
    target_kw: float, members: _Members, setpoints: FloatArray, dead_band: FloatArray
) -> FloatArray:
    """Leave set-points that hardly change where they are, and let the others make up for it."""
    low, high, current = members.low_kw, members.high_kw, members.current_kw
    change = np.abs(setpoints - current)
    small = (change < dead_band) & (change > _EPS_KW) & (current >= low) & (current <= high)
    if not small.any():
        return setpoints
    moves = (change >= dead_band) & (change > _EPS_KW)
    kept = np.where(small, current, setpoints)
    result = _fill(
        target_kw,
        replace(
            members,
            low_kw=np.where(moves, low, kept),
            high_kw=np.where(moves, high, kept),
        ),
    )
    # What the movers cannot take goes to as few as possible, the finest dead band first.
    gap_kw = target_kw - float(result.sum())
    if abs(gap_kw) <= _EPS_KW:
        return result
    order = np.argsort(dead_band, kind="stable")
    room = (high - result if gap_kw > 0.0 else result - low)[order]
    move = np.clip(abs(gap_kw) - (np.cumsum(room) - room), 0.0, room)
    result[order] += move if gap_kw > 0.0 else -move
    return np.clip(result, low, high)
