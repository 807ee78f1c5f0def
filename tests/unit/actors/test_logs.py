"""Log lines are JSON with the ids that lead on, in every process, and hold no secret."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from ray import cloudpickle

from actors.logs import REQUEST_ID, dress
from actors.recorder import RecorderActor
from actors.runtime import logging_class


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = dress(logging.StreamHandler(stream), form="json", actor="resource:bess1")
    logger = logging.getLogger("parkgrid-test")
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)


def test_line_is_an_object_with_its_ids(lines: io.StringIO) -> None:
    token = REQUEST_ID.set("req-7")
    logging.getLogger("parkgrid-test").warning("late by %d s", 3, extra={"command_id": "c-1"})
    REQUEST_ID.reset(token)
    told = json.loads(lines.getvalue())
    assert told.pop("at").endswith("Z")
    assert told == {
        "level": "WARNING",
        "logger": "parkgrid-test",
        "message": "late by 3 s",
        "request_id": "req-7",
        "actor": "resource:bess1",
        "command_id": "c-1",
    }


def test_line_breaks_cannot_forge_a_line(lines: io.StringIO) -> None:
    logging.getLogger("parkgrid-test").warning('x\n{"level": "INFO"}')
    assert len(lines.getvalue().splitlines()) == 1


def test_trace_of_an_error_stays_in_its_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("parkgrid-test").exception("it failed")
    assert "ValueError: broken" in json.loads(lines.getvalue())["exc_info"]


PROBE = """
import logging, sys
from ray import cloudpickle
class_ = cloudpickle.loads(sys.stdin.buffer.read())
class_("hello")
logging.getLogger("anything").info("at work")
"""


class Plain:
    """An actor class as any other."""

    def __init__(self, word: str) -> None:
        self.word = word

    async def say(self) -> str:
        """Return the word."""
        return self.word


@pytest.mark.parametrize(("form", "expected"), [("json", '"actor": "echo"'), ("text", "INFO any")])
def test_actor_logs_from_its_first_moment_in_its_own_process(form: str, expected: str) -> None:
    # By value, as Ray ships a class that the other process cannot import.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        pickled = cloudpickle.dumps(logging_class(Plain, "echo"))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    environment = {**os.environ, "PARKGRID_LOG_FORMAT": form, "PARKGRID_LOG_LEVEL": "INFO"}
    probe = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=pickled,
        env=environment,
        capture_output=True,
        timeout=50.0,
        check=True,
    )
    assert expected in probe.stderr.decode()


def test_actor_class_keeps_its_name_and_methods() -> None:
    class_ = logging_class(RecorderActor, "recorder")
    assert class_.__name__ == "RecorderActor"
    assert class_.__module__ == "actors.recorder"
    assert class_.health is RecorderActor.health
