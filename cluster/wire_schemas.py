"""JSON schemas of the device contract: ``python -m cluster.wire_schemas`` writes ``docs/schemas``.

They are generated from the types that decode the messages, so that they cannot drift apart.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from controllers.control.contract import (
    Ack,
    Backfill,
    Command,
    FleetCommand,
    FleetTelemetry,
    Status,
    Telemetry,
)
from controllers.devices.messages import Configuration, Manage, ManageResult
from controllers.kernel.wire import Wire

MESSAGES: dict[str, type[Wire]] = {
    "telemetry": Telemetry,
    "fleet-telemetry": FleetTelemetry,
    "command": Command,
    "fleet-command": FleetCommand,
    "ack": Ack,
    "status": Status,
    "config": Configuration,
    "manage": Manage,
    "result": ManageResult,
    "backfill": Backfill,
}
"""By file name."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text(message: type[Wire]) -> str:
    """Return the schema file of one message type."""
    schema = msgspec.json.schema(message, ref_template="#/$defs/{name}")
    return msgspec.json.format(msgspec.json.encode({"$schema": _DIALECT, **schema})).decode() + "\n"


def main() -> None:
    """Entry point; the one argument is the folder, by default ``docs/schemas``."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schemas")
    folder.mkdir(parents=True, exist_ok=True)
    for name, message in MESSAGES.items():
        (folder / f"{name}.json").write_text(schema_text(message))


if __name__ == "__main__":
    main()
