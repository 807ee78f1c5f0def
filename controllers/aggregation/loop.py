"""Control of one aggregate: the turn of its dispatch loop, from live sums to proposals.

The actor feeds member states, the parent's proposals and operators' calls, turns ``step`` once per
period (more often does no harm) and sends what it returns. Nothing here does I/O. Calls that change
durable state (``submit``, ``amend``, ``cancel``, ``set_plan``) must be followed by a commit of
``checkpoint()`` with ``take_records()`` before they are answered; a step says by ``durable`` when
it must.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from controllers.aggregation.checkpoint import AggregateCheckpoint, MemberPlan
from controllers.aggregation.commanding import Commanding
from controllers.aggregation.delivery import report as delivery_report
from controllers.aggregation.dispatch import Dispatching
from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.aggregation.instructions import InstructionBook
from controllers.aggregation.picture import Imprint, aggregate_state
from controllers.aggregation.plan_entry import PlanEntry
from controllers.aggregation.portfolio import MemberSpec, Portfolio, Sums
from controllers.aggregation.settings import AggregateSettings
from controllers.aggregation.target import Limits, Parents, Want, choose
from controllers.control.events import Record
from controllers.kernel.errors import NotFoundError
from controllers.kernel.states import AggregateState, Proposal, ResourceState
from controllers.park import AggregateDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one turn wants done."""

    proposals: list[Proposal]
    """To publish on the members' proposal topics."""
    state: AggregateState
    """To publish on the retained state topic."""
    durable: bool
    """True when ``checkpoint()`` and ``records`` must be committed before the proposals go out."""
    records: list[Record]
    """Facts for the outbox."""
    finished: list[DeliveryReport]
    """Final reports of instructions that ended since the last turn."""


