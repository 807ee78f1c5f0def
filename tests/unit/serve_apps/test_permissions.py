"""The table of roles in the manual is the one in force."""

from __future__ import annotations

from pathlib import Path

import serve_apps
from serve_apps.web.permissions import PERMISSIONS, PERSONAL, Operation, Role

MANUAL = Path(serve_apps.__file__).parents[1] / "docs" / "security.md"


def test_the_manual_shows_the_roles_in_force() -> None:
    rows = ["| operation | " + " | ".join(Role) + " |", "|---" * (len(Role) + 1) + "|"]
    for operation in Operation:
        cells = ["yes" if role in PERMISSIONS[operation] else "" for role in Role]
        rows.append(f"| `{operation.value}` | {' | '.join(cells)} |")
    table = "\n".join(rows)
    assert table in MANUAL.read_text(), f"put this into {MANUAL.name}:\n{table}"


def test_the_manual_names_what_is_for_people_only() -> None:
    text = " ".join(MANUAL.read_text().split())
    names = [f"`{operation.value}`" for operation in Operation if operation in PERSONAL]
    assert f"for people only: {', '.join(names)}." in text
    assert set(PERMISSIONS) == set(Operation)
