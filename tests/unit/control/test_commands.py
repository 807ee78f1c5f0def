"""The command table: no dead end, no surprise."""

from __future__ import annotations

import pytest

from controllers.control.commands import COMMAND_MACHINE, ENDED, CommandTrigger
from controllers.kernel.errors import InvalidTransitionError
from controllers.kernel.states import CommandState

_LIVE = [CommandState.SENT, CommandState.ACKNOWLEDGED, CommandState.APPLIED, CommandState.VERIFIED]


@pytest.mark.parametrize("state", _LIVE)
@pytest.mark.parametrize(
    ("trigger", "end"),
    [
        (CommandTrigger.TIME_OUT, CommandState.FAILED),
        (CommandTrigger.EXPIRE, CommandState.EXPIRED),
        (CommandTrigger.SUPERSEDE, CommandState.SUPERSEDED),
        (CommandTrigger.REFUSE, CommandState.REJECTED),
    ],
)
def test_every_live_command_can_end_in_every_way(
    state: CommandState, trigger: CommandTrigger, end: CommandState
) -> None:
    assert COMMAND_MACHINE.next(state, trigger) is end


@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_ended_command_never_lives_again(state: CommandState) -> None:
    for trigger in CommandTrigger:
        if COMMAND_MACHINE.allows(state, trigger):
            assert COMMAND_MACHINE.next(state, trigger) is state


@pytest.mark.parametrize("state", _LIVE)
def test_sending_again_is_no_progress(state: CommandState) -> None:
    assert COMMAND_MACHINE.next(state, CommandTrigger.SEND) is state


def test_every_state_is_reachable() -> None:
    assert set(COMMAND_MACHINE.table.values()) | {CommandState.PROPOSED} == set(CommandState)


@pytest.mark.parametrize("state", [CommandState.SENT, CommandState.ACKNOWLEDGED])
def test_the_meter_alone_verifies_nothing(state: CommandState) -> None:
    with pytest.raises(InvalidTransitionError):
        COMMAND_MACHINE.next(state, CommandTrigger.METER_AGREES)
