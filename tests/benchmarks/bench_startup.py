"""Start-up: ``parkgrid up`` in a fresh data directory, until the page and every resource are live.

Installed and with a warm disk. The phases are what the command says, by the clock; the CPU seconds
tell, whatever else the machine does, what the start costs: on two cores at least half of them.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

from tests.benchmarks.figures import figure, load_average, report
from tests.benchmarks.live_park import live_park, wait_until_fresh
from tests.benchmarks.processes import cpu_s_by_group


def one_start() -> dict[str, Any]:
    """Return the figures of one start."""
    load_before = load_average()
    with live_park(None) as park:
        live_s = park.said_at_s[-1][0]
        fresh_s = live_s + wait_until_fresh(park)
        cpu_s = cpu_s_by_group(park.tree())
    return {
        "load_before": load_before,
        "live_page_s": live_s,
        "all_fresh_s": round(fresh_s, 2),
        "phases": [f"{at_s:6.2f}  {line}" for at_s, line in park.said_at_s],
        "cpu_s": cpu_s,
        "cpu_s_all": round(sum(cpu_s.values()), 1),
    }


def main(*, smoke: bool) -> None:
    """Print the figures."""
    starts = [one_start() for _ in range(1 if smoke else 3)]
    median_s = statistics.median(start["all_fresh_s"] for start in starts)
    report({"start_up": figure(median_s, "s", must=30.0, aim=15.0), "starts": starts})


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
