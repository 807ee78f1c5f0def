"""Runs the benchmarks and prints their figures as one JSON document, with the machine.

Every ``bench_*.py`` beside this file is a benchmark: run alone, in a process of its own, it prints
one JSON object. Names given as arguments narrow: ``run.py storage`` runs ``bench_storage.py``.
``--smoke`` makes each of them tiny, to see that they run.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_LIMIT_S = 1800
_SMOKE = "--smoke"


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
        "ray": importlib.metadata.version("ray"),
        "broker": _broker(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _broker() -> str:
    path = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if path is None:
        return f"amqtt {importlib.metadata.version('amqtt')}"
    # It tells its version in the first line of its help, and then fails.
    told = subprocess.run([path, "-h"], capture_output=True, text=True, check=False)
    return told.stdout.partition("\n")[0] or "mosquitto"


def main(arguments: list[str]) -> int:
    """Run the wanted benchmarks; the exit code is 1 when one of them failed."""
    options = [argument for argument in arguments if argument == _SMOKE]
    wanted = [argument for argument in arguments if argument != _SMOKE]
    known = [script.stem.removeprefix("bench_") for script in sorted(_HERE.glob("bench_*.py"))]
    unknown = set(wanted) - set(known)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(known)}")
        return 2
    figures: dict[str, object] = {}
    failed = False
    for name in wanted or known:
        load_before = round(os.getloadavg()[0], 2)
        print(f"measuring {name} (load average {load_before})", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, "-m", f"tests.benchmarks.bench_{name}", *options],
            stdout=subprocess.PIPE,
            timeout=_LIMIT_S,
            check=False,
            cwd=_ROOT,
        )
        failed = failed or done.returncode != 0
        told = json.loads(done.stdout) if done.returncode == 0 else {"failed": done.returncode}
        figures[name] = {"load_average_before": load_before, **told}
    print(json.dumps({"machine": machine(), "figures": figures}, indent=2))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
