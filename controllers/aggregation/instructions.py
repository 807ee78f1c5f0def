"""The instructions of one aggregate: what is accepted, how it changes, when it begins and ends."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec

from controllers.aggregation.checkpoint import Dispatch, Tally
from controllers.aggregation.instruction import (
    INSTRUCTION_MACHINE,
    Instruction,
    InstructionState,
    InstructionStep,
    InstructionTrigger,
)
from controllers.control.events import Record
from controllers.kernel.errors import ConflictError, DomainError, NotFoundError
from controllers.kernel.timebase import require_utc

_replace = msgspec.structs.replace
_MAX_TOLERANCE_KW = 1e6
_Window = tuple[datetime, datetime, str]
_TERMINAL = INSTRUCTION_MACHINE.terminal()
_CONTENT = (
    "aggregate_id",
    "target_kw",
    "start_at",
    "end_at",
    "ramp_kw_per_min",
    "priority",
    "reason",
    "issued_by",
    "tolerance_kw",
)
"""Fields in which a repeated submission must agree with the first."""


class InstructionBook:
    """All instructions an aggregate knows, by id. Mutable and owned by one control.

    Args:
        aggregate_id: whose instructions these are.
        low_kw: least net power an instruction may ask for.
        high_kw: greatest.
        limit_name: what sets these limits, for the refusal.
        start_grace_s: a window may have begun this long ago.
        n_ended_kept: ended instructions that stay listed.
    """

    def __init__(
        self,
        aggregate_id: str,
        *,
        low_kw: float,
        high_kw: float,
        limit_name: str,
        start_grace_s: float,
        n_ended_kept: int,
        restored: Iterable[Dispatch] = (),
    ) -> None:
        self._aggregate_id = aggregate_id
        self._low_kw = low_kw
        self._high_kw = high_kw
        self._limit_name = limit_name
        self._grace = timedelta(seconds=start_grace_s)
        self._n_ended_kept = n_ended_kept
        self._dispatches = {d.instruction.id: d for d in restored}
        # Of those that have not ended, the earliest first; no two overlap.
        self._windows = sorted(
            _window_of(d.instruction)
            for d in self._dispatches.values()
            if d.instruction.state not in _TERMINAL
        )
        self.records: list[Record] = []

    def get(self, instruction_id: str) -> Dispatch:
        """Return an instruction.

        Raises:
            NotFoundError: unknown id.
        """
        try:
            return self._dispatches[instruction_id]
        except KeyError:
            raise NotFoundError("instruction", instruction_id) from None

    def all(self) -> list[Dispatch]:
        """Return all, oldest first."""
        return list(self._dispatches.values())

    def open(self) -> list[Dispatch]:
        """Return those that have not ended, the earliest window first."""
        return [self._dispatches[id_] for _, _, id_ in self._windows]

    def submit(self, instruction: Instruction, now: datetime) -> Instruction:
        """Accept an instruction, or return the one it repeats.

        Raises:
            DomainError: a field is outside its limit.
            ConflictError: its window overlaps another's, or its id stands for something else.
        """
        known = self._dispatches.get(instruction.id)
        if known is not None:
            if _content(known.submitted) != _content(instruction):
                raise ConflictError(
                    f"instruction {instruction.id} stands with other content; use a new id",
                    current=instruction.id,
                )
            return known.instruction
        if instruction.aggregate_id != self._aggregate_id:
            rule = f"must be {self._aggregate_id}"
            raise DomainError("aggregate_id", instruction.aggregate_id, rule)
        start_at = require_utc("start_at", instruction.start_at)
        if start_at < now - self._grace:
            rule = f"must not lie before {(now - self._grace).isoformat()}"
            raise DomainError("start_at", start_at.isoformat(), rule)
        accepted = _replace(instruction, version=1, state=InstructionState.ACCEPTED, ended_at=None)
        self._check(accepted, now)
        self._dispatches[accepted.id] = Dispatch(instruction=accepted, submitted=instruction)
        insort(self._windows, _window_of(accepted))
        self._note(accepted.id, now, f"accepted from {accepted.issued_by}: {accepted.reason}")
        return accepted

    def amend(
        self,
        instruction_id: str,
        version: int,
        now: datetime,
        *,
        operator: str,
        target_kw: float | None,
        end_at: datetime | None,
        ramp_kw_per_min: float | None,
        reason: str | None,
    ) -> Instruction:
        """Change an instruction that has not ended; None keeps.

        Raises:
            NotFoundError: unknown id.
            ConflictError: another version stands, or it has ended.
            DomainError: a field is outside its limit.
        """
        before = self._current(instruction_id, version)
        if before.state in _TERMINAL:
            raise ConflictError(
                f"instruction {before.id} is {before.state}; submit a new one", current=before.id
            )
        ramp = before.ramp_kw_per_min if ramp_kw_per_min is None else ramp_kw_per_min
        after = _replace(
            before,
            target_kw=before.target_kw if target_kw is None else target_kw,
            end_at=before.end_at if end_at is None else end_at,
            ramp_kw_per_min=ramp,
            reason=before.reason if reason is None else reason,
            version=before.version + 1,
            state=INSTRUCTION_MACHINE.next(before.state, InstructionTrigger.AMEND),
        )
        self._check(after, now)
        self._put(after)
        self._note(after.id, now, f"amended by {operator}: {after.reason}")
        return after

    def cancel(
        self, instruction_id: str, version: int | None, now: datetime, *, operator: str, reason: str
    ) -> Instruction:
        """End an instruction now; repeating it on a cancelled one succeeds.

        Raises:
            NotFoundError: unknown id.
            ConflictError: another version stands, or it has ended otherwise.
        """
        before = self.get(instruction_id).instruction
        if before.state is InstructionState.CANCELLED:
            return before
        before = self._current(instruction_id, version)
        if before.state in _TERMINAL:
            raise ConflictError(
                f"instruction {before.id} is already {before.state}", current=before.id
            )
        trigger = InstructionTrigger.CANCEL
        return self.move(before.id, trigger, now, f"cancelled by {operator}: {reason}")

    def move(
        self, instruction_id: str, trigger: InstructionTrigger, now: datetime, note: str
    ) -> Instruction:
        """Take an instruction over one row of its table.

        Raises:
            InvalidTransitionError: the table has no such row.
        """
        before = self.get(instruction_id).instruction
        state = INSTRUCTION_MACHINE.next(before.state, trigger)
        ended_at = min(now, before.end_at) if state in _TERMINAL else None
        if state is InstructionState.CANCELLED:
            ended_at = now
        after = _replace(before, state=state, ended_at=ended_at)
        self._put(after)
        self._note(after.id, now, note)
        if state in _TERMINAL:
            self._forget_the_oldest()
        return after

    def keep(self, instruction_id: str, tally: Tally) -> None:
        """Store an instruction's account beside it."""
        self._dispatches[instruction_id] = _replace(self.get(instruction_id), tally=tally)

    def _current(self, instruction_id: str, version: int | None) -> Instruction:
        instruction = self.get(instruction_id).instruction
        if version is not None and version != instruction.version:
            raise ConflictError(
                f"instruction {instruction.id} is at version {instruction.version}, not {version};"
                " read it again and decide anew",
                current=str(instruction.version),
            )
        return instruction

    def _check(self, instruction: Instruction, now: datetime) -> None:
        for rule in _RULES:
            rule(instruction, now)
        if not self._low_kw <= instruction.target_kw <= self._high_kw:
            limits = f"{self._low_kw:g} and {self._high_kw:g} kW ({self._limit_name})"
            raise DomainError("target_kw", instruction.target_kw, f"must lie between {limits}")
        for start_at, end_at, id_ in self._neighbours(instruction):
            if instruction.start_at < end_at and start_at < instruction.end_at:
                raise ConflictError(
                    f"instruction {id_} holds {start_at.isoformat()} to"
                    f" {end_at.isoformat()}; amend or cancel it first",
                    current=id_,
                )

    def _neighbours(self, instruction: Instruction) -> list[_Window]:
        """Return the windows nearest to an instruction's; only they can overlap it."""
        place = bisect_left(self._windows, _window_of(instruction))
        near = self._windows[max(0, place - 1) : place + 1]
        return [window for window in near if window[2] != instruction.id]

    def _put(self, instruction: Instruction) -> None:
        dispatch = self.get(instruction.id)
        self._dispatches[instruction.id] = _replace(dispatch, instruction=instruction)
        before = dispatch.instruction
        if before.state not in _TERMINAL:
            del self._windows[bisect_left(self._windows, _window_of(before))]
        if instruction.state not in _TERMINAL:
            insort(self._windows, _window_of(instruction))

    def _note(self, instruction_id: str, now: datetime, note: str) -> None:
        dispatch = self.get(instruction_id)
        one = dispatch.instruction
        step = InstructionStep(at=now, state=one.state, version=one.version, note=note)
        self._dispatches[one.id] = _replace(dispatch, history=[*dispatch.history, step])
        self.records.append(
            Record(
                kind="instruction",
                at=now,
                data={
                    "instruction_id": one.id,
                    "state": str(one.state),
                    "version": one.version,
                    "target_kw": one.target_kw,
                    "ramp_kw_per_min": one.ramp_kw_per_min,
                    "start_at": one.start_at.isoformat(),
                    "end_at": one.end_at.isoformat(),
                    "issued_by": one.issued_by,
                    "issued_at": one.issued_at.isoformat(),
                    "ended_at": None if one.ended_at is None else one.ended_at.isoformat(),
                    "priority": int(one.priority),
                    "tolerance_kw": one.tolerance_kw,
                    "reason": one.reason,
                    "note": note,
                },
            )
        )

    def _forget_the_oldest(self) -> None:
        ended = [d.instruction for d in self.all() if d.instruction.state in _TERMINAL]
        for one in sorted(ended, key=lambda i: i.ended_at or i.end_at)[: -self._n_ended_kept]:
            del self._dispatches[one.id]


