"""Deployed optimizers over HTTP: deployed, judged, promoted by two people, rolled back, removed."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from cluster.storage.tables.optimizers import OPTIMIZER_SCORES
from controllers.kernel.wire import Wire
from controllers.optimizers.deployment import MAX_BYTES
from controllers.optimizers.scores import Outcome
from serve_apps.web.deps import ApiSettings
from serve_apps.web.permissions import Role
from tests.support.api_world import World, assert_problem, open_world
from tests.support.optimizers import make_score

API = "/api/vpp/optimizers"
SOURCE = "def solve(problem, deadline_s):\n    return {}\n"
LEAST = 2


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    return replace(settings, shadow_plans=LEAST)


def body(source: str = SOURCE, **changes: Any) -> dict[str, Any]:
    content = base64.b64encode(source.encode()).decode()
    return {"name": "greedy", "file_name": "greedy.py", "content_base64": content, **changes}


async def deploy(world: World, source: str = SOURCE, **headers: str) -> httpx.Response:
    return await world.client.post(
        API, json=body(source), headers=world.auth(Role.QUANT, **headers)
    )


async def step(
    world: World, id_: str, verb: str, version: int | None = None, role: Role = Role.QUANT
) -> httpx.Response:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return await world.client.post(
        f"{API}/{id_}/{verb}", json={"reason": "why"}, headers=world.auth(role, **headers)
    )


async def get(world: World, path: str = "", **query: Any) -> httpx.Response:
    return await world.client.get(f"{API}{path}", params=query, headers=world.auth(Role.AUDITOR))


async def judged(world: World, id_: str, n: int, outcome: Outcome = Outcome.VALID) -> None:
    """Put scores into the database, a minute apart."""
    rows = []
    for i in range(n):
        at = world.clock.advance(timedelta(minutes=1))
        score = make_score(f"{id_}-{at:%H%M}-{i}", id_, at, outcome=outcome)
        rows.append({**as_row(score), "outcome": outcome.value})
    await world.database.write(
        lambda group: group.connection.execute(insert(OPTIMIZER_SCORES), rows)
    )


def as_row(value: Wire) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


async def promoted(world: World, source: str) -> dict[str, Any]:
    """Deploy, shadow, judge and promote; return the optimizer."""
    id_ = (await deploy(world, source)).json()["id"]
    assert (await step(world, id_, "shadow")).status_code == 200
    await judged(world, id_, LEAST)
    answer = await step(world, id_, "promote", 2)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_file_is_deployed_once_under_an_id_of_its_content(world: World) -> None:
    first = await deploy(world)
    assert (first.status_code, first.headers["etag"]) == (201, '"1"')
    optimizer = first.json()
    assert first.headers["location"] == f"{API}/{optimizer['id']}"
    assert (optimizer["state"], optimizer["n_bytes"]) == ("deployed", len(SOURCE))
    assert "content" not in optimizer
    assert_problem(await deploy(world), 409, "conflict")
    other = (await deploy(world, SOURCE + "# new\n")).json()
    assert other["id"] != optimizer["id"]
    ids = {item["id"] for item in (await get(world)).json()["items"]}
    assert ids == {optimizer["id"], other["id"]}
    (entry, _) = await world.audited("optimizer.deploy")
    assert entry.data["sha256"] == other["sha256"]
    assert "content_base64" not in entry.data


async def test_a_repeated_deployment_is_one(world: World) -> None:
    key = {"Idempotency-Key": "k"}
    first, again = [await deploy(world, **key) for _ in range(2)]
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await get(world)).json()["items"]) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"content_base64": "not base 64"}, "content_base64"),
        ({"content_base64": "Ä"}, "content_base64"),
        ({"content_base64": base64.b64encode(b"def solver(): pass").decode()}, "content"),
        ({"file_name": "greedy.sh"}, "file_name"),
        ({"file_name": "../greedy.py"}, "file_name"),
        ({"name": "No Name"}, "name"),
        ({"environment": "../../bin"}, "environment"),
        ({"content_base64": "A" * 700_000}, "content_base64"),
    ],
    ids=["base64", "no letter of it", "no solve", "kind", "path", "name", "environment", "size"],
)
async def test_what_cannot_be_deployed_is_refused(
    world: World, changes: dict[str, Any], field: str
) -> None:
    answer = await world.client.post(API, json=body(**changes), headers=world.auth(Role.QUANT))
    problem = assert_problem(answer, 422, "validation")
    assert field in str(problem)


async def test_the_largest_file_can_be_deployed(world: World) -> None:
    content = SOURCE + "#" * (MAX_BYTES - len(SOURCE))
    assert (await deploy(world, content)).json()["n_bytes"] == MAX_BYTES


async def test_it_is_promoted_only_after_plans_that_hold(world: World) -> None:
    id_ = (await deploy(world)).json()["id"]
    assert_problem(await step(world, id_, "promote", 1), 409, "conflict")
    await step(world, id_, "shadow")
    assert_problem(await step(world, id_, "promote", 2), 409, "conflict")
    await judged(world, id_, 1, Outcome.INFEASIBLE)
    await judged(world, id_, LEAST - 1)
    assert_problem(await step(world, id_, "promote", 2), 409, "conflict")
    await judged(world, id_, 1)
    assert_problem(await step(world, id_, "promote"), 428, "version-required")
    assert_problem(await step(world, id_, "promote", 1), 412, "version-changed")
    answer = await step(world, id_, "promote", 2)
    assert (answer.json()["state"], answer.headers["etag"]) == ("promoted", '"3"')


async def test_a_roll_back_needs_no_version_and_brings_back_who_was_before(world: World) -> None:
    first = await promoted(world, SOURCE)
    second = await promoted(world, SOURCE + "# 2\n")
    assert second["replaced"] == first["id"]
    assert (await get(world, f"/{first['id']}")).json()["state"] == "shadow"
    answer = await step(world, second["id"], "rollback", role=Role.OPERATOR)
    assert answer.json()["state"] == "shadow"
    assert (await get(world, f"/{first['id']}")).json()["state"] == "promoted"
    assert [e.subject for e in await world.audited("optimizer.roll_back")] == [second["id"]]


async def test_a_promoted_one_cannot_be_removed_and_a_removed_one_is_not_listed(
    world: World,
) -> None:
    optimizer = await promoted(world, SOURCE)
    url = f"{API}/{optimizer['id']}"
    headers = world.auth(Role.QUANT, **{"If-Match": f'"{optimizer["version"]}"'})
    assert_problem(await world.client.delete(url, headers=headers), 409, "conflict")
    rolled = (await step(world, optimizer["id"], "rollback")).json()
    headers = world.auth(Role.QUANT, **{"If-Match": f'"{rolled["version"]}"'})
    assert (await world.client.delete(url, headers=headers)).json()["state"] == "removed"
    assert (await get(world)).json()["items"] == []
    assert len((await get(world, state="removed")).json()["items"]) == 1


async def test_scores_come_in_pages_and_summed_up(world: World) -> None:
    id_ = (await deploy(world)).json()["id"]
    await judged(world, id_, 3)
    first = (await get(world, f"/{id_}/scores", limit=2)).json()
    rest = (await get(world, f"/{id_}/scores", limit=2, cursor=first["next_cursor"])).json()
    ats = [score["at"] for score in first["items"] + rest["items"]]
    assert ats == sorted(ats, reverse=True)
    assert len(ats) == 3
    summary = (await get(world, f"/{id_}/summary")).json()
    assert (summary["n_valid_in_a_row"], summary["mean_cost_difference"]) == (3, -1.0)
    assert_problem(await get(world, "/nobody/scores"), 404, "not-found")


@pytest.fixture
async def strict(settings: ApiSettings) -> AsyncIterator[World]:
    """Yield a world where a promotion takes two people."""
    async with open_world(replace(settings, four_eyes="auto")) as opened:
        yield opened


async def test_a_promotion_takes_a_second_person(strict: World) -> None:
    id_ = (await deploy(strict)).json()["id"]
    await step(strict, id_, "shadow")
    assert_problem(await step(strict, id_, "promote", 2), 409, "conflict")
    await judged(strict, id_, LEAST)
    asked = await step(strict, id_, "promote", 2)
    assert asked.status_code == 202
    assert (await get(strict, f"/{id_}")).json()["state"] == "shadow"
    url = f"/api/vpp/approvals/{asked.json()['id']}/approve"
    own = await strict.client.post(url, json={}, headers=strict.auth(Role.QUANT))
    assert_problem(own, 409, "conflict")
    done = await strict.client.post(url, json={}, headers=strict.auth(Role.OPERATOR))
    assert done.json()["state"] == "done"
    optimizer = (await get(strict, f"/{id_}")).json()
    assert (optimizer["state"], optimizer["changed_by"]) == ("promoted", "operator")
    (entry,) = await strict.audited("optimizer.promote")
    assert (entry.data["requested_by"], entry.data["approved_by"]) == ("quant", "operator")
