"""Errors keep type, message and attributes on their way between processes."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest

from controllers.kernel import errors

_EXAMPLES = [
    errors.PermanentError("gone"),
    errors.TemporaryError("busy", retry_after_s=3.0),
    errors.DomainError("window.end_at", timedelta(hours=1), "must be after start_at"),
    errors.NotFoundError("resource", "bess1"),
    errors.ConflictError("the window is taken; amend it", current="i-1"),
    errors.InvalidTransitionError("instruction", "completed", "amend"),
    errors.CurrencyMismatchError("CNY", "EUR"),
    errors.FencedError("bess1", 1, 2),
    errors.ConfigError("park.yaml", ["line 3: name is missing"]),
    errors.DeviceUnreachableError("bess1"),
    errors.ActorUnavailableError("resource-bess1"),
    errors.StorageUnavailableError("locked"),
    errors.StaleVersionError("the template", 4),
    errors.KeyReusedError("k-1", "d-1"),
    errors.SealBrokenError("cannot be opened"),
    errors.RulesBrokenError([errors.Problem(field="a.b", value=1, rule="must be 2")]),
]


@pytest.mark.parametrize("error", _EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling_with_its_attributes(error: errors.ParkgridError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_every_error_of_the_family_is_tried() -> None:
    family = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.ParkgridError)
    }
    assert family - {type(error) for error in _EXAMPLES} == {errors.ParkgridError}
