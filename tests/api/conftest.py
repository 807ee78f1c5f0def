"""Fixtures of the API tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from serve_apps.web.deps import ApiSettings
from tests.support.api_world import World, open_world


@pytest.fixture
def settings() -> ApiSettings:
    """Return settings under which every read is fresh."""
    return ApiSettings(
        jwt_secret="s" * 32,
        live_refresh_s=0.0,
        four_eyes="never",
        check_fresh_s=-1.0,
        store_timeout_s=0.5,
    )


@pytest.fixture
async def world(settings: ApiSettings) -> AsyncIterator[World]:
    """Yield the API over fakes."""
    async with open_world(settings) as opened:
        yield opened
