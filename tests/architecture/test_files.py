"""What may not stand in a tracked file, and what the lock files promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOREIGN = {
    "a path of somebody's machine": "(?<![\\w.])/(?:work|root|Users)/\\w|/home/[a-z]",
    "a package registry": "pypi\\.org|pythonhosted\\.org|npmjs\\.|--(?:extra-)?index-",
    "a private key": "-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----",
}
# At the end of a pattern of msgspec: Python's own, to which "$" is also before a last line break.
LAX_END = r"Meta\(.*pattern=r\"[^\"]*(?<!\(\?!\\n\))\$\""
MAX_BYTES = 1_000_000

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


def offenders(files: list[Path], pattern: str, repository: Path) -> list[str]:
    found = []
    for path in files:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if re.search(pattern, line):
                found.append(f"{path.relative_to(repository)}:{number}: {line[:80]}")
    return found


@pytest.mark.parametrize("what", sorted(FOREIGN))
def test_no_tracked_file_holds(what: str, tracked_text_files: list[Path], repository: Path) -> None:
    assert offenders(tracked_text_files, FOREIGN[what], repository) == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a path of somebody's machine", "cd /U~sers/x"),
        ("a path of somebody's machine", 'open("/ho~me/someone/x")'),
        ("a package registry", "--ind~ex-url x"),
        ("a private key", "-----BEGIN PRI~VATE KEY-----"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, line: str, tmp_path: Path) -> None:
    # The tildes keep this file from accusing itself.
    (tmp_path / "file.txt").write_text(f"fine\n{line.replace('~', '')}\n")
    assert len(offenders([tmp_path / "file.txt"], FOREIGN[what], tmp_path)) == 1


def test_no_pattern_lets_a_line_break_in_at_its_end(
    tracked_text_files: list[Path], repository: Path, tmp_path: Path
) -> None:
    sources = [path for path in tracked_text_files if path.suffix == ".py"]
    assert offenders(sources, LAX_END, repository) == []
    (tmp_path / "lax.py").write_text('Me~ta(pattern=r"^[a-z]{0,9}$")\n'.replace("~", ""))
    assert len(offenders([tmp_path / "lax.py"], LAX_END, tmp_path)) == 1


def test_no_tracked_file_is_large(tracked_text_files: list[Path], repository: Path) -> None:
    sizes = {str(p.relative_to(repository)): p.stat().st_size for p in tracked_text_files}
    assert {name: size for name, size in sizes.items() if size > MAX_BYTES} == {}


def test_the_development_lock_holds_the_runtime_lock(repository: Path) -> None:
    runtime = dict(PIN.findall((repository / "requirements.lock").read_text()))
    development = dict(PIN.findall((repository / "requirements-dev.lock").read_text()))
    assert len(runtime) > 50, "the search for pins is broken"
    assert runtime.items() <= development.items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_pin_is_hash_checked(name: str, repository: Path) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (repository / name).read_text(), flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
