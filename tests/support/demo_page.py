"""Serves the page over fakes with a park that moves: ``python -m tests.support.demo_page PORT``.

For looking at the page while working on it. Log in as ``operator`` with the password
of ``tests.support.accounts``.
"""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import uvicorn
from fastapi import FastAPI

from cluster.park_file import load_park
from cluster.storage.database import Database
from cluster.storage.devices import SqlDevices
from cluster.storage.templates import SqlTemplates
from controllers.aggregation.instruction import (
    DeliveryReport,
    Instruction,
    InstructionState,
    MemberDelivery,
)
from controllers.kernel.ids import RandomIds
from controllers.kernel.states import Contender, Envelope, Health, Priority, Quality, Rung
from controllers.kernel.timebase import SystemClock
from controllers.park import ParkDefinition, ResourceDefinition
from serve_apps.api import build_api
from serve_apps.web.deps import ApiDeps, ApiSettings
from tests.support.accounts import account_stores, insert_accounts, make_account
from tests.support.databases import migrated_sqlite
from tests.support.fakes import FakeControlPlane, FakeLiveView, FakeOperationsStore
from tests.support.live_states import make_aggregate_state, make_resource_state

_NATURAL_FRAC = {"pv": 0.62, "wind": 0.45, "chp": 0.7, "ev_station": -0.55, "flexible_load": -0.6}
_PARK_FILE = Path(__file__).parents[2] / "cluster" / "demo" / "park.yaml"
_STEP_S = 0.5


