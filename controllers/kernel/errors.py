"""One family of errors; the type says whether a retry can help.

Expected refusals (a limit reached, a plan that does not exist) are results, not exceptions. What is
raised here carries its identifiers as attributes so that an edge can render them without parsing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ParkgridError(Exception):
    """Base of everything Parkgrid raises on purpose; survives pickling with its attributes."""

    def __reduce__(self) -> tuple[object, ...]:
        # The inherited way calls the class with its message, which most constructors do not take.
        return _revive, (type(self), self.args, self.__dict__)


def _revive(
    type_: type[ParkgridError], args: tuple[object, ...], attributes: dict[str, object]
) -> ParkgridError:
    error = type_.__new__(type_, *args)
    error.__dict__.update(attributes)
    return error


class PermanentError(ParkgridError):
    """Retrying the same call cannot succeed."""


class TemporaryError(ParkgridError):
    """The same call may succeed later."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DomainError(PermanentError):
    """A rule was broken; names the field, the value and the limit.

    Args:
        field: dotted path of the offending field, as the caller wrote it.
        value: the offending value.
        rule: what the rule demands, with the limit and its unit, as a sentence fragment.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} = {value!r}: {rule}")
        self.field = field
        self.value = value
        self.rule = rule


class RulesBrokenError(PermanentError):
    """A document breaks rules; carries every one that was found.

    Args:
        problems: at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = list(problems)


class NotFoundError(PermanentError):
    """Nothing of that kind has that id."""

    def __init__(self, kind: str, id_: str) -> None:
        super().__init__(f"no {kind} has the id {id_!r}")
        self.kind = kind
        self.id = id_


class ConflictError(PermanentError):
    """The request contradicts what already stands.

    Args:
        message: what contradicts, and the remedy.
        current: id or version of what stands.
    """

    def __init__(self, message: str, *, current: str) -> None:
        super().__init__(message)
        self.current = current


class StaleVersionError(PermanentError):
    """Somebody changed it since the caller looked.

    Args:
        subject: what was to be changed.
        current: the version that stands.
    """

    def __init__(self, subject: str, current: int) -> None:
        super().__init__(f"{subject} is now at version {current}; read it again and decide anew")
        self.subject = subject
        self.current = current


class KeyReusedError(PermanentError):
    """An idempotency key was used before, for another request."""

    def __init__(self, key: str, subject: str) -> None:
        super().__init__("this Idempotency-Key was used with another request; use a new key")
        self.key = key
        self.subject = subject


class InvalidTransitionError(PermanentError):
    """A state machine was given a trigger it has no row for."""

    def __init__(self, machine: str, state: str, trigger: str) -> None:
        super().__init__(f"{machine}: no transition from {state!r} on {trigger!r}")
        self.machine = machine
        self.state = state
        self.trigger = trigger


class SealBrokenError(PermanentError):
    """A stored secret cannot be opened: it was changed, or its key is gone."""


class CurrencyMismatchError(PermanentError):
    """Two amounts in different currencies were combined."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"cannot combine {left} with {right}; convert with a dated rate first")
        self.left = left
        self.right = right


class FencedError(PermanentError):
    """A writer with an old epoch tried to write; its successor is already alive."""

    def __init__(self, actor_id: str, epoch: int, current_epoch: int) -> None:
        super().__init__(f"{actor_id}: epoch {epoch} was fenced off by epoch {current_epoch}")
        self.actor_id = actor_id
        self.epoch = epoch
        self.current_epoch = current_epoch


class ConfigError(PermanentError):
    """A file or setting is wrong; carries every problem found, each with its place.

    Args:
        source: file name or setting group.
        problems: one line per problem, each naming line or field and the remedy.
    """

    def __init__(self, source: str, problems: list[str]) -> None:
        super().__init__("\n".join([f"{source}: {len(problems)} problem(s)", *problems]))
        self.source = source
        self.problems = problems


class DeviceUnreachableError(TemporaryError):
    """The link to a device is down."""

    def __init__(self, device_id: str, *, retry_after_s: float = 5.0) -> None:
        super().__init__(f"device {device_id!r} is unreachable", retry_after_s=retry_after_s)
        self.device_id = device_id


class ActorUnavailableError(TemporaryError):
    """An actor did not answer within its deadline."""

    def __init__(self, actor_id: str, *, retry_after_s: float = 2.0) -> None:
        super().__init__(f"{actor_id} is not available", retry_after_s=retry_after_s)
        self.actor_id = actor_id


class StorageUnavailableError(TemporaryError):
    """The database did not take the write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One broken rule, found while checking a whole document."""

    field: str
    """Dotted path, as written by the author."""
    value: object
    """What stood there."""
    rule: str
    """What the rule demands, with limit and unit."""

    def __str__(self) -> str:
        """Render as ``field = value: rule``."""
        return f"{self.field} = {self.value!r}: {self.rule}"
