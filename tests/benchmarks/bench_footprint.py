"""What a park costs at rest: memory of each process (PSS) and idle CPU, demo park at 1 Hz."""

from __future__ import annotations

import statistics
import sys
import time

from tests.benchmarks.figures import figure, load_average, report
from tests.benchmarks.live_park import live_park
from tests.benchmarks.processes import CpuMeter, pss_mb_by_group


def main(*, smoke: bool) -> None:
    """Print the figures."""
    with live_park(None) as park:
        time.sleep(1.0 if smoke else 10.0)
        meter, load_before = CpuMeter(park.tree()), load_average()
        time.sleep(1.0 if smoke else 30.0)
        cores, memory_mb = meter.cores_by_group(), pss_mb_by_group(park.tree())
    report(
        {
            "load_before": load_before,
            "memory_per_resource_actor": figure(
                statistics.median(memory_mb["resource actor"]), "MB"
            ),
            "core_frac_per_resource_actor": figure(
                cores["resource actor"]["core_frac_each"], "cores"
            ),
            "memory_mb": {
                name: {"n": len(each), "median": statistics.median(each), "all": round(sum(each))}
                for name, each in memory_mb.items()
            },
            "memory_all": figure(sum(map(sum, memory_mb.values())), "MB"),
            "cores": cores,
            "cores_all": figure(sum(row["core_frac_all"] for row in cores.values()), "cores"),
        }
    )


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
