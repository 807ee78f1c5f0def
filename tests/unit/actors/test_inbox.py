"""Each waiting policy bounds its room in its own declared way."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from actors.links import inbox as inbox_module
from actors.links.inbox import Inbound, Inbox, Policy, Subscription
from actors.links.mqtt import FullJitter, MqttSettings
from controllers.kernel.errors import DomainError
from controllers.kernel.wire import Wire

_STATES = Subscription(topic_filter="state/+", policy=Policy.LATEST)
_SAMPLES = Subscription(topic_filter="d/telemetry", policy=Policy.DROP_OLDEST)
_ANSWERS = Subscription(topic_filter="d/ack", policy=Policy.KEEP, qos=1, max_bytes=20)


class _Body(Wire):
    n: int


@pytest.fixture
def inbox() -> Inbox:
    return Inbox([_STATES, _SAMPLES, _ANSWERS], asyncio.Event())


def _put(inbox: Inbox, topic: str, *payloads: bytes) -> None:
    for payload in payloads:
        inbox.put(topic, payload, retained=False)


def _payloads(messages: list[Inbound]) -> list[bytes]:
    return [message.payload for message in messages]


def test_a_newer_state_replaces_the_waiting_one_of_its_topic(inbox: Inbox) -> None:
    _put(inbox, "state/a", b"1")
    _put(inbox, "state/b", b"1")
    _put(inbox, "state/a", b"2")
    assert [(m.topic, m.payload) for m in inbox.drain(10)] == [("state/a", b"2"), ("state/b", b"1")]
    assert inbox.n_coalesced == 1


def test_the_oldest_samples_go_when_too_many_wait(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "SAMPLES_MAX_MESSAGES", 2)
    _put(inbox, "d/telemetry", b"1", b"2", b"3")
    assert _payloads(inbox.drain(10)) == [b"2", b"3"]
    assert inbox.n_dropped == 1


def test_samples_are_bounded_in_bytes_too(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "SAMPLES_MAX_BYTES", 10)
    _put(inbox, "d/telemetry", b"1" * 6, b"2" * 6)
    assert _payloads(inbox.drain(10)) == [b"2" * 6]
    _put(inbox, "d/telemetry", b"3" * 6)
    assert _payloads(inbox.drain(10)) == [b"3" * 6]


def test_answers_are_kept_in_order_and_overflow_is_counted(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "KEEP_MAX_MESSAGES", 2)
    _put(inbox, "d/ack", b"1", b"2", b"3")
    assert _payloads(inbox.drain(10)) == [b"1", b"2"]
    assert inbox.n_overflowed == 1


def test_answers_leave_before_states_and_states_before_samples(inbox: Inbox) -> None:
    _put(inbox, "d/telemetry", b"sample")
    _put(inbox, "state/a", b"state")
    _put(inbox, "d/ack", b"answer")
    assert _payloads(inbox.drain(1)) == [b"answer"]
    assert _payloads(inbox.drain(1)) == [b"state"]
    assert _payloads(inbox.drain(1)) == [b"sample"]
    assert len(inbox) == 0


def test_an_oversize_payload_is_not_stored_and_refused_on_decoding(inbox: Inbox) -> None:
    _put(inbox, "d/ack", b" " * 21)
    (message,) = inbox.drain(10)
    assert (message.payload, message.n_bytes) == (b"", 21)
    with pytest.raises(DomainError, match="at most 20 bytes"):
        message.decode(_Body)


def test_a_topic_nobody_subscribed_is_ignored(inbox: Inbox) -> None:
    _put(inbox, "elsewhere", b"1")
    assert len(inbox) == inbox.n_received == 0


def test_a_message_wakes_whoever_waits() -> None:
    wake = asyncio.Event()
    Inbox([_ANSWERS], wake).put("d/ack", b"1", retained=False)
    assert wake.is_set()


def test_waits_double_up_to_the_cap_and_start_over_after_a_reset() -> None:
    jitter = FullJitter(1.0, lambda: 1.0)
    assert [jitter.next_s() for _ in range(5)] == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0])
    jitter.reset()
    assert jitter.next_s() == pytest.approx(0.2)


def test_waits_are_drawn_over_the_whole_range() -> None:
    assert FullJitter(1.0, lambda: 0.0).next_s() == 0.0


def test_no_outage_is_long_enough_to_overflow_the_wait() -> None:
    jitter = FullJitter(10.0, lambda: 1.0)
    assert [jitter.next_s() for _ in range(5_000)][-1] == 10.0


def test_settings_show_no_password_and_survive_pickling() -> None:
    settings = MqttSettings(host="h", username="u", password="hidden")  # noqa: S106
    assert "hidden" not in repr(settings)
    assert "hidden" not in f"{settings}"
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301
