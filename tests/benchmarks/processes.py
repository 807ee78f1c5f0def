"""What processes cost: CPU over a time and memory, grouped by what they are."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

import psutil

_GROUPS = {
    "ray::ResourceActor": "resource actor",
    "ray::FleetActor": "fleet actor",
    "ray::AggregateActor": "aggregate actor",
    "ray::ServeReplica": "api replica",
    "ray::IDLE": "ray, idle worker",
    "ray::Serve": "ray serve, controller",
    "ray::HAProxy": "ray serve, proxy",
    "ray::": "other actors",
    "mosquitto": "broker",
    "haproxy": "haproxy",
    "cluster.demo.simulator": "simulated devices",
    "raylet": "ray, raylet and gcs",
    "gcs_server": "ray, raylet and gcs",
    "parkgrid up": "parkgrid up",
    "/ray/": "ray, helpers",
}


def group_of(process: psutil.Process) -> str:
    """Return what a process is to the park."""
    command = " ".join(process.cmdline())
    if "DashboardAgent" in command or "RuntimeEnvAgent" in command:
        return "ray, helpers"
    return next((name for mark, name in _GROUPS.items() if mark in command), "other")


class CpuMeter:
    """CPU time that processes use from its creation on."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._begun_s = time.monotonic()
        self._before = {process: _cpu_s(process) for process in processes}

    def cores_by_group(self) -> dict[str, dict[str, float]]:
        """Return, per group, how many processes it has and what each uses of one core."""
        elapsed_s = time.monotonic() - self._begun_s
        shares: dict[str, list[float]] = defaultdict(list)
        for process, before_s in self._before.items():
            try:
                shares[group_of(process)].append((_cpu_s(process) - before_s) / elapsed_s)
            except psutil.Error:
                continue
        return {
            name: {
                "n": len(each),
                "core_frac_each": round(sum(each) / len(each), 4),
                "core_frac_all": round(sum(each), 3),
            }
            for name, each in sorted(shares.items())
        }


def cpu_s_by_group(processes: Sequence[psutil.Process]) -> dict[str, float]:
    """Return the CPU seconds that living processes have used since their start, per group."""
    used: dict[str, float] = defaultdict(float)
    for process in processes:
        try:
            used[group_of(process)] += _cpu_s(process)
        except psutil.Error:
            continue
    return {name: round(seconds, 2) for name, seconds in sorted(used.items())}


def pss_mb_by_group(processes: Sequence[psutil.Process]) -> dict[str, list[float]]:
    """Return the proportional share of memory of each process, per group."""
    memory: dict[str, list[float]] = defaultdict(list)
    for process in processes:
        try:
            memory[group_of(process)].append(round(process.memory_full_info().pss / 2**20, 1))
        except psutil.Error:
            continue
    return dict(sorted(memory.items()))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
