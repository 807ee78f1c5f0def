"""Request bodies about deployed optimizers."""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from controllers.kernel.errors import DomainError
from controllers.optimizers.deployment import MAX_BYTES
from serve_apps.web.bodies import Body, Reason
from serve_apps.web.paths import BodyId

_TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
_MAX_BASE64 = (MAX_BYTES + 2) // 3 * 4
_GREEDY = "ZGVmIHNvbHZlKHByb2JsZW0sIGRlYWRsaW5lX3MpOgogICAgcmV0dXJuIHt9Cg=="


class DeployBody(Body):
    """An optimizer to deploy: one Python file, or a zip archive of a package."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "greedy",
                    "file_name": "greedy.py",
                    "content_base64": _GREEDY,
                    "note": "charges when power is cheap",
                }
            ]
        }
    )

    name: Annotated[
        str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9_-]{0,47}$", max_length=48)
    ]
    """Its id will be this and a digest of the content."""
    file_name: Annotated[
        str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,119}$")
    ]
    """``.py``: defines ``solve(problem, deadline_s)``; ``.zip``: holds an ``optimizer.py`` that
    does."""
    content_base64: Annotated[
        str, Field(strict=True, min_length=1, max_length=_MAX_BASE64, repr=False)
    ]
    environment: BodyId | None = None
    """Python environment to run in, a folder of ``optimizers/environments`` in the data directory;
    absent: the park's own."""
    note: Annotated[
        str, StringConstraints(strict=True, strip_whitespace=True, max_length=500, pattern=_TEXT)
    ] = ""
    """What it does, or what is new."""

    def content(self) -> bytes:
        """Return the file.

        Raises:
            DomainError: it is not base 64.
        """
        try:
            return base64.b64decode(self.content_base64, validate=True)
        except ValueError as error:
            raise DomainError("content_base64", "(not shown)", "must be base 64") from error


class StepBody(Body):
    """Why an optimizer is to be in another state."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "a week in shadow, 2 % cheaper"}]}
    )

    reason: Reason
