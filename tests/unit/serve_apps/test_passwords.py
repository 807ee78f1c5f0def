"""Back-off grows, is bounded in time and in memory, and hashes are judged safely."""

from __future__ import annotations

from datetime import timedelta

import pytest

from serve_apps.accounts.passwords import Backoff, hash_password, verify_password
from serve_apps.web.deps import ApiSettings
from tests.support.live_states import NOW

SETTINGS = ApiSettings(
    jwt_secret="s" * 32, login_free_attempts=3, login_max_wait_s=60.0, login_max_tracked=100
)


def test_first_failures_are_free_then_the_wait_doubles_up_to_its_limit() -> None:
    backoff = Backoff(SETTINGS)
    waits = []
    for _ in range(12):
        backoff.failed("op", NOW)
        waits.append(backoff.wait_s("op", NOW))
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert backoff.wait_s("op", NOW + timedelta(seconds=61)) == 0.0
    assert backoff.wait_s("other", NOW) == 0.0


def test_success_forgets_failures() -> None:
    backoff = Backoff(SETTINGS)
    for _ in range(5):
        backoff.failed("op", NOW)
    backoff.succeeded("op")
    backoff.failed("op", NOW)
    assert backoff.wait_s("op", NOW) == 0.0


def test_memory_is_bounded_and_the_newest_are_kept() -> None:
    backoff = Backoff(SETTINGS)
    for i in range(1000):
        for _ in range(4):
            backoff.failed(f"name{i}", NOW)
    n_locked = sum(backoff.wait_s(f"name{i}", NOW) > 0 for i in range(1000))
    assert n_locked == SETTINGS.login_max_tracked
    assert backoff.wait_s("name999", NOW) > 0


def test_only_the_right_password_fits() -> None:
    stored = hash_password("secret")
    assert verify_password(stored, "secret")
    assert not verify_password(stored, "Secret")


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$broken"])
def test_unreadable_hash_fits_nothing(stored: str) -> None:
    assert not verify_password(stored, stored)
