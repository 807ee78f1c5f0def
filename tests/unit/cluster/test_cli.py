"""The commands that need no running park, and how every command fails."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner, Result

from cluster.cli import app
from cluster.home import Home

PASSWORD = "correct horse battery"  # noqa: S105 - of accounts in a temporary directory


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def parkgrid(home: Path, *arguments: str, line: str = "") -> Result:
    return CliRunner().invoke(app, [*arguments, "--home", str(home)], input=line)


def add(home: Path, *roles: str, password: str = PASSWORD) -> Result:
    options = [option for role in roles for option in ("--role", role)]
    return parkgrid(home, "user", "add", "anna", *options, line=password + "\n")


def test_a_new_user_gets_a_token(home: Path) -> None:
    assert add(home, "trader", "auditor").exit_code == 0
    done = parkgrid(home, "token", "anna")
    secret = Home(home).jwt_secret_file.read_text().strip()
    claims = jwt.decode(done.stdout.strip(), secret, ["HS256"], audience="access")
    assert claims["sub"] == "anna"
    assert claims["exp"] - claims["iat"] <= 900


def test_a_token_of_nobody_is_refused(home: Path) -> None:
    done = parkgrid(home, "token", "ben")
    assert done.exit_code == 1
    assert "no account has the id 'ben'" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("roles", "password", "expected"),
    [
        (["boss"], PASSWORD, "role = 'boss': must be one of operator"),
        (["operator"], "short", "password: must be 12 to 256 characters"),
    ],
)
def test_a_wrong_account_is_refused(
    home: Path, roles: list[str], password: str, expected: str
) -> None:
    done = add(home, *roles, password=password)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert parkgrid(home, "token", "anna").exit_code == 1


def test_a_name_is_taken_once(home: Path) -> None:
    add(home, "trader")
    done = add(home, "admin")
    assert done.exit_code == 1
    assert "the name is taken" in done.stderr


def test_the_audit_command_finds_tampering(home: Path) -> None:
    add(home, "trader")
    assert "whole: 1 entries" in parkgrid(home, "audit", "verify").stdout
    database = sqlite3.connect(home / "parkgrid.sqlite")
    with database:
        database.execute("UPDATE audit_log SET principal = 'nobody'")
    database.close()
    done = parkgrid(home, "audit", "verify")
    assert done.exit_code == 1
    assert "broken at entry 1" in done.stderr


def test_the_audit_log_is_exported_as_lines(home: Path) -> None:
    add(home, "trader")
    lines = parkgrid(home, "audit", "export").stdout.splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["user.add"]


def test_accounts_are_listed_changed_closed_and_opened(home: Path) -> None:
    add(home, "admin")
    closed = parkgrid(home, "user", "disable", "anna")
    assert closed.exit_code == 1
    assert "last administrator" in closed.stderr
    second = parkgrid(home, "user", "add", "ben", "--role", "admin", line=PASSWORD + "\n")
    assert second.exit_code == 0
    done = parkgrid(home, "user", "roles", "anna", "--role", "trader", "--scope", "site")
    assert done.exit_code == 0
    assert parkgrid(home, "user", "disable", "anna").exit_code == 0
    listed = json.loads(parkgrid(home, "user", "list", "--json").stdout)
    assert [(u["username"], u["roles"], u["scope"], u["disabled"]) for u in listed] == [
        ("anna", ["trader"], ["site"], True),
        ("ben", ["admin"], None, False),
    ]
    assert "argon2" not in str(listed)
    assert parkgrid(home, "token", "anna").exit_code == 1
    assert parkgrid(home, "user", "enable", "anna").exit_code == 0
    assert parkgrid(home, "token", "anna").exit_code == 0
    assert "anna" in parkgrid(home, "user", "list").stdout


def test_a_password_is_replaced_by_one_that_will_do(home: Path) -> None:
    add(home, "trader")
    poor = parkgrid(home, "user", "password", "anna", line="Password2026!!\n")
    assert poor.exit_code == 2
    assert "attackers" in poor.stderr
    done = parkgrid(home, "user", "password", "anna", line="seven quiet turbines\n")
    assert done.exit_code == 0
    assert "seven" not in done.stdout


def test_the_key_of_stored_secrets_is_replaced(home: Path) -> None:
    add(home, "trader")
    before = Home(home).seal_keys_file.read_text().split()
    done = parkgrid(home, "secrets", "rotate")
    assert "Sealed 0 stored secrets" in done.stdout
    assert Home(home).seal_keys_file.read_text().split()[1:] == before


def test_status_says_when_no_park_runs(home: Path) -> None:
    done = parkgrid(home, "status")
    assert done.exit_code == 1
    assert "no running park" in done.stderr


def test_the_api_document_needs_no_park(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["openapi"])
    assert "/api/vpp/aggregations/{aggregation_id}/dispatch" in json.loads(done.stdout)["paths"]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_setting_stops_a_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKGRID_HOEM", "x")
    done = parkgrid(home, "status")
    assert done.exit_code == 2
    assert "PARKGRID_HOEM: unknown" in done.stderr


def test_a_wrong_park_file_stops_up_with_line_and_reason(home: Path, tmp_path: Path) -> None:
    park_file = tmp_path / "park.yaml"
    park_file.write_text("id: p\nname: [\n")
    done = parkgrid(home, "up", "--park", str(park_file))
    assert done.exit_code == 2
    assert f"parkgrid: {park_file}:3: not YAML" in done.stderr
    assert not home.exists()