class AggregateControl:
    """Decides for one aggregate. One writer, no I/O; time comes in as ``now``."""

    def __init__(
        self,
        definition: AggregateDefinition,
        members: Sequence[MemberSpec],
        *,
        epoch: int,
        now: datetime,
        restored: AggregateCheckpoint | None = None,
        settings: AggregateSettings | None = None,
    ) -> None:
        s = settings or AggregateSettings()
        last = restored or AggregateCheckpoint(epoch=epoch, saved_at=now)
        self._definition = definition
        self._settings = s
        self._epoch = epoch
        self._portfolio = Portfolio(definition.id, members, s)
        self._planned = PlanEntry(self._portfolio, s, last.plan)
        self._parents = Parents(definition.id)
        for proposal in last.parent_proposals:
            self._parents.take(proposal, now)
        self._exported_kwh, self._imported_kwh = last.exported_kwh, last.imported_kwh
        rated_kw = sum(member.rated_kw for member in members)
        self._limits = Limits(
            low_kw=-(definition.max_import_kw or math.inf),
            high_kw=definition.max_export_kw or math.inf,
        )
        book = InstructionBook(
            definition.id,
            low_kw=max(self._limits.low_kw, -rated_kw),
            high_kw=min(self._limits.high_kw, rated_kw),
            limit_name="the connection's limits and the members' rated power",
            start_grace_s=s.start_grace_s,
            n_ended_kept=s.n_ended_kept,
            restored=last.dispatches,
        )
        self._dispatching = Dispatching(book, self._portfolio, s, last.dispatches)
        self._commanding = Commanding(definition, self._portfolio, s, epoch=epoch, now=now)
        # Members whose proposals ran out meanwhile have fallen back: they start from the meter.
        if now - last.saved_at < timedelta(seconds=s.proposal_lifetime_s):
            self._commanding.resume(last, self._want(now), now)
        self._listens_until = now + timedelta(seconds=s.resume_wait_s)
        self._stepped_at = self._saved_at = now
        self._seq = 0

    def on_member_state(self, state: ResourceState | AggregateState, now: datetime) -> bool:
        """Take in a member's state; False if an older one than is known, or a stranger's."""
        return self._portfolio.update(state)

    def on_proposal(self, proposal: Proposal, now: datetime) -> bool:
        """Take in a parent's proposal; False if it was late, repeated or not for this aggregate."""
        return self._parents.take(proposal, now)

    def submit(self, instruction: Instruction, now: datetime) -> Instruction:
        """Accept an instruction; the same id with the same content returns the one that stands.

        Raises:
            DomainError: a field is outside its limit.
            ConflictError: its window overlaps another's, or its id was used for something else.
        """
        return self._dispatching.book.submit(instruction, now)

    def amend(
        self,
        instruction_id: str,
        version: int,
        now: datetime,
        *,
        operator: str,
        target_kw: float | None = None,
        end_at: datetime | None = None,
        ramp_kw_per_min: float | None = None,
        reason: str | None = None,
    ) -> Instruction:
        """Change an instruction that has not ended; None keeps.

        Raises:
            NotFoundError: unknown id.
            ConflictError: ``version`` is not the current one, or it has ended.
            DomainError: a field is outside its limit.
        """
        amended = self._dispatching.book.amend(
            instruction_id,
            version,
            now,
            operator=operator,
            target_kw=target_kw,
            end_at=end_at,
            ramp_kw_per_min=ramp_kw_per_min,
            reason=reason,
        )
        self._dispatching.retarget(instruction_id)
        return amended

    def cancel(
        self, instruction_id: str, version: int | None, now: datetime, *, operator: str, reason: str
    ) -> Instruction:
        """End an instruction now; repeating it on a cancelled one succeeds.

        Raises:
            NotFoundError: unknown id.
            ConflictError: ``version`` is not the current one, or it has ended otherwise.
        """
        cancelled = self._dispatching.book.cancel(
            instruction_id, version, now, operator=operator, reason=reason
        )
        if self._dispatching.final(instruction_id) is None:
            self._dispatching.finish(self._report(instruction_id, now))
        return cancelled

    def set_plan(self, plan: MemberPlan | None, now: datetime) -> None:
        """Follow a plan wherever no instruction or parent commands; None drops it."""
        self._planned.plan = plan

    def step(self, now: datetime) -> StepResult:
        """Turn the loop once."""
        elapsed_s = max((now - self._stepped_at).total_seconds(), 0.0)
        self._stepped_at = now
        sums = self._portfolio.sums(now)
        dispatching, commanding = self._dispatching, self._commanding
        listens = self.listens(now)
        if not listens:
            self._meter(sums, elapsed_s)
            dispatching.count(sums, commanding.reference, commanding.sent_kw, now, elapsed_s)
        dispatching.turn_windows(now, self._report)
        want = self._want(now)
        owner = commanding.owner
        if commanding.resuming(sums, want, now) or listens:
            return self._result(sums, commanding.renew(now), now, changed=False)
        released = want is not None and want.target_kw is None
        planned = self._planned
        proposals = commanding.turn(
            sums,
            want,
            plan_kw=planned.release() if released else planned.enter(now, elapsed_s),
            limits=self._parents.limits(self._limits, now),
            now=now,
            elapsed_s=elapsed_s,
        )
        dispatching.redispatched(commanding.left)
        dispatching.judge(sums, commanding.reference, now, commanding.stand.detail)
        return self._result(sums, proposals, now, changed=owner != commanding.owner)

    def listens(self, now: datetime) -> bool:
        """Tell whether members are still to be heard for the first time in this life.

        Sums of a part of the members would look like a change of power to whoever follows them, so
        until then, for a short time at most, nothing is published, counted or newly commanded.
        """
        return now < self._listens_until and not bool(self._portfolio.known.all())

    def state(self, now: datetime) -> AggregateState:
        """Return the live sums as of now, with the next sequence number, to publish in between."""
        return self._state(self._portfolio.sums(now), now)

    def take_records(self) -> list[Record]:
        """Return and forget the facts gathered since the last step or call of this."""
        records, self._dispatching.book.records = self._dispatching.book.records, []
        return records

    def checkpoint(self) -> AggregateCheckpoint:
        """Return everything a successor needs."""
        return AggregateCheckpoint(
            epoch=self._epoch,
            saved_at=self._stepped_at,
            dispatches=self._dispatching.saved(),
            plan=self._planned.plan,
            reference=self._commanding.reference,
            sent_kw={
                m.id: float(kw)
                for m, kw in zip(self._portfolio.members, self._commanding.sent_kw, strict=True)
                if np.isfinite(kw)
            },
            parent_proposals=self._parents.live(self._stepped_at),
            exported_kwh=self._exported_kwh,
            imported_kwh=self._imported_kwh,
        )

    def report(self, instruction_id: str, now: datetime) -> DeliveryReport:
        """Return an instruction with its delivery so far.

        Raises:
            NotFoundError: unknown id, or it ended in an earlier life (see the kept documents).
        """
        final = self._dispatching.final(instruction_id)
        if final is None and self._dispatching.ended_before(instruction_id):
            raise NotFoundError("report of instruction", instruction_id)
        return final or self._report(instruction_id, now)

    def instructions(self) -> list[Instruction]:
        """Return all instructions, newest first."""
        return [d.instruction for d in reversed(self._dispatching.book.all())]

    def changed_since(self, instant: datetime) -> list[Instruction]:
        """Return the instructions whose last step came at an instant or later."""
        book = self._dispatching.book.all()
        return [d.instruction for d in book if d.history and d.history[-1].at >= instant]

    def _want(self, now: datetime) -> Want | None:
        return choose([*self._parents.wants(now), *self._dispatching.wants()])

    def _meter(self, sums: Sums, elapsed_s: float) -> None:
        hours = min(elapsed_s, self._settings.max_gap_s) / 3600.0
        self._exported_kwh += max(sums.believed_kw, 0.0) * hours
        self._imported_kwh += max(-sums.believed_kw, 0.0) * hours

    def _report(self, instruction_id: str, now: datetime) -> DeliveryReport:
        dispatch = self._dispatching.book.get(instruction_id)
        reference = self._commanding.reference
        owned = reference is not None and reference.owner == instruction_id
        return delivery_report(
            dispatch,
            self._dispatching.tally(instruction_id),
            portfolio=self._portfolio,
            sums=self._portfolio.sums(now),
            following=self._commanding.following,
            sent_kw=self._commanding.sent_kw,
            reference_kw=reference.value_kw if reference is not None and owned else None,
            cause=self._commanding.cause,
            now=now,
        )

    def _state(self, sums: Sums, now: datetime) -> AggregateState:
        self._seq += 1
        holder, holder_until = self._parents.holder(now)
        imprint = Imprint(
            id=self._definition.id,
            epoch=self._epoch,
            seq=self._seq,
            published_at=now,
            holder=holder,
            holder_until=holder_until,
            exported_kwh=self._exported_kwh,
            imported_kwh=self._imported_kwh,
        )
        return aggregate_state(
            imprint,
            self._commanding.stand,
            sums=sums,
            portfolio=self._portfolio,
            following=self._commanding.following,
            sent_kw=self._commanding.sent_kw,
            cause=self._commanding.cause,
        )

    def _result(
        self, sums: Sums, proposals: list[Proposal], now: datetime, *, changed: bool
    ) -> StepResult:
        records, finished = self.take_records(), self._dispatching.finished
        self._dispatching.finished = []
        overdue = now - self._saved_at >= timedelta(seconds=self._settings.checkpoint_every_s)
        durable = (
            changed or bool(records or finished) or (overdue and self._commanding.stand.commanded)
        )
        if durable:
            self._saved_at = now
        return StepResult(
            proposals=proposals,
            state=self._state(sums, now),
            durable=durable,
            records=records,
            finished=finished,
        )
