"""Every error of the family has one HTTP status, chosen here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controllers.kernel import errors
from serve_apps.web.problems import FieldError, refusal_of

CASES: list[tuple[errors.ParkgridError, int]] = [
    (errors.DomainError("target_kw", 9e9, "must be at most 2500 kW"), 422),
    (errors.RulesBrokenError([errors.Problem(field="a", value=1, rule="must be 2")]), 422),
    (errors.NotFoundError("dispatch", "x"), 404),
    (errors.ConflictError("overlaps d-1; amend or cancel it", current="d-1"), 409),
    (errors.StaleVersionError("the template", 4), 412),
    (errors.KeyReusedError("k-1", "d-1"), 422),
    (errors.InvalidTransitionError("instruction", "completed", "amend"), 409),
    (errors.ActorUnavailableError("aggregate:site"), 503),
    (errors.StorageUnavailableError("the disk of host db-7 is full"), 503),
    (errors.DeviceUnreachableError("bess1"), 503),
    (errors.FencedError("bess1", 1, 2), 500),
    (errors.SealBrokenError("a secret of bess1 cannot be opened"), 500),
]


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda v: type(v).__name__)
def test_status_follows_from_the_type(error: errors.ParkgridError, status: int) -> None:
    refusal = refusal_of(error)
    assert refusal.status == status
    if status == 503:
        assert int(refusal.headers["Retry-After"]) >= 1
    if status >= 500:
        assert "db-7" not in refusal.detail
        assert "bess1" not in refusal.detail


def _leaves(type_: type[errors.ParkgridError]) -> Iterator[type[errors.ParkgridError]]:
    for child in type_.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _leaves(child)


def test_every_error_of_the_kernel_can_be_answered() -> None:
    found = set(_leaves(errors.ParkgridError))
    assert {type(error) for error, _ in CASES} <= found
    bases = {errors.PermanentError, errors.TemporaryError}
    never_reach_the_edge = {errors.CurrencyMismatchError, errors.ConfigError}
    assert found - bases - never_reach_the_edge == {type(error) for error, _ in CASES}


def test_domain_error_keeps_field_value_and_rule() -> None:
    refusal = refusal_of(errors.DomainError("target_kw", 9000.0, "must be at most 2500 kW"))
    assert refusal.errors == [
        FieldError(field="target_kw", place="body", value="9000.0", rule="must be at most 2500 kW")
    ]
