"""JSON codec for everything that crosses MQTT or a checkpoint; strict, typed and fast.

A document that does not fit its type is refused with the path of the first offending field:
unknown fields, NaN and infinities (not JSON), numbers out of range, naive timestamps, oversize.
"""

from __future__ import annotations

from typing import Annotated, TypeVar, dataclass_transform

import msgspec

from controllers.kernel.errors import DomainError

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A counter or sequence number that fits every JSON reader."""

Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}(?!\n)$")]
"""Site, device, resource and aggregate ids; safe as one MQTT topic level and as a file name."""

Reason = Annotated[str, msgspec.Meta(max_length=500)]
"""Free text from people or devices."""

_encoder = msgspec.json.Encoder()
_decoders: dict[object, msgspec.json.Decoder[object]] = {}


class _KeywordOnly(msgspec.StructMeta):
    """Makes every subclass keyword-only; msgspec inherits its other options, but not this one."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, object], **options: object
    ) -> type:
        options.setdefault("kw_only", True)
        return super().__new__(mcls, name, bases, namespace, **options)  # type: ignore[arg-type]


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class Wire(msgspec.Struct, metaclass=_KeywordOnly, frozen=True, forbid_unknown_fields=True):
    """Base of every message on the wire: immutable, keyword-only, no unknown fields."""


def encode(message: object) -> bytes:
    """Return the JSON bytes of a message."""
    return _encoder.encode(message)


def decode(payload: bytes, type_: type[T], *, max_bytes: int = 65_536) -> T:
    """Return the message in ``payload``.

    Raises:
        DomainError: not JSON, not of that type, or longer than ``max_bytes``.
    """
    if len(payload) > max_bytes:
        raise DomainError("payload", f"{len(payload)} bytes", f"must be at most {max_bytes} bytes")
    decoder = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = msgspec.json.Decoder(type_)
    try:
        return decoder.decode(payload)  # type: ignore[return-value]
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        raise DomainError(path.strip("`") or "$", "(not shown)", message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DomainError("payload", "(not shown)", str(error)) from error
    except RecursionError as error:
        raise DomainError("payload", "(not shown)", "must not be nested so deeply") from error
