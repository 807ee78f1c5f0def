"""Free ports for listeners that open later, or again and again: none that the system hands out.

A port from ``bind(0)`` lies in the range from which the system serves outgoing connections, so it
may be taken before the listener opens, or while a broker restarts; a client that keeps calling a
silent port of that range may even end up connected to itself.
"""

from __future__ import annotations

import random
import socket

from controllers.kernel.errors import ConfigError

LOWEST = 20_000
HIGHEST = 29_999
"""Below what Linux hands out (32,768 on), above Ray's workers and below its replicas' ingress."""

_ATTEMPTS = 200

# Parks that start together must not try the same ports in step; nothing decided depends on it.
_entropy = random.SystemRandom()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nobody listens.

    Args:
        host: address that the listener will have; empty for all of this machine.

    Raises:
        ConfigError: none was found.
    """
    for _ in range(_ATTEMPTS):
        port = _entropy.randint(LOWEST, HIGHEST)
        if is_free(host, port):
            return port
    raise ConfigError("ports", [f"no free port between {LOWEST} and {HIGHEST} on {host}"])


def is_free(host: str, port: int) -> bool:
    """Tell whether one could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return True
    except OSError:
        return False
