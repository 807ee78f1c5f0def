"""An aggregate's instructions while they run: windows, accounts, judgement, final reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec
import numpy as np

from controllers.aggregation.checkpoint import Dispatch, ReferenceState, Tally
from controllers.aggregation.delivery import Delivery, undelivered
from controllers.aggregation.instruction import (
    INSTRUCTION_MACHINE,
    DeliveryReport,
    Instruction,
    InstructionState,
    InstructionTrigger,
)
from controllers.aggregation.instructions import InstructionBook
from controllers.aggregation.portfolio import BoolArray, FloatArray, Portfolio, Sums
from controllers.aggregation.settings import AggregateSettings
from controllers.aggregation.target import Want, settled

Reporter = Callable[[str, datetime], DeliveryReport]
_S, _T = InstructionState, InstructionTrigger


class Dispatching:
    """Runs the instructions of one aggregate. Mutable and owned by one control."""

    def __init__(
        self,
        book: InstructionBook,
        portfolio: Portfolio,
        settings: AggregateSettings,
        restored: Iterable[Dispatch],
    ) -> None:
        self.book = book
        self.finished: list[DeliveryReport] = []
        """Final reports since they were last taken."""
        self._portfolio = portfolio
        self._settings = settings
        self._n_kept = settings.n_ended_kept
        self._final: dict[str, DeliveryReport] = {}
        self._off_since: datetime | None = None
        terminal = INSTRUCTION_MACHINE.terminal()
        self._accounts = {
            d.instruction.id: Delivery(d, portfolio)
            for d in restored
            if d.instruction.state not in terminal
        }
        self._ended_before = {d.instruction.id for d in restored if d.instruction.state in terminal}

    def wants(self) -> list[Want]:
        """Return the claim of the instruction whose window is open."""
        return [
            Want(
                owner=one.id,
                priority=one.priority,
                since=one.start_at,
                target_kw=one.target_kw,
                ramp_kw_per_min=one.ramp_kw_per_min,
                instruction_id=one.id,
            )
            for one in self._running()
        ]

    def count(
        self,
        sums: Sums,
        reference: ReferenceState | None,
        sent_kw: FloatArray,
        now: datetime,
        elapsed_s: float,
    ) -> None:
        """Add the time since the last turn to the account of the running instruction."""
        for one in self._running():
            inside_s = (min(now, one.end_at) - one.start_at).total_seconds()
            owned = reference is not None and reference.owner == one.id
            self._account(one).count(
                sums,
                instruction=one,
                reference_kw=reference.value_kw if reference is not None and owned else None,
                sent_kw=sent_kw if owned else np.full(len(sent_kw), np.nan),
                settled=not owned or settled(reference, now, self._settings.settle_s),
                elapsed_s=max(min(elapsed_s, self._settings.max_gap_s, inside_s), 0.0),
            )

    def turn_windows(self, now: datetime, reporter: Reporter) -> None:
        """Begin the instructions whose window opens, end those whose window closes."""
        for dispatch in self.book.open():
            one = dispatch.instruction
            if now >= one.end_at:
                self._end(one, now, reporter)
            elif now >= one.start_at and one.state is _S.ACCEPTED:
                self.book.move(one.id, _T.START, now, "the window opens")
                self._off_since = None

    def judge(self, sums: Sums, reference: ReferenceState | None, now: datetime, note: str) -> None:
        """Move the running instruction by what the meter says.

        Args:
            sums: the members now.
            reference: the ramped target and its owner.
            now: the present instant.
            note: why something is missing.
        """
        for one in self._running():
            owned = reference is not None and reference.owner == one.id
            within = owned and abs(one.target_kw - sums.believed_kw) <= one.tolerance_kw
            self._off_since = None if within else self._off_since or now
            if within:
                if one.state is not _S.DELIVERING:
                    words = f"{sums.believed_kw:.1f} kW metered"
                    self.book.move(one.id, _T.WITHIN_TOLERANCE, now, words)
            elif one.state is not _S.PARTIAL and self._outside(one, reference, now, owned=owned):
                who = "" if owned or reference is None else f"{reference.owner} has the aggregate; "
                words = f"{who}{sums.believed_kw:.1f} kW metered; {note}"
                self.book.move(one.id, _T.OUTSIDE_TOLERANCE, now, words)

    def redispatched(self, members: BoolArray) -> None:
        """Count that members' shares had to be given to others."""
        for one in self._running():
            self._account(one).n_redispatched += members

    def retarget(self, instruction_id: str) -> None:
        """Judge an amended instruction by its new target."""
        account = self._accounts.get(instruction_id)
        if account is not None:
            account.retarget()

    def finish(self, report: DeliveryReport) -> None:
        """Keep the final report of an instruction that has ended."""
        id_ = report.instruction.id
        self.book.keep(id_, self.tally(id_))
        self._accounts.pop(id_, None)
        self._final[id_] = report
        while len(self._final) > self._n_kept:
            del self._final[next(iter(self._final))]
        self.finished.append(report)

    def final(self, instruction_id: str) -> DeliveryReport | None:
        """Return the final report of an instruction that ended in this life."""
        return self._final.get(instruction_id)

    def ended_before(self, instruction_id: str) -> bool:
        """Tell whether an instruction ended in an earlier life."""
        return instruction_id in self._ended_before

    def tally(self, instruction_id: str) -> Tally:
        """Return the account of an instruction so far."""
        account = self._accounts.get(instruction_id)
        return self.book.get(instruction_id).tally if account is None else account.tally()

    def saved(self) -> list[Dispatch]:
        """Return all instructions with their accounts, for the checkpoint."""
        return [
            msgspec.structs.replace(d, tally=self.tally(d.instruction.id)) for d in self.book.all()
        ]

    def _running(self) -> list[Instruction]:
        """Return the instruction whose window is open; windows never overlap."""
        live = (d.instruction for d in self.book.open())
        return [one for one in live if one.state is not _S.ACCEPTED]

    def _account(self, one: Instruction) -> Delivery:
        account = self._accounts.get(one.id)
        if account is None:
            account = self._accounts[one.id] = Delivery(self.book.get(one.id), self._portfolio)
        return account

    def _outside(
        self, one: Instruction, reference: ReferenceState | None, now: datetime, *, owned: bool
    ) -> bool:
        if not owned:
            return reference is not None
        if one.state is _S.ACTIVE:
            return settled(reference, now, self._settings.settle_s)
        off_s = 0.0 if self._off_since is None else (now - self._off_since).total_seconds()
        return off_s >= self._settings.confirm_s

    def _end(self, one: Instruction, now: datetime, reporter: Reporter) -> None:
        tally = self.tally(one.id)
        failed = one.state is _S.ACCEPTED or (
            one.state is not _S.DELIVERING and undelivered(tally, one)
        )
        note = f"the window closed; {tally.delivered_kwh:.3f} kWh metered"
        self.book.move(one.id, _T.END_UNDELIVERED if failed else _T.END, now, note)
        self.finish(reporter(one.id, now))
