"""Where the sources are; every list asserts that it found something."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("actors", "cluster", "controllers", "market_adapters", "optimization", "serve_apps")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the working tree."""
    assert (REPOSITORY / "pyproject.toml").is_file()
    return REPOSITORY


@pytest.fixture(scope="session")
def packages() -> tuple[str, ...]:
    """Return the names of our top-level packages."""
    return PACKAGES


@pytest.fixture(scope="session")
def modules() -> list[Path]:
    """Return every source module."""
    found = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
    assert len(found) > 20, "the search for modules is broken"
    assert {path.relative_to(REPOSITORY).parts[0] for path in found} == set(PACKAGES)
    return found


@pytest.fixture(scope="session")
def tracked_text_files() -> list[Path]:
    """Return every tracked text file."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("not a git working tree")
    paths = [REPOSITORY / name for name in listing.stdout.decode().split("\0") if name]
    found = [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]
    assert len(found) > 30, "the search for tracked files is broken"
    return found
