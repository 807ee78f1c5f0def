"""The command line over the API: log in once, then operate; errors are lines and exit codes."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.cli import app
from cluster.cli_api import COMMANDS
from serve_apps.openapi import openapi_document
from serve_apps.web.deps import ApiSettings
from tests.support.api_world import PASSWORD
from tests.support.served import Served, served


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with served(ApiSettings(jwt_secret="s" * 32, live_refresh_s=0.0)) as found:
        yield found


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "parkgrid" / "session.json"


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(words), input=stdin)


def log_in(api: Served, name: str = "admin", password: str = PASSWORD) -> Result:
    return run("login", name, "--url", api.url, stdin=password + "\n")


def test_session_is_kept_for_its_owner_only_and_ended(api: Served, kept: Path) -> None:
    assert log_in(api).exit_code == 0
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert PASSWORD not in kept.read_text()
    assert run("logout").exit_code == 0
    assert not kept.exists()
    again = run("resources", "list")
    assert (again.exit_code, "not logged in" in again.stderr) == (2, True)


def test_wrong_password_is_a_line_and_keeps_nothing(api: Served, kept: Path) -> None:
    refused = log_in(api, password="wrong")  # noqa: S106  # of nobody
    assert refused.exit_code == 1
    assert refused.stderr.startswith("parkgrid: 401")
    assert not kept.exists()


def test_lists_are_tables_or_json(api: Served, kept: Path) -> None:
    log_in(api)
    table = run("resources", "list")
    assert table.exit_code == 0, table.output
    assert "bess1" in table.stdout
    whole = json.loads(run("resources", "list", "--json").stdout)
    assert [item["definition"]["id"] for item in whole["items"]] == ["bess1", "pv1", "ev1"]


def test_dispatch_is_made_amended_and_cancelled(api: Served, kept: Path) -> None:
    log_in(api)
    fields = ("target_kw=25", "duration_s=60", "reason=by hand")
    made = run("dispatch", "create", "stores", *fields, "--json")
    assert made.exit_code == 0, made.output
    id_ = json.loads(made.stdout)["id"]
    amended = run("dispatch", "amend", id_, "target_kw=30", "--if-match", "1", "--json")
    assert json.loads(amended.stdout)["target_kw"] == 30.0
    stale = run("dispatch", "amend", id_, "target_kw=31", "--if-match", "1")
    assert (stale.exit_code, "412" in stale.stderr) == (1, True)
    assert run("dispatch", "cancel", id_, "reason=1").exit_code == 0
    listed = run("dispatch", "list", "aggregation=stores")
    assert id_ in listed.stdout
    assert "cancelled" in listed.stdout


def test_wrong_words_are_told_before_anything_is_sent(api: Served, kept: Path) -> None:
    log_in(api)
    missing = run("dispatch", "show")
    assert (missing.exit_code, "DISPATCH_ID" in missing.stderr) == (2, True)
    assert run("dispatch", "list", "aggregaton=site").exit_code == 2
    unknown = run("api", "do_magic")
    assert (unknown.exit_code, "get_park" in unknown.stderr) == (2, True)
    refused = run("dispatch", "create", "site", "target_kw=much", "duration_s=60", "reason=x")
    assert (refused.exit_code, "target_kw" in refused.stderr) == (1, True)


def test_an_optimizer_is_deployed_from_a_file_or_a_folder(
    api: Served, kept: Path, tmp_path: Path
) -> None:
    log_in(api, "quant")
    file = tmp_path / "greedy.py"
    file.write_text("def solve(problem, deadline_s):\n    return {}\n")
    deployed = run("optimizer", "deploy", str(file), "--note", "first", "--json")
    assert deployed.exit_code == 0, deployed.output
    optimizer = json.loads(deployed.stdout)
    assert (optimizer["state"], optimizer["note"]) == ("deployed", "first")
    folder = tmp_path / "package"
    folder.mkdir()
    assert "must hold optimizer.py" in run("optimizer", "deploy", str(folder)).stderr
    (folder / "optimizer.py").write_text("from helper import solve\n")
    (folder / "helper.py").write_text(file.read_text())
    packed = run("optimizer", "deploy", str(folder))
    assert packed.exit_code == 0, packed.output
    again = run("optimizer", "deploy", str(folder))
    assert (again.exit_code, "409" in again.stderr) == (1, True)
    bad_name = run("optimizer", "deploy", str(file), "--name", "A B")
    assert (bad_name.exit_code, bad_name.stderr.startswith("parkgrid: name")) == (2, True)
    assert run("optimizer", "shadow", optimizer["id"], "reason=go").exit_code == 0
    listed = run("optimizer", "list").stdout
    assert "shadow" in listed
    assert "package-" in listed
    assert json.loads(run("optimizer", "summary", optimizer["id"], "--json").stdout)["n_plans"] == 0
    removed = run("optimizer", "remove", optimizer["id"], "--if-match", "2")
    assert removed.exit_code == 0, removed.output
    assert optimizer["id"] not in run("optimizer", "list").stdout


def test_any_operation_can_be_done(api: Served, kept: Path) -> None:
    log_in(api)
    assert "parkgrid_actor_up" in run("api", "get_metrics").stdout
    assert json.loads(run("api", "get_park", "--json").stdout)["n_resources"] == 3


def test_every_command_is_an_operation() -> None:
    known = {
        operation["operationId"]
        for operations in openapi_document()["paths"].values()
        for operation in operations.values()
    }
    assert {id_ for verbs in COMMANDS.values() for id_, _ in verbs.values()} <= known
