"""How the actors are, as metrics and probes want to know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Health = Mapping[str, int | float | str | bool]
"""Named figures of one actor; ``ready`` says whether it does its work."""


WEBHOOK, SMTP = "webhook", "smtp"
NOTICE_SERVERS = (WEBHOOK, SMTP)
"""Kinds of servers outside that take notices of alarms."""


def breakers_figure(dependency: str) -> str:
    """Return the name under which an actor says how many circuit breakers it has open."""
    return f"{dependency}_breakers_open"


def n_breakers_open(healths: Mapping[str, Health | None], dependency: str) -> int | None:
    """Return how many circuit breakers the actors have open; None while no actor says so."""
    name = breakers_figure(dependency)
    counts = [int(health[name]) for health in healths.values() if health and name in health]
    return sum(counts) if counts else None


class ActorHealth(Protocol):
    """Asks the actors how they are; bounded in time, and not more often than every few seconds."""

    async def healths(self) -> Mapping[str, Health | None]:
        """Return by actor name what each said; None for one that did not answer in time.

        Raises:
            ActorUnavailableError: nobody can tell which actors there are.
        """
        ...
