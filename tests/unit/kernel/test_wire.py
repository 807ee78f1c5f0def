"""The wire codec: what passes, what is refused, and with which field named."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pytest

from controllers.kernel.errors import DomainError
from controllers.kernel.wire import Count, Identifier, Reason, Wire, decode, encode


class Inner(Wire):
    """A part."""

    kw: Annotated[float, msgspec.Meta(ge=-10.0, le=10.0)]


class Message(Wire):
    """A message with every kind of field."""

    id: Identifier
    seq: Count = 0
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    parts: list[Inner] = []
    extra: dict[str, object] = {}


def test_a_message_survives_the_wire() -> None:
    message = Message(
        id="bess-1",
        seq=2**53,
        at=datetime(2026, 6, 1, 12, tzinfo=UTC),
        parts=[Inner(kw=-1.5)],
        extra={"a": [1, None]},
    )
    assert decode(encode(message), Message) == message


@pytest.mark.parametrize(
    ("payload", "field", "rule"),
    [
        (b'{"id":"a","sneq":1}', "$", "unknown field `sneq`"),
        (b'{"seq":1}', "$", "missing required field `id`"),
        (b'{"id":7}', "$.id", "Expected `str`"),
        (b'{"id":"a","seq":-1}', "$.seq", ">= 0"),
        (b'{"id":"a","seq":9007199254740993}', "$.seq", "<= 9007199254740992"),
        (b'{"id":"a","seq":1e300}', "$.seq", "Expected `int`"),
        (b'{"id":"a","seq":true}', "$.seq", "Expected `int`, got `bool`"),
        (b'{"id":"a","seq":"1"}', "$.seq", "Expected `int`, got `str`"),
        (b'{"id":"a","at":"2026-06-01T12:00:00"}', "$.at", "timezone"),
        (b'{"id":"a","at":"yesterday"}', "$.at", "RFC3339"),
        (b'{"id":"a","at":1780315200}', "$.at", "Expected `datetime"),
        (b'{"id":"a","parts":[{"kw":1},{"kw":10.1}]}', "$.parts[1].kw", "<= 10.0"),
        (b'{"id":"a","parts":[{"kw":1e999}]}', "$.parts[0].kw", "out of range"),
        (b'{"id":"a","parts":[{"kw":NaN}]}', "payload", "malformed"),
        (b'{"id":"a","parts":[{"kw":-Infinity}]}', "payload", "malformed"),
        (b"[]", "$", "Expected `object`"),
        (b"null", "$", "Expected `object`"),
        (b'{"id":"a"} trailing', "payload", "malformed"),
        (b'{"id":"a"', "payload", "truncated"),
        (b"", "payload", "truncated"),
        (b"\xff\xfe", "payload", "malformed"),
        (b'{"id":"a","extra":{"k":"\xff"}}', "payload", "utf-8"),
        (b"[" * 60_000, "$", "Expected `object`"),
        (b'{"id":"a","extra":{"k":' + b"[" * 60_000, "payload", "nested"),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_what_does_not_fit_is_refused_with_its_path(payload: bytes, field: str, rule: str) -> None:
    with pytest.raises(DomainError) as refusal:
        decode(payload, Message)
    assert refusal.value.field == field
    assert rule in refusal.value.rule


def test_the_refusal_does_not_repeat_the_payload() -> None:
    with pytest.raises(DomainError) as refusal:
        decode(b'{"id":"a","seq":"hunter2"}', Message)
    assert "hunter2" not in str(refusal.value)


def test_an_oversize_payload_is_refused_unread() -> None:
    payload = encode(Message(id="a"))
    assert decode(payload, Message, max_bytes=len(payload)) == Message(id="a")
    with pytest.raises(DomainError, match=f"at most {len(payload) - 1} bytes"):
        decode(payload, Message, max_bytes=len(payload) - 1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_never_arrives_as_one(value: float) -> None:
    with pytest.raises(DomainError, match=r"\$\.kw"):
        decode(encode(Inner(kw=value)), Inner)


@pytest.mark.parametrize("id_", ["a", "bess1", "0-9_z", "a" * 64])
def test_identifiers_are_safe_as_topic_level_and_file_name(id_: str) -> None:
    assert decode(encode(Message(id=id_)), Message).id == id_


@pytest.mark.parametrize(
    "id_", ["", "A", "-a", "_a", "a/b", "a.b", "a+", "#", "a b", "电池", "a" * 65, "a\n", "../a"]
)
def test_other_identifiers_are_refused(id_: str) -> None:
    with pytest.raises(DomainError, match=r"\$\.id"):
        decode(encode({"id": id_}), Message)


def test_a_reason_is_bounded() -> None:
    assert decode(encode("x" * 500), Reason)
    with pytest.raises(DomainError):
        decode(encode("x" * 501), Reason)


def test_a_message_is_immutable_and_keyword_only() -> None:
    message: Any = Message(id="a")
    with pytest.raises(AttributeError):
        message.seq = 2
    positional: Any = Inner
    with pytest.raises(TypeError):
        positional(1.0)