class MovingPark:
    """Resources that wander, and batteries that follow the dispatch in force."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.park: ParkDefinition = load_park(_PARK_FILE)
        self.live = FakeLiveView()
        self.control = FakeControlPlane(self.park, self.clock)
        self.power_kw: dict[str, float] = {}
        self.soc_frac: dict[str, float] = {}
        self.seq = 0

    def step(self) -> None:
        """Move everything by half a second."""
        self.seq += 1
        running = self._running()
        for i, resource in enumerate(self.park.resources):
            self._move(i, resource, running)
        for aggregate in reversed(self.park.aggregates):
            self._sum(aggregate.id, running)
        if running is not None:
            self._report(running)

    def _running(self) -> Instruction | None:
        now = self.clock.now()
        for book in self.control.book.values():
            for report in book.values():
                instruction = report.instruction
                if instruction.end_at < now and instruction.ended_at is None:
                    ended = {"state": InstructionState.COMPLETED, "ended_at": now}
                    instruction = msgspec.structs.replace(instruction, **ended)
                    self.control.replace_report(
                        msgspec.structs.replace(report, instruction=instruction)
                    )
                elif instruction.start_at <= now and instruction.ended_at is None:
                    return instruction
        return None

    def _rated_kw(self, resource: ResourceDefinition) -> float:
        values = resource.parameters
        for name in ("rated_kw", "max_discharge_kw", "max_charge_kw", "max_kw"):
            if name in values:
                return float(values[name])
        return float(values.get("n_devices", 100)) * float(values.get("device_kw", 1.0))

    def _move(self, i: int, resource: ResourceDefinition, running: Instruction | None) -> None:
        rated_kw = self._rated_kw(resource)
        wave = 0.12 * math.sin(self.seq / 23 + i) + 0.02 * math.sin(self.seq / 3 + 2 * i)
        natural_kw = rated_kw * (_NATURAL_FRAC.get(resource.kind, -0.4) + wave)
        setpoint_kw: float | None = None
        if resource.kind == "battery":
            setpoint_kw = self._battery_kw(rated_kw, running)
            natural_kw = setpoint_kw + 2 * wave
        if resource.id in self.control.killed:
            natural_kw = 0.0
        before_kw = self.power_kw.get(resource.id, natural_kw)
        power_kw = before_kw + 0.18 * (natural_kw - before_kw)
        self.power_kw[resource.id] = power_kw
        quality = Quality.STALE if resource.id == "bldg2" and self.seq > 1 else Quality.GOOD
        self.live.put(
            make_resource_state(
                resource.id,
                kind=resource.kind,
                seq=self.seq,
                power_kw=power_kw,
                rated_kw=rated_kw,
                setpoint_kw=setpoint_kw,
                published_at=self.clock.now(),
                measured_at=self.clock.now()
                - timedelta(seconds=40 if quality is Quality.STALE else 0.2 + i / 30),
                quality=quality,
                health=Health.DEGRADED if quality is Quality.STALE else Health.OK,
                rung=Rung.FAILSAFE if quality is Quality.STALE else Rung.ACTIVE,
                envelope=self._envelope(resource, rated_kw, power_kw),
                signals=self._signals(resource, power_kw),
                contenders=self._contenders(setpoint_kw, running),
                killed=resource.id in self.control.killed,
            )
        )

    def _battery_kw(self, rated_kw: float, running: Instruction | None) -> float:
        if running is None:
            return -0.25 * rated_kw
        others_kw = sum(kw for id_, kw in self.power_kw.items() if not id_.startswith("bess"))
        return max(-rated_kw, min(rated_kw, (running.target_kw - others_kw) * rated_kw / 1500))

    def _envelope(self, resource: ResourceDefinition, rated_kw: float, power_kw: float) -> Envelope:
        low_kw, high_kw = min(0.0, power_kw), max(0.0, power_kw)
        if resource.kind == "battery":
            low_kw, high_kw = -rated_kw, rated_kw
        return Envelope(
            min_kw=low_kw,
            max_kw=high_kw,
            ramp_up_kw_per_min=600.0,
            ramp_down_kw_per_min=600.0,
            energy_up_kwh=200.0,
            energy_down_kwh=200.0,
        )

    def _signals(self, resource: ResourceDefinition, power_kw: float) -> dict[str, float]:
        if resource.kind == "fleet":
            return {"store_frac": 0.55}
        if resource.kind != "battery":
            return {}
        soc = self.soc_frac.get(resource.id, 0.64) - power_kw * _STEP_S / 3600 / 1000
        self.soc_frac[resource.id] = soc
        return {"soc_frac": soc}

    def _contenders(
        self, setpoint_kw: float | None, running: Instruction | None
    ) -> list[Contender]:
        if setpoint_kw is None:
            return []
        until = self.clock.now() + timedelta(seconds=10)
        dispatch = ("vpp-park", Priority.MARKET, f"dispatch {running.id[-6:]}") if running else None
        plan = ("vpp-park-plan", Priority.ECONOMICS, "charge at midday price")
        return [
            Contender(
                source_id=source,
                priority=priority,
                outcome="won" if i == 0 else "lost",
                target_kw=setpoint_kw,
                granted_kw=setpoint_kw if i == 0 else None,
                until=until,
                reason=reason if i == 0 else "outranked",
            )
            for i, (source, priority, reason) in enumerate(filter(None, (dispatch, plan)))
        ]

    def _sum(self, id_: str, running: Instruction | None) -> None:
        leaves = self._leaves(id_)
        states = [self.live.resources[leaf] for leaf in leaves]
        rated_kw = sum(s.rated_kw for s in states)
        good_kw = sum(s.rated_kw for s in states if s.quality is Quality.GOOD)
        mine = running is not None and running.aggregate_id == id_
        self.live.put(
            make_aggregate_state(
                id_,
                seq=self.seq,
                published_at=self.clock.now(),
                power_kw=sum(s.power_kw for s in states),
                sigma_kw=4.2,
                rated_kw=rated_kw,
                coverage_frac=good_kw / rated_kw,
                envelope=Envelope(
                    min_kw=sum(s.envelope.min_kw for s in states),
                    max_kw=sum(s.envelope.max_kw for s in states),
                    ramp_up_kw_per_min=600.0,
                    ramp_down_kw_per_min=600.0,
                    energy_up_kwh=1.0,
                    energy_down_kwh=1.0,
                ),
                health=Health.OK if good_kw == rated_kw else Health.DEGRADED,
                target_kw=running.target_kw if running and mine else None,
                n_members=len(states),
                n_fresh=sum(s.quality is Quality.GOOD for s in states),
            )
        )

    def _leaves(self, id_: str) -> list[str]:
        aggregate = self.park.aggregate(id_)
        if aggregate is None:
            return [id_]
        return [leaf for member in aggregate.members for leaf in self._leaves(member)]

    def _report(self, running: Instruction) -> None:
        report: DeliveryReport = self.control.book[running.aggregate_id][running.id]
        measured_kw = self.live.aggregates[running.aggregate_id].power_kw
        within = abs(measured_kw - running.target_kw) <= running.tolerance_kw
        state = InstructionState.DELIVERING if within else InstructionState.ACTIVE
        step_kwh = _STEP_S / 3600
        members = [
            MemberDelivery(
                member_id=id_,
                requested_kw=self.live.resources[id_].setpoint_kw,
                granted_kw=self.live.resources[id_].setpoint_kw,
                measured_kw=kw,
                quality=Quality.GOOD,
                winner="vpp-park",
                winner_reason="dispatch",
                winner_until=None,
                command_state=None,
                delivered_kwh=1.0,
                requested_kwh=1.0,
                n_redispatched=0,
                set_aside_until=None,
            )
            for id_, kw in self.power_kw.items()
            if id_.startswith("bess")
        ]
        self.control.replace_report(
            msgspec.structs.replace(
                report,
                instruction=msgspec.structs.replace(running, state=state),
                measured_kw=measured_kw,
                target_kw=running.target_kw,
                shortfall_kw=running.target_kw - measured_kw,
                requested_kwh=report.requested_kwh + running.target_kw * step_kwh,
                delivered_kwh=report.delivered_kwh + measured_kw * step_kwh,
                within_tolerance_frac=0.97 if within else 0.4,
                members=members,
            )
        )


def main(port: int) -> None:
    """Serve until interrupted."""
    moving = MovingPark()
    moving.step()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def move() -> None:
            while True:
                moving.step()
                await asyncio.sleep(_STEP_S)

        task = asyncio.create_task(move())
        yield
        task.cancel()

    with tempfile.TemporaryDirectory() as folder:
        database = Database(migrated_sqlite(Path(folder) / "parkgrid.sqlite"), moving.clock)
        account = make_account("operator", ["operator"], moving.clock.now())
        asyncio.run(insert_accounts(database, [account]))
        ids = RandomIds(moving.clock)
        deps = ApiDeps(
            park=lambda: moving.park,
            live=moving.live,
            control=moving.control,
            store=FakeOperationsStore(moving.clock),
            **account_stores(database),
            devices=SqlDevices(database, ids),
            templates=SqlTemplates(database),
            clock=moving.clock,
            ids=ids,
            settings=ApiSettings(jwt_secret="for looking at the page, nothing else"),  # noqa: S106
        )
        uvicorn.run(
            build_api(deps, lifespan=lifespan), host="127.0.0.1", port=port, log_level="warning"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
