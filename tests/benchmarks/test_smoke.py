"""Every benchmark runs, tiny, and reports; what it measures means nothing then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.broker import mosquitto_path

_HERE = Path(__file__).parent
_NAMES = sorted(script.stem.removeprefix("bench_") for script in _HERE.glob("bench_*.py"))


def test_benchmarks_are_found() -> None:
    assert {"telemetry", "dispatch", "reads", "startup", "recovery", "storage"} <= set(_NAMES)


@pytest.mark.soak
@pytest.mark.broker
@pytest.mark.timeout(400)
@pytest.mark.skipif(mosquitto_path() is None, reason="needs Mosquitto")
@pytest.mark.parametrize("name", _NAMES)
def test_benchmark_runs_and_reports(name: str) -> None:
    run = subprocess.run(
        [sys.executable, _HERE / "run.py", name, "--smoke"],
        capture_output=True,
        text=True,
        check=False,
        timeout=390,
    )

    assert run.returncode == 0, run.stderr[-2000:]
    report = json.loads(run.stdout)
    assert report["machine"]["n_cores"] >= 1
    assert "load_average_before" in report["figures"][name]
