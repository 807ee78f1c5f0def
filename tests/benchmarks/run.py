"""Runs the benchmarks and prints their figures as one JSON document, with the machine.

Every ``bench_*.py`` beside this file is a benchmark: run alone, in a process of its own, it prints
one JSON object. Names given as arguments narrow: ``run.py storage`` runs ``bench_storage.py``.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_LIMIT_S = 900


def machine() -> dict[str, object]:
    """Return what a figure depends on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),  # noqa: TID251
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "n_cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9, 1),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main(wanted: list[str]) -> int:
    """Run the wanted benchmarks; the exit code is 1 when one of them failed."""
    scripts = sorted(_HERE.glob("bench_*.py"))
    known = {script.stem.removeprefix("bench_"): script for script in scripts}
    unknown = set(wanted) - set(known)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(known)}")
        return 2
    figures: dict[str, object] = {}
    failed = False
    for name in wanted or known:
        print(f"measuring {name}", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, known[name]],
            stdout=subprocess.PIPE,
            timeout=_LIMIT_S,
            check=False,
            cwd=_HERE.parents[1],
        )
        failed = failed or done.returncode != 0
        figures[name] = json.loads(done.stdout) if done.returncode == 0 else "failed"
    print(json.dumps({"machine": machine(), "figures": figures}, indent=2))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
