"""Long columns of numbers as text, by looking up three digits at a time for many at once.

A number is at most four pieces of up to four bytes: thousands, ones, and twice three decimals.
Pieces stand in a matrix of fixed width, and the bytes that a shorter one leaves over are dropped at
the end. The text is the shortest that reads as the number rounded to six decimals.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from controllers.history.buckets import FloatArray, InstantArray
from controllers.kernel.wire import encode

LIMIT = 1e6
"""Only numbers smaller than this, either way, can be written so."""

Pieces = NDArray[np.uint32]

_BASE = 1000
_MILLIONTHS = _BASE * _BASE
_DAY_S = 86_400
_BLOCK = 8_192
"""So many at once stay in the processor's cache, which halves the time."""


def fits(values: FloatArray) -> bool:
    """Tell whether all numbers of a column are small enough; NaN is."""
    # What rounds up to the limit is too large as well.
    least, most = np.fmin.reduce(values, initial=0.0), np.fmax.reduce(values, initial=0.0)
    return bool(max(-least, most) < LIMIT - 1.0)


def json_array(values: FloatArray) -> bytes:
    """Return numbers that fit as a JSON array; NaN becomes null."""
    texts = [_json_items(values[block]) for block in _blocks(len(values))]
    if texts:
        texts[-1] = texts[-1][:-1]
    return b"".join((b"[", *texts, b"]"))


def json_integers(values: InstantArray) -> bytes:
    """Return whole numbers as a JSON array."""
    texts = [encode(values[block].tolist())[1:-1] for block in _blocks(len(values))]
    return b"".join((b"[", b",".join(texts), b"]"))


def csv_rows(start_s: InstantArray, columns: Iterable[FloatArray]) -> bytes:
    """Return rows of an instant, as ``2026-01-31 23:59:59``, and numbers that fit; NaN is empty.

    Args:
        start_s: since 1970.
        columns: at least one.
    """
    *others, last = columns
    texts = []
    for block in _blocks(len(start_s)):
        pieces = [_instant_pieces(start_s[block])]
        pieces += [_number_pieces(values[block], ",", zero="", gap="") for values in others]
        pieces.append(_number_pieces(last[block], "\n", zero="", gap=""))
        texts.append(_dense(np.concatenate(pieces, axis=1)))
    return b"".join(texts)


def _blocks(n: int) -> Iterable[slice]:
    return (slice(begin, begin + _BLOCK) for begin in range(0, n, _BLOCK))


def _json_items(values: FloatArray) -> bytes:
    # Coverage mostly, and what stands still.
    n_same = len(values) if bool((values == values[0]).all()) else 1
    return _dense(_number_pieces(values[::n_same], ",", zero=".0", gap="null")) * n_same


def _dense(pieces: Pieces) -> bytes:
    return pieces.tobytes().translate(None, b"\0")


def _number_pieces(values: FloatArray, end: str, *, zero: str, gap: str) -> Pieces:
    unknown = np.isnan(values)
    is_any_unknown = bool(unknown.any())
    magnitude = np.abs(np.where(unknown, 0.0, values) if is_any_unknown else values)
    millionths = np.rint(magnitude * _MILLIONTHS).astype(np.int64)
    whole = (millionths // _MILLIONTHS).astype(np.int32)
    decimals = (millionths - whole * np.int64(_MILLIONTHS)).astype(np.int32)
    high = decimals // _BASE
    low = decimals - high * _BASE
    high += _BASE * (low == 0)
    minus = np.signbit(values)
    ones = whole + _BASE * minus
    found: list[Pieces] = []
    if whole.max(initial=0) >= _BASE:
        thousands = whole // _BASE
        is_long = thousands > 0
        ones = np.where(is_long, whole - thousands * _BASE + 2 * _BASE, ones)
        thousands += _BASE * (minus & ~unknown)
        found.append(_thousands()[thousands])
    if is_any_unknown:
        ones[unknown] = 3 * _BASE
        high[unknown] = 2 * _BASE
    found += [_ones(gap)[ones], _high(zero)[high], _low(end)[low]]
    return np.stack(found, axis=1)


def _instant_pieces(start_s: InstantArray) -> Pieces:
    day = start_s // _DAY_S
    days = np.arange(day.min(), day.max() + 1).astype("datetime64[D]").astype("S11")
    text = np.empty(len(start_s), dtype=[("day", "S10"), ("time", "S10")])
    text["day"] = days[day - day.min()]
    text["time"] = _times()[start_s - day * _DAY_S]
    return text.view(np.uint32).reshape(len(start_s), -1)


def _table(texts: Iterable[str]) -> Pieces:
    return np.frombuffer(b"".join(t.encode().ljust(4, b"\0") for t in texts), dtype=np.uint32)


@cache
def _thousands() -> Pieces:
    plain = ["", *(str(n) for n in range(1, _BASE))]
    return _table([*plain, "", *(f"-{text}" for text in plain[1:])])


@cache
def _ones(gap: str) -> Pieces:
    plain = [str(n) for n in range(_BASE)]
    behind_thousands = [f"{n:03}" for n in range(_BASE)]
    return _table([*plain, *(f"-{text}" for text in plain), *behind_thousands, gap])


@cache
def _high(zero: str) -> Pieces:
    full = [f".{n:03}" for n in range(_BASE)]
    return _table([*full, zero, *(text.rstrip("0") for text in full[1:]), ""])


@cache
def _low(end: str) -> Pieces:
    return _table(f"{n:03}".rstrip("0") + end for n in range(_BASE))


@cache
def _times() -> NDArray[np.bytes_]:
    two = [f"{n:02}" for n in range(60)]
    return np.array([f" {h}:{m}:{s}," for h in two[:24] for m in two for s in two], "S10")
