"""Notices reach real servers signed and once, are retried, and never go where they must not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
from email.message import Message
from pathlib import Path

import pytest

from actors.notices.dispatcher import MAX_WAITING, Patience
from actors.notices.guard import AddressGuard
from actors.notices.webhook import check_url
from controllers.alarms.addresses import parse_networks
from controllers.alarms.channels import (
    DeliveryOutcome,
    MailSecurity,
    MqttEndpoint,
    WebhookEndpoint,
)
from controllers.kernel.errors import DomainError
from tests.support.notices import KEY, LOOPBACK, QUICK, SECRET, desk, mail_to, notice, to
from tests.support.receivers import make_certificate, open_hook, open_mailbox
from tests.support.waiting import eventually

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates")


async def test_a_webhook_gets_one_signed_post_that_anybody_can_verify() -> None:
    async with open_hook() as hook, desk(to(hook.port)) as sending:
        (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.DELIVERED
        (request,) = hook.received
        assert request.line == "POST /hook?x=1 HTTP/1.1"
        assert request.headers["host"] == f"127.0.0.1:{hook.port}"
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}."
        expected = hmac.new(KEY, signed.encode() + request.body, hashlib.sha256).digest()
        assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
        body = json.loads(request.body)
        assert (body["schema"], body["park"], body["id"]) == (1, "demo", "notice-1")
        assert "recent_raises" in body["alarm"]
        assert SECRET not in str(request)


async def test_what_fails_for_the_moment_is_tried_again_under_the_same_id() -> None:
    async with open_hook(statuses=[500, 429, 204]) as hook, desk(to(hook.port)) as sending:
        (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.DELIVERED
        assert [a.detail for a in delivery.attempts] == ["status 500", "status 429", "status 204"]
        assert {r.headers["webhook-id"] for r in hook.received} == {"notice-1"}


@pytest.mark.parametrize(("status", "n_tries"), [(404, 1), (400, 1), (503, 3), (301, 1), (307, 1)])
async def test_what_is_refused_for_good_is_not_tried_again(status: int, n_tries: int) -> None:
    async with open_hook(statuses=[status]) as hook, desk(to(hook.port)) as sending:
        (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.FAILED
        assert len(hook.received) == len(delivery.attempts) == n_tries


async def test_a_redirect_is_not_followed() -> None:
    async with open_hook() as inner:
        headers = f"location: http://127.0.0.1:{inner.port}/\r\n"
        async with open_hook(statuses=[302], headers=headers) as hook, desk(to(hook.port)) as d:
            (delivery,) = await d.send(notice())
            assert delivery.outcome is DeliveryOutcome.FAILED
        assert inner.n_connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f000001"])
async def test_loopback_is_not_even_connected_to_unless_allowed(host: str) -> None:
    async with open_hook() as hook, desk(to(hook.port, host=host), allowed=()) as sending:
        (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.FAILED
        assert hook.n_connections == 0


async def test_a_name_that_turns_private_after_configuration_is_refused_when_connecting() -> None:
    answers = [["93.184.216.34"], ["127.0.0.1"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    guard = AddressGuard(resolve=rebinding)
    await guard.address_of("hook.example", 443, encrypted=True, field="url")
    with pytest.raises(DomainError, match="not public"):
        await guard.address_of("hook.example", 443, encrypted=True, field="url")


async def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    n_asked = 0

    async def once(host: str, port: int) -> list[str]:
        nonlocal n_asked
        n_asked += 1
        return ["127.0.0.1"]

    async with open_hook() as hook:
        url = to(hook.port, host="nowhere.invalid")
        async with desk(url, resolve=once) as sending:
            (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.DELIVERED
        assert (n_asked, hook.received[0].headers["host"]) == (1, f"nowhere.invalid:{hook.port}")


async def test_one_private_address_among_public_ones_is_refused() -> None:
    async def mixed(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(DomainError, match="not public"):
        await AddressGuard(resolve=mixed).address_of("h", 443, encrypted=True, field="url")


async def test_in_the_clear_only_to_networks_allowed_by_name() -> None:
    async def public(host: str, port: int) -> list[str]:
        return ["93.184.216.34"]

    guard = AddressGuard(parse_networks(LOOPBACK), resolve=public)
    await guard.address_of("h", 443, encrypted=True, field="url")
    with pytest.raises(DomainError, match="encrypted"):
        await guard.address_of("h", 80, encrypted=False, field="url")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "file:///etc/passwd",
        "https://",
        "/relative",
        "https://user:pw@example.org/",
        "https://example.org/#part",
        "https://exa mple.org/",
        "https://[::1/",
        "gopher://127.0.0.1:25/",
        "https://example.org:99999/",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(DomainError) as refusal:
        check_url(url)
    assert "pw" not in str(refusal.value)


@needs_openssl
async def test_https_is_verified_against_the_name_although_an_address_is_dialled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, context = make_certificate(tmp_path)
    async with open_hook(tls=context) as hook:

        def at(host: str) -> WebhookEndpoint:
            return WebhookEndpoint(url=f"https://{host}:{hook.port}/")

        async with desk(at("localhost")) as sending:
            assert (await sending.send(notice()))[0].outcome is DeliveryOutcome.FAILED
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        async with desk(at("localhost"), at("127.0.0.1")) as sending:
            await sending.send(notice(1), notice(2, "c1"))
        outcomes = {d.channel_id: d.outcome for d in sending.settled}
        assert outcomes == {"c0": DeliveryOutcome.DELIVERED, "c1": DeliveryOutcome.FAILED}
        assert len(hook.received) == 1


async def test_a_dead_channel_delays_no_other() -> None:
    patience = Patience(n_attempts=50, first_wait_s=1.0)
    async with (
        open_hook(statuses=[500]) as dead,
        open_hook() as alive,
        desk(to(dead.port), to(alive.port), patience=patience) as sending,
    ):
        sending.dispatcher.take([notice(1, "c0"), notice(2, "c1")])
        await eventually(lambda: sending.settled, within_s=5)
        assert [d.notice_id for d in sending.settled] == ["notice-2"]


async def test_a_channel_takes_in_so_many_and_the_rest_is_dropped_and_said_so() -> None:
    patience = Patience(n_attempts=50, first_wait_s=5.0)
    async with open_hook(silent=True) as hook, desk(to(hook.port), patience=patience) as sending:
        sending.dispatcher.take([notice(0)])
        await eventually(lambda: hook.received, within_s=5)
        sending.dispatcher.take([notice(n) for n in range(1, MAX_WAITING + 4)])
        dropped = [d for d in sending.settled if d.outcome is DeliveryOutcome.DROPPED]
        assert len(dropped) == 3
        # Stopping ends at once and settles nothing: what waited is handed out again later.
        await sending.dispatcher.stop()
        assert len(sending.settled) == 3


async def test_a_notice_that_is_being_delivered_is_not_taken_twice() -> None:
    async with open_hook() as hook, desk(to(hook.port)) as sending:
        await sending.send(notice(), notice())
        assert len(hook.received) == len(sending.settled) == 1


async def test_a_channel_that_is_gone_drops_what_waited() -> None:
    async with desk() as sending:
        (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.DROPPED


async def test_mqtt_goes_to_the_channels_own_topic_and_waits_for_the_broker() -> None:
    async with desk(MqttEndpoint()) as sending:
        sending.broker_up = False
        (failed,) = await sending.send(notice(1))
        assert failed.outcome is DeliveryOutcome.FAILED
        sending.broker_up = True
        await sending.send(notice(2))
        ((topic, payload),) = sending.published
        assert topic == "parkgrid/int/v1/alarm/notice/c0"
        assert json.loads(payload)["id"] == "notice-2"


def text_of(mail: object) -> str:
    assert isinstance(mail, Message)
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


async def test_a_mail_arrives_with_what_is_wrong() -> None:
    with open_mailbox() as (mailbox, port):
        async with desk(mail_to(port), secret=None) as sending:
            (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.DELIVERED
        (mail,) = mailbox.mails
        assert isinstance(mail, Message)
        assert "anna@example.org" in str(mail["To"])
        assert "test of this channel, asked for by anna" in str(mail["Subject"])
        assert "rule:      Test" in text_of(mail)


async def test_a_busy_mail_server_is_asked_again_and_a_password_never_goes_in_the_clear() -> None:
    with open_mailbox() as (mailbox, port):
        mailbox.busy = 2
        async with desk(mail_to(port, username="park"), secret="pw") as sending:  # noqa: S106
            (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.DELIVERED
        assert len(delivery.attempts) > 1
        assert mailbox.log_ins == []


@needs_openssl
async def test_starttls_demands_a_good_certificate_and_then_logs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, context = make_certificate(tmp_path)
    with open_mailbox(context) as (mailbox, port):
        endpoint = mail_to(port, security=MailSecurity.STARTTLS, username="park")
        async with desk(endpoint, secret="pw") as sending:  # noqa: S106
            (refused,) = await sending.send(notice(1))
            assert refused.outcome is DeliveryOutcome.FAILED
            assert mailbox.log_ins == []
            monkeypatch.setenv("SSL_CERT_FILE", str(cert))
            await sending.send(notice(2))
            assert sending.settled[1].outcome is DeliveryOutcome.DELIVERED
            assert mailbox.log_ins == [(b"park", b"pw")]
            mailbox.accepts = False
            await sending.send(notice(3))
            assert sending.settled[2].outcome is DeliveryOutcome.FAILED
            assert len(sending.settled[2].attempts) == 1
            assert "pw" not in str(sending.settled[2])


async def test_a_mail_server_inside_is_refused_unless_allowed() -> None:
    with open_mailbox() as (mailbox, port):
        async with desk(mail_to(port), allowed=()) as sending:
            (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.FAILED
        assert mailbox.mails == []


async def test_a_silent_server_costs_an_attempt_not_the_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.notices.webhook.ATTEMPT_DEADLINE_S", 0.2)
    async with open_hook(silent=True) as hook, desk(to(hook.port)) as sending:
        (delivery,) = await sending.send(notice())
        assert delivery.outcome is DeliveryOutcome.FAILED
        assert len(delivery.attempts) == QUICK.n_attempts
