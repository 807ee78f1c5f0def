"""The folders are ours, and an import only goes down."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def contracts(repository: Path) -> dict[str, object]:
    document = tomllib.loads((repository / "pyproject.toml").read_text())
    found = document["tool"]["importlinter"]
    assert isinstance(found, dict)
    return found


def test_top_level_packages_come_from_this_repository(
    packages: tuple[str, ...], repository: Path
) -> None:
    # Distributions of the same names exist; shadowed by one, Parkgrid would run foreign code.
    origins = {name: importlib.import_module(name).__file__ for name in packages}
    assert origins == {name: str(repository / name / "__init__.py") for name in packages}


def test_no_other_top_level_package_exists(packages: tuple[str, ...], repository: Path) -> None:
    found = {path.parent.name for path in repository.glob("*/__init__.py")}
    assert found == set(packages)


def test_the_contracts_cover_every_package(
    contracts: dict[str, object], packages: tuple[str, ...]
) -> None:
    assert set(contracts["root_packages"]) == set(packages)  # type: ignore[call-overload]
    assert len(contracts["contracts"]) >= 6  # type: ignore[arg-type]


def test_the_import_contracts_hold(repository: Path) -> None:
    # In a process of its own: it turns off the loggers of the one it runs in.
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
