"""What a scrape tells: every figure an operator alerts on, documented, and nothing to strangers."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from controllers.kernel.states import CommandState, CommandView, ResourceState
from serve_apps.system.commands import CommandMeter
from serve_apps.web.permissions import Role
from tests.support.api_world import World, assert_problem
from tests.support.live_states import NOW, make_aggregate_state, make_resource_state

DOCUMENTED = Path(__file__).parents[2] / "docs" / "metrics.md"
Samples = dict[str, float]


async def scrape(world: World) -> Samples:
    response = await world.client.get("/metrics", headers=world.auth(Role.MAINTAINER))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    return {
        ",".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_strangers_and_traders_may_not_read(world: World) -> None:
    assert_problem(await world.client.get("/metrics"), 401, "unauthenticated")
    refused = await world.client.get("/metrics", headers=world.auth(Role.TRADER))
    assert_problem(refused, 403, "forbidden")


async def test_age_of_telemetry_grows_with_silence(world: World) -> None:
    world.clock.advance(timedelta(seconds=42))
    samples = await scrape(world)
    assert samples["parkgrid_telemetry_age_seconds,bess1"] == 42.0
    assert samples["parkgrid_resources_by_health,ok"] == 2.0


async def test_delivery_error_and_coverage_of_each_aggregate(world: World) -> None:
    world.live.put(make_aggregate_state("site", power_kw=70.0, target_kw=100.0, seq=2))
    samples = await scrape(world)
    assert samples["parkgrid_power_kw,site"] == 70.0
    assert samples["parkgrid_delivery_error_kw,site"] == 30.0
    assert samples["parkgrid_coverage_ratio,site"] == world.live.aggregates["site"].coverage_frac
    # Nobody wants anything of the other one.
    assert "parkgrid_delivery_error_kw,stores" not in samples


async def test_actor_that_does_not_answer_is_down(world: World) -> None:
    world.actors.said["resource:bess1"] = None
    samples = await scrape(world)
    assert samples["parkgrid_actor_up,resource:bess1"] == 0.0
    assert samples["parkgrid_actor_up,optimizer"] == 1.0
    assert samples["parkgrid_plan_gap_ratio,optimizer"] == 0.001
    assert samples["parkgrid_dependency_up,actors"] == 0.0
    assert samples["parkgrid_dependency_up,store"] == 1.0
    assert samples["parkgrid_breakers_open,store"] == 1.0
    assert samples["parkgrid_queue_depth,database_writes"] == 5.0


async def test_breakers_of_notices_are_told_as_the_actor_says(world: World) -> None:
    said = {"ready": True, "webhook_breakers_open": 2, "smtp_breakers_open": 0}
    world.actors.said["alarms"] = said
    samples = await scrape(world)
    assert samples["parkgrid_breakers_open,webhook"] == 2.0
    assert samples["parkgrid_breakers_open,smtp"] == 0.0
    assert samples["parkgrid_dependency_up,webhook"] == 0.0
    assert samples["parkgrid_dependency_up,smtp"] == 1.0


async def test_requests_are_counted_by_route_not_by_path(world: World) -> None:
    for id_ in ("bess1", "pv1", "nobody"):
        await world.client.get(f"/api/v1/vpp/resources/{id_}", headers=world.auth())
    for path in ("/a", "/b"):
        await world.client.get(path)
    samples = await scrape(world)
    name = "parkgrid_http_request_seconds_count,GET,/api/vpp/resources/{resource_id}"
    assert (samples[f"{name},200"], samples[f"{name},404"]) == (2.0, 1.0)
    assert samples["parkgrid_http_request_seconds_count,GET,(none),404"] == 2.0


async def test_made_up_methods_share_one_series(world: World) -> None:
    for method in ("BREW", "WHEN"):
        await world.client.request(method, "/healthz")
    samples = await scrape(world)
    assert sum("BREW" in name or "WHEN" in name for name in samples) == 0
    assert any(",other," in name for name in samples)


def _commanded(id_: str, state: CommandState, after_s: float) -> ResourceState:
    command = CommandView(command_id=id_, state=state, setpoint_kw=1.0, seq=1, sent_at=NOW)
    return msgspec.structs.replace(
        make_resource_state("bess1"),
        published_at=NOW + timedelta(seconds=after_s),
        command=command,
    )


def test_command_is_timed_to_each_stage_once() -> None:
    registry = CollectorRegistry()
    meter = CommandMeter(registry)
    meter.see(_commanded("c-0", CommandState.APPLIED, 900.0))
    meter.see(_commanded("c-1", CommandState.SENT, 0.0))
    for after_s in (0.5, 1.5):
        meter.see(_commanded("c-1", CommandState.ACKNOWLEDGED, after_s))
    meter.see(_commanded("c-1", CommandState.FAILED, 3.0))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("parkgrid_command_seconds_sum", stage="acknowledged") == 0.5
    assert value("parkgrid_command_seconds_count", stage="acknowledged") == 1.0
    # Of the first command it is not known when it got there.
    assert value("parkgrid_command_seconds_count", stage="applied") is None
    assert value("parkgrid_command_states_total", state="failed") == 1.0


async def test_every_metric_is_documented_and_every_documented_one_is_there(world: World) -> None:
    text = (await world.client.get("/metrics", headers=world.auth(Role.ADMIN))).text
    told = {family.name for family in text_string_to_metric_families(text)}
    documented = set(re.findall(r"^\| `(parkgrid_\w+)`", DOCUMENTED.read_text(), re.MULTILINE))
    assert {name.removesuffix("_total") for name in documented} == told
