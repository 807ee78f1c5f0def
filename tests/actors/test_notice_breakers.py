"""A server outside that keeps failing is left alone for a while, then gets what waited."""

from __future__ import annotations

import time

from actors.notices.dispatcher import Patience
from controllers.alarms.channels import Channel, DeliveryOutcome
from controllers.ports.alarms import OpenChannel
from tests.support.broker import free_port
from tests.support.notices import desk, mail_to, notice, to
from tests.support.receivers import open_hook, open_mailbox
from tests.support.waiting import eventually


async def test_a_server_that_keeps_failing_rests_and_gets_what_waited_when_it_is_back() -> None:
    patience = Patience(n_attempts=5, first_wait_s=0.01, longest_wait_s=0.02, rest_s=0.5)
    async with open_hook(statuses=[503]) as hook, desk(to(hook.port), patience=patience) as sending:
        assert sending.dispatcher.n_breakers_open() == {"webhook": 0, "smtp": 0}
        begun_s = time.monotonic()
        sending.dispatcher.take([notice(n) for n in range(4)])
        await eventually(lambda: len(hook.received) == 3, within_s=5)
        await eventually(lambda: sending.dispatcher.n_breakers_open()["webhook"] == 1, within_s=5)
        await eventually(lambda: len(hook.received) == 4, within_s=5)
        assert time.monotonic() - begun_s > 0.5
        hook.statuses = [204]
        await eventually(lambda: len(sending.settled) == 4, within_s=5)
        assert {d.outcome for d in sending.settled} == {DeliveryOutcome.DELIVERED}
        assert [len(d.attempts) for d in sending.settled] == [5, 1, 1, 1]
        assert sending.dispatcher.n_breakers_open() == {"webhook": 0, "smtp": 0}


async def test_a_test_by_hand_is_tried_at_once_and_its_success_ends_the_rest() -> None:
    patience = Patience(n_attempts=3, first_wait_s=0.01, longest_wait_s=0.02, rest_s=600.0)
    async with open_hook(statuses=[503]) as hook, desk(to(hook.port), patience=patience) as sending:
        assert (await sending.send(notice(1)))[0].outcome is DeliveryOutcome.FAILED
        assert sending.dispatcher.n_breakers_open()["webhook"] == 1
        hook.statuses = [204]
        tried = await sending.dispatcher.test("c0", notice(2))
        assert tried.outcome is DeliveryOutcome.DELIVERED
        assert (await sending.send(notice(3)))[1].outcome is DeliveryOutcome.DELIVERED


async def test_a_refusal_is_an_answer_and_opens_nothing() -> None:
    async with open_hook(statuses=[404]) as hook, desk(to(hook.port)) as sending:
        await sending.send(*(notice(n) for n in range(5)))
        assert len(hook.received) == 5
        assert sending.dispatcher.n_breakers_open()["webhook"] == 0


async def test_a_mail_server_that_is_gone_rests_and_other_settings_begin_anew() -> None:
    gone = mail_to(free_port())
    patience = Patience(n_attempts=3, first_wait_s=0.01, longest_wait_s=0.02, rest_s=600.0)
    async with desk(gone, secret=None, patience=patience) as sending:
        await sending.send(notice(1))
        assert sending.dispatcher.n_breakers_open() == {"webhook": 0, "smtp": 1}
        with open_mailbox() as (mailbox, port):
            channel = Channel(id="c0", name="C", endpoint=mail_to(port))
            sending.dispatcher.use([OpenChannel(channel=channel)])
            assert sending.dispatcher.n_breakers_open()["smtp"] == 0
            await sending.send(notice(2))
        assert sending.settled[1].outcome is DeliveryOutcome.DELIVERED
        assert len(mailbox.mails) == 1