def _window_of(instruction: Instruction) -> _Window:
    return instruction.start_at, instruction.end_at, instruction.id


def _content(instruction: Instruction) -> tuple[object, ...]:
    return tuple(getattr(instruction, name) for name in _CONTENT)


def _finite(instruction: Instruction, now: datetime) -> None:
    if not math.isfinite(instruction.target_kw):
        raise DomainError("target_kw", instruction.target_kw, "must be a finite number of kW")


def _window(instruction: Instruction, now: datetime) -> None:
    start_at = require_utc("start_at", instruction.start_at)
    end_at = require_utc("end_at", instruction.end_at)
    if end_at <= start_at:
        rule = f"must be after start_at = {start_at.isoformat()}"
        raise DomainError("end_at", end_at.isoformat(), rule)
    if end_at <= now:
        raise DomainError("end_at", end_at.isoformat(), f"must be after now = {now.isoformat()}")


def _ramp(instruction: Instruction, now: datetime) -> None:
    ramp = instruction.ramp_kw_per_min
    if ramp is not None and not (math.isfinite(ramp) and ramp > 0.0):
        raise DomainError("ramp_kw_per_min", ramp, "must be a finite number above 0, or absent")


def _tolerance(instruction: Instruction, now: datetime) -> None:
    if not 0.0 < instruction.tolerance_kw <= _MAX_TOLERANCE_KW:
        rule = f"must be above 0 and at most {_MAX_TOLERANCE_KW:g} kW"
        raise DomainError("tolerance_kw", instruction.tolerance_kw, rule)


_RULES: tuple[Callable[[Instruction, datetime], None], ...] = (_finite, _window, _ramp, _tolerance)
