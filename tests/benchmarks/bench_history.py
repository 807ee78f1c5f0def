"""A year of one resource at one minute, from the roll-ups; and what the historian takes.

The year is asked of the API in process: admission, files, columns and encoding, without the
network. Its budget is on processor time, which is what it takes on a machine of its own, for it
waits for nobody; the time taken stands beside it, and a busy machine stretches that. Its files are
those that the tending of finished days writes, a month each, for four resources. The writer is
given samples as a hundred resources at 10 Hz make them.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from actors.historian import HistorianActor
from cluster.storage.history.layout import MINUTE_SCHEMA, MINUTE_US, Folder, write_table
from cluster.storage.history.opening import open_history_writer
from cluster.storage.history.writing import HistoryFiles
from controllers.history.buckets import STORED
from controllers.history.samples import to_us
from controllers.kernel.timebase import ManualClock
from controllers.ports.history import HistorySettings
from serve_apps.web.deps import ApiSettings
from tests.benchmarks.figures import figure, quantiles, report
from tests.support.api_world import World, open_world
from tests.support.broker import Broker
from tests.support.history import make_row
from tests.support.waiting import eventually

_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
_RESOURCES = ("bess1", "pv1", "ev1", "chp1")
_N_ASKED = 15
_SETTLE_S = 3.0
_N_RESOURCES = 100
_RATE_HZ = 10


def write_year(path: Path, n_months: int) -> None:
    """Write the minutes of some resources."""
    rng = np.random.default_rng(1)
    for resource in _RESOURCES:
        for month in range(1, n_months + 1):
            start_at = _YEAR.replace(month=month)
            end_at = datetime(2025 + month // 12, month % 12 + 1, 1, tzinfo=UTC)
            start_us = np.arange(to_us(start_at), to_us(end_at), MINUTE_US)
            n = len(start_us)
            power_kw = rng.normal(0.0, 100.0, n)
            columns = {name: np.zeros(n) for name in STORED} | {
                "power_kw.s": np.full(n, 60.0),
                "power_kw.sum": power_kw * 60.0,
                "power_kw.min": power_kw - 1.0,
                "power_kw.max": power_kw + 1.0,
            }
            arrays = [pa.array(start_us), *(pa.array(columns[name]) for name in STORED)]
            table = pa.Table.from_arrays(arrays, schema=MINUTE_SCHEMA)
            write_table(table, Folder(path).month(f"resource-{resource}", start_at.date()))


async def ask(world: World, n_months: int, signals: str, format_: str) -> dict[str, Any]:
    """Return the figures of one kind of question."""
    end_at = datetime(2025 + n_months // 12, n_months % 12 + 1, 1, tzinfo=UTC)
    query = {
        "from": _YEAR.isoformat(),
        "to": end_at.isoformat(),
        "resolution": "1m",
        "signals": signals,
        "format": format_,
    }
    url = httpx.URL("/api/vpp/history/resources/bess1", params=query)
    took_ms: list[float] = []
    cpu_ms: list[float] = []
    n_bytes = 0
    for _ in range(_N_ASKED + 1):
        begun, begun_cpu = time.perf_counter(), time.process_time()
        response = await world.client.get(url, headers=world.auth())
        took_ms.append((time.perf_counter() - begun) * 1000.0)
        cpu_ms.append((time.process_time() - begun_cpu) * 1000.0)
        if response.status_code != 200:
            raise RuntimeError(response.text)
        n_bytes = len(response.content)
    # The first loads the file format.
    cpu = quantiles(cpu_ms[1:])
    return {
        "cpu_p50": figure(cpu["p50"], "ms", must=200.0),
        "cpu_ms": cpu,
        "ms": quantiles(took_ms[1:]),
        "first_ms": round(took_ms[0], 1),
        "megabytes": round(n_bytes / 1e6, 1),
    }


def write_samples(path: Path, n_seconds: int) -> dict[str, Any]:
    """Return what the writer takes of a busy park."""
    clock = ManualClock(_YEAR)
    files = HistoryFiles(path, HistorySettings(), clock)
    append_ms = []
    for second in range(n_seconds):
        at = _YEAR + timedelta(seconds=second)
        batch = [
            make_row(
                at + timedelta(seconds=tick / _RATE_HZ), 1.0, subject=f"resource-r{n}", seq=second
            )
            for tick in range(_RATE_HZ)
            for n in range(_N_RESOURCES)
        ]
        begun = time.perf_counter()
        files.append(batch)
        append_ms.append((time.perf_counter() - begun) * 1000.0)
    files.rotate()
    begun = time.perf_counter()
    files.settle()
    return {
        "flush_of_one_second": figure(quantiles(append_ms)["p95"], "ms", must=1000.0),
        "flush_ms": quantiles(append_ms),
        "settle": figure(time.perf_counter() - begun, "s"),
        "settled_samples": n_seconds * _RATE_HZ * _N_RESOURCES,
    }


async def _is_up(historian: HistorianActor) -> bool:
    return bool((await historian.health())["mqtt_up"])


async def follow(folder: Path, n_seconds: int) -> dict[str, Any]:
    """Return how the historian keeps up with a hundred resources at 10 Hz, through a broker."""
    broker = Broker("mosquitto", folder)
    broker.start()
    path = folder / "followed"
    historian = HistorianActor(
        "park1",
        frozenset(),
        broker.settings,
        partial(open_history_writer, str(path), HistorySettings()),
        HistorySettings(),
    )
    try:
        await eventually(lambda: _is_up(historian), within_s=15.0)
        begun_cpu = time.process_time()
        arguments = ("-m", "tests.benchmarks.historian_load", str(broker.port), str(n_seconds))
        load = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await load.communicate()
        cpu_s = time.process_time() - begun_cpu
        await asyncio.sleep(_SETTLE_S)
        health = await historian.health()
    finally:
        await historian.stop()
        broker.kill()
    return {
        "published": int(told),
        "written": health["written"],
        "overflowed": figure(float(health["mqtt_overflowed"]), "states", must=0.0),
        "core_share": figure(cpu_s / n_seconds, "cores"),
        "slowest_flush": figure(float(health["slowest_flush_s"]), "s"),
    }


async def main(*, smoke: bool) -> None:
    """Print the figures."""
    n_months = 1 if smoke else 12
    # In the working directory: a temporary folder in memory would flatter the disk.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        settings = ApiSettings(jwt_secret="b" * 32)
        async with open_world(settings) as world:
            write_year(world.past.path, n_months)
            figures: dict[str, object] = {
                f"year_at_1m_{format_}_{name}": await ask(world, n_months, signals, format_)
                for name, signals in (
                    ("mean", "power_kw"),
                    ("mean_min_max_energy", "power_kw,power_kw_min,power_kw_max,energy_kwh"),
                )
                for format_ in ("json", "csv", "arrow")
            }
        figures["writer"] = write_samples(Path(folder) / "busy", 5 if smoke else 300)
        figures["historian"] = await follow(Path(folder), 3 if smoke else 30)
    report(figures)


if __name__ == "__main__":
    asyncio.run(main(smoke="--smoke" in sys.argv))
