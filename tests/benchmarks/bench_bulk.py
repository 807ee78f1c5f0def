"""Bulk dispatch: POST 1,000 dispatches of one aggregate in one request, until the answer.

Path: HAProxy, Serve replica (token, idempotency and audit records flushed), AggregateActor (all
instructions in one turn, checkpoint and records flushed) and back. One request after the other;
what was accepted before still stands, so the checkpoint grows from round to round. In the end all
must be in the list.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.benchmarks.figures import figure, load_average, quantiles, report
from tests.benchmarks.live_park import AGGREGATE, LivePark, batteries, live_park
from tests.benchmarks.plain_http import PlainHttp

_MUST_PER_S = 1000.0
_WINDOW = timedelta(seconds=5)


def bulk(n: int, first: int, begin: datetime) -> dict[str, Any]:
    """Return a request of n dispatches in windows side by side, from the first-th on."""
    starts = [begin + (first + i) * _WINDOW for i in range(n)]
    return {
        "items": [
            {
                "aggregation_id": AGGREGATE,
                "target_kw": 10.0,
                "start_at": start.isoformat(),
                "end_at": (start + _WINDOW).isoformat(),
                "reason": "benchmark",
            }
            for start in starts
        ]
    }


async def _listed(http: PlainHttp) -> int:
    """Return how many dispatches all pages of the list hold, each counted once."""
    ids: set[str] = set()
    query = "limit=200"
    while True:
        answer = await http.exchange(http.request("GET", f"/api/v1/vpp/dispatches?{query}"))
        page = answer.json()
        ids |= {one["id"] for one in page["items"]}
        if page["next_cursor"] is None:
            return len(ids)
        query = f"limit=200&cursor={page['next_cursor']}"


async def measure(park: LivePark, n: int, n_rounds: int) -> dict[str, Any]:
    """Return the figures of some rounds of n dispatches."""
    begin = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251
    rounds_s = []
    async with PlainHttp(park.port, park.token()) as http:
        load_before = load_average()
        for k in range(-1, n_rounds):
            # The first is small; it opens connections and looks up the actor.
            size, first = (n, (k + 1) * n) if k >= 0 else (1, 0)
            request = http.request(
                "POST",
                "/api/v1/vpp/dispatches/bulk",
                bulk(size, first, begin),
                Idempotency_Key=f"bulk-{k}",
            )
            begun_s = time.monotonic()
            answer = await http.exchange(request)
            took_s = time.monotonic() - begun_s
            if answer.status != 200 or answer.json()["n_accepted"] != size:
                raise RuntimeError(answer.body[:1000].decode())
            if k >= 0:
                rounds_s.append(took_s)
        begun_s = time.monotonic()
        n_listed = await _listed(http)
        list_s = time.monotonic() - begun_s
    if n_listed != n * n_rounds + 1:
        raise RuntimeError(f"{n_listed} are listed of {n * n_rounds + 1} accepted")
    return {
        "load_before": load_before,
        "accepted": figure(
            n * n_rounds / sum(rounds_s), "dispatches/s", must=_MUST_PER_S, better="higher"
        ),
        "n_per_request": n,
        "ms_per_request": quantiles(took_s * 1000.0 for took_s in rounds_s),
        "ms_to_list_them_all": round(list_s * 1000.0),
        "ms_of_each": [round(took_s * 1000.0) for took_s in rounds_s],
    }


def main(*, smoke: bool) -> None:
    """Print the figures."""
    with live_park(batteries(3)) as park:
        report(asyncio.run(measure(park, 20 if smoke else 1000, 2 if smoke else 5)))


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
