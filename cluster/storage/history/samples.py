"""Samples in files: reading those of some subjects and a span, from parts and from streams."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.storage.history.layout import RAW_SCHEMA, STREAM, Folder, day_of, group_of
from cluster.storage.history.streams import read_stream
from controllers.history.buckets import REGISTERS, US_PER_S, FloatArray
from controllers.history.resample import Samples, in_order, joined
from controllers.history.samples import MAX_HOLD_S
from controllers.kernel.states import Quality, Rung

MARGIN_US = int(MAX_HOLD_S) * US_PER_S
"""What lies this close before a span may count in it; what follows closes its registers."""

_USABLE = [Quality.GOOD.value, Quality.UNCERTAIN.value]
_MAX_TRIES = 5


def read_samples(
    folder: Path, subjects: Sequence[str], from_us: int, to_us: int
) -> dict[str, Samples]:
    """Return, in order and each once, the samples that count in a span.

    Those are the samples within and around it, and where the registers were read in it but not just
    before, the last reading before that.

    Raises:
        OSError: files cannot be read.
        pyarrow.ArrowException: a file is damaged.
    """
    place = Folder(folder)
    table = _read(place, subjects, from_us - MARGIN_US, to_us + MARGIN_US)
    found = {name: in_order(samples) for name, samples in split(table).items()}
    for name, samples in found.items():
        unknown = [
            register
            for register in REGISTERS
            if _is_read(samples, register, from_us, to_us)
            and not _is_read(samples, register, from_us - MARGIN_US, from_us)
        ]
        if unknown:
            before = _last_readings(place, name, unknown, from_us - MARGIN_US)
            found[name] = in_order(joined([*before, samples]))
    return found


def split(table: pa.Table) -> dict[str, Samples]:
    """Return the samples of each subject in a table of the raw schema."""
    if not table.num_rows:
        return {}
    encoded = table.column("subject").combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    samples = columns_of(table)
    names = encoded.dictionary.to_pylist()
    if len(names) == 1:
        return {names[0]: samples}
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    return {name: samples.taken(order[bounds[i] : bounds[i + 1]]) for i, name in enumerate(names)}


def columns_of(table: pa.Table) -> Samples:
    """Return a table of the raw schema as arrays."""

    def floats(name: str) -> FloatArray:
        values: FloatArray = table.column(name).to_numpy()
        return values

    return Samples(
        at_us=table.column("at_us").to_numpy(),
        hold_s=floats("hold_s"),
        is_live=table.column("is_live").to_numpy(),
        is_repeat=table.column("is_repeat").to_numpy(),
        epoch=table.column("epoch").to_numpy(),
        seq=table.column("seq").to_numpy(),
        is_usable=pc.is_in(table.column("quality"), pa.array(_USABLE)).to_numpy(),
        is_good=pc.equal(table.column("quality"), Quality.GOOD.value).to_numpy(),
        is_active=pc.equal(table.column("rung"), Rung.ACTIVE.value).to_numpy(),
        power_kw=floats("power_kw"),
        setpoint_kw=floats("setpoint_kw"),
        target_kw=floats("target_kw"),
        soc_frac=floats("soc_frac"),
        member_coverage_frac=floats("member_coverage_frac"),
        exported_kwh=floats("exported_kwh"),
        imported_kwh=floats("imported_kwh"),
    )


def _read(place: Folder, subjects: Sequence[str], from_us: int, to_us: int) -> pa.Table:
    wanted = pc.field("subject").isin(list(subjects))
    within = wanted & (pc.field("at_us") >= from_us) & (pc.field("at_us") < to_us)
    # Streams first: one that vanishes meanwhile is among the parts by then.
    streams = sorted(place.live.glob(f"*{STREAM}"))
    tables = [RAW_SCHEMA.empty_table(), *(_filtered(path, within) for path in streams)]
    for tries_left in reversed(range(_MAX_TRIES)):
        try:
            return pa.concat_tables([*tables, *_parts(place, subjects, from_us, to_us, within)])
        except FileNotFoundError:
            # A part was merged into another since it was listed.
            if not tries_left:
                raise
    raise AssertionError("unreachable")


def _filtered(path: Path, within: pc.Expression) -> pa.Table:
    try:
        return read_stream(path).filter(within)
    except FileNotFoundError:
        return RAW_SCHEMA.empty_table()


def _parts(
    place: Folder, subjects: Sequence[str], from_us: int, to_us: int, within: pc.Expression
) -> list[pa.Table]:
    groups = sorted({group_of(subject) for subject in subjects})
    first, last = day_of(from_us), day_of(to_us - 1)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [
        pq.read_table(path, filters=within, schema=RAW_SCHEMA, use_threads=False)
        for day in days
        for group in groups
        for path in place.parts(day, group)
    ]


def _is_read(samples: Samples, register: str, from_us: int, to_us: int) -> bool:
    first, last = np.searchsorted(samples.at_us, [from_us, to_us])
    return not np.isnan(getattr(samples, register)[first:last]).all()


def _last_readings(
    place: Folder, subject: str, registers: Sequence[str], before_us: int
) -> list[Samples]:
    found: list[Samples] = []
    missing = set(registers)
    for day in reversed([day for day in place.days() if day <= day_of(before_us)]):
        within = (pc.field("subject") == subject) & (pc.field("at_us") < before_us)
        tables = [
            pq.read_table(path, filters=within, schema=RAW_SCHEMA, use_threads=False)
            for path in place.parts(day, group_of(subject))
        ]
        if not tables:
            continue
        samples = in_order(columns_of(pa.concat_tables(tables)))
        for register in sorted(missing):
            read = np.flatnonzero(~np.isnan(getattr(samples, register)))
            if len(read):
                found.append(samples.taken(read[-1:]))
                missing.remove(register)
        if not missing:
            break
    return found
