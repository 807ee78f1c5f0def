"""How every process logs: one JSON object a line, with the ids that lead from one line to the next.

``PARKGRID_LOG_FORMAT`` is ``json`` or ``text``, ``PARKGRID_LOG_LEVEL`` the least level; processes
take both from the environment, which Ray hands on to those it starts. A request id stands on every
line written while the request is served, an actor's name on every line of its process, a command's
id on every line about sending it or about an answer of its device that could not be judged.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

from controllers.control.events import (
    AckReceived,
    Effect,
    Event,
    SendCommand,
    TelemetryReceived,
)

FORMAT_VARIABLE = "PARKGRID_LOG_FORMAT"
LEVEL_VARIABLE = "PARKGRID_LOG_LEVEL"

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being served."""
COMMAND_ID: ContextVar[str] = ContextVar("command_id", default="")
"""Of the command that is being sent or answered."""

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FIELDS = ("asctime", "levelname", "name", "message")
_RENAMED = {"asctime": "at", "levelname": "level", "name": "logger"}


class _Ids(logging.Filter):
    """Puts onto each record the ids that hold where it was written."""

    def __init__(self, actor: str) -> None:
        super().__init__()
        self._actor = actor

    def filter(self, record: logging.LogRecord) -> bool:
        request_id = REQUEST_ID.get()
        if request_id:
            record.request_id = request_id
        command_id = COMMAND_ID.get()
        if command_id:
            record.command_id = command_id
        if self._actor:
            record.actor = self._actor
        return True


@contextmanager
def about_command(what: Event | Effect) -> Iterator[None]:
    """Put the id of the command that something is about, if any, onto each line until the end.

    Tasks that begin meanwhile keep it.
    """
    token = COMMAND_ID.set(_command_id(what))
    try:
        yield
    finally:
        COMMAND_ID.reset(token)


def _command_id(what: Event | Effect) -> str:
    match what:
        case SendCommand(command=command):
            return command.command_id
        case AckReceived(ack=ack):
            return ack.command_id
        case TelemetryReceived(sample=sample):
            return sample.command_id or ""
        case _:
            return ""


def dress(handler: logging.Handler, *, form: str, actor: str = "") -> logging.Handler:
    """Give a handler the form of our lines; return it.

    Args:
        handler: writes the lines.
        form: ``json`` or ``text``.
        actor: whose process this is, if an actor's.
    """
    json_form = JsonFormatter(_FIELDS, rename_fields=_RENAMED, json_ensure_ascii=False)
    json_form.default_time_format = "%Y-%m-%dT%H:%M:%S"
    json_form.default_msec_format = "%s.%03dZ"
    json_form.converter = time.gmtime
    handler.setFormatter(logging.Formatter(_TEXT) if form == "text" else json_form)
    handler.addFilter(_Ids(actor))
    return handler


def log_to_stderr(actor: str = "") -> None:
    """Log what this process has to say on standard error, as the environment wants it.

    Args:
        actor: whose process this is, if an actor's.
    """
    form = os.environ.get(FORMAT_VARIABLE, "json")
    handler = dress(logging.StreamHandler(sys.stderr), form=form, actor=actor)
    logging.basicConfig(
        level=os.environ.get(LEVEL_VARIABLE, "INFO"), handlers=[handler], force=True
    )
    # Each call of another service would be a line.
    logging.getLogger("httpx").setLevel(logging.WARNING)
