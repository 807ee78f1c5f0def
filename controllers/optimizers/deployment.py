"""A deployed optimizer: one file of somebody's, immutable, and the states it goes through.

Its id is the name it was given and a digest of what it is, so that another content is another
optimizer. At most one of a park is promoted: its plans are dispatched where they hold. While none
is, and wherever the promoted one's plan does not hold, the built-in engine's plan is.
"""

from __future__ import annotations

import ast
import hashlib
import io
import zipfile
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from controllers.kernel.errors import ConflictError, DomainError
from controllers.kernel.fsm import Machine
from controllers.kernel.wire import Wire
from controllers.optimizers.scores import Outcome, Score

BUILT_IN = "built-in"
"""Who plans while nobody is promoted."""
ENTRY = "optimizer.py"
"""The file of a package that defines ``solve``."""
FUNCTION = "solve"
MAX_BYTES = 524_288
MAX_UNPACKED_BYTES = 8_388_608
MAX_FILES = 500
MAX_STANDING = 20
"""Optimizers that are not removed."""

_ZIP = ".zip"
_DIGEST_CHARS = 8


class OptimizerState(StrEnum):
    """Where an optimizer stands."""

    DEPLOYED = "deployed"
    """Stored; it does not run."""
    SHADOW = "shadow"
    """Solves every live problem and is judged; nothing of it is dispatched."""
    PROMOTED = "promoted"
    """Its plans are dispatched where they hold."""
    DEMOTED = "demoted"
    """Its plans failed too often in a row; it does not run."""
    REMOVED = "removed"


class OptimizerStep(StrEnum):
    """What happens to it."""

    DEPLOY = "deploy"
    SHADOW = "shadow"
    PROMOTE = "promote"
    SUPERSEDE = "supersede"
    """Another one was promoted."""
    ROLL_BACK = "roll_back"
    RESTORE = "restore"
    """The one that had superseded it was rolled back."""
    DEMOTE = "demote"
    REMOVE = "remove"


OPTIMIZER_MACHINE = Machine(
    "optimizer",
    {
        (OptimizerState.DEPLOYED, OptimizerStep.SHADOW): OptimizerState.SHADOW,
        (OptimizerState.DEPLOYED, OptimizerStep.REMOVE): OptimizerState.REMOVED,
        (OptimizerState.SHADOW, OptimizerStep.PROMOTE): OptimizerState.PROMOTED,
        (OptimizerState.SHADOW, OptimizerStep.RESTORE): OptimizerState.PROMOTED,
        (OptimizerState.SHADOW, OptimizerStep.REMOVE): OptimizerState.REMOVED,
        # A promoted one is never removed in one step: somebody rolls it back and sees what is left.
        (OptimizerState.PROMOTED, OptimizerStep.SUPERSEDE): OptimizerState.SHADOW,
        (OptimizerState.PROMOTED, OptimizerStep.ROLL_BACK): OptimizerState.SHADOW,
        (OptimizerState.PROMOTED, OptimizerStep.DEMOTE): OptimizerState.DEMOTED,
        (OptimizerState.DEMOTED, OptimizerStep.SHADOW): OptimizerState.SHADOW,
        (OptimizerState.DEMOTED, OptimizerStep.REMOVE): OptimizerState.REMOVED,
        (OptimizerState.REMOVED, OptimizerStep.DEPLOY): OptimizerState.DEPLOYED,
    },
)

RUNNING = (OptimizerState.SHADOW, OptimizerState.PROMOTED)
"""Who solves live problems."""


class OptimizerCode(Wire):
    """What was deployed."""

    id: str
    file_name: str
    content: bytes
    environment: str | None
    """Folder of the Python environment it runs in; None is the park's own."""


class Optimizer(Wire):
    """A deployed optimizer and how it stands."""

    id: str
    """``{name}-{digest}``: what was deployed never changes under an id."""
    name: str
    file_name: str
    environment: str | None
    sha256: str
    """Of the file."""
    n_bytes: int
    note: str
    state: OptimizerState
    replaced: str | None
    """Who was promoted before it; a roll-back restores that one. None is the built-in engine."""
    reason: str
    """Why it is in this state."""
    version: int
    """Rises with every change; what ``If-Match`` takes."""
    deployed_at: datetime
    deployed_by: str
    changed_at: datetime
    changed_by: str

    def after(self, step: OptimizerStep, by: str, reason: str, now: datetime) -> Optimizer:
        """Return it after a step.

        Raises:
            InvalidTransitionError: it is in no state for that.
        """
        return msgspec.structs.replace(
            self,
            state=OPTIMIZER_MACHINE.next(self.state, step),
            reason=reason,
            version=self.version + 1,
            changed_at=now,
            changed_by=by,
        )


def optimizer_id(name: str, file_name: str, content: bytes, environment: str | None) -> str:
    """Return the id of what is deployed under a name."""
    digest = hashlib.sha256(content)
    digest.update(f"\0{file_name.endswith(_ZIP)}\0{environment or ''}".encode())
    return f"{name}-{digest.hexdigest()[:_DIGEST_CHARS]}"


def check_code(file_name: str, content: bytes) -> None:
    """Check that a file can be an optimizer, without running any of it.

    Raises:
        DomainError: it is too large, no Python, or does not define ``solve``.
    """
    if not 0 < len(content) <= MAX_BYTES:
        rule = f"must hold 1 to {MAX_BYTES} bytes"
        raise DomainError("content", f"{len(content)} bytes", rule)
    if file_name.endswith(_ZIP):
        _check_source(f"{file_name}/{ENTRY}", _entry_of(content))
    elif file_name.endswith(".py"):
        _check_source(file_name, content)
    else:
        raise DomainError("file_name", file_name, "must end in .py, or .zip for a package")


def _entry_of(content: bytes) -> bytes:
    """Return the source of the file that a package is entered by."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = archive.infolist()
            size = sum(file.file_size for file in files)
            if len(files) > MAX_FILES or size > MAX_UNPACKED_BYTES:
                told = f"{len(files)} files, {size} bytes unpacked"
                rule = f"must hold at most {MAX_FILES} files and {MAX_UNPACKED_BYTES} bytes"
                raise DomainError("content", told, rule)
            return archive.read(ENTRY)
    except KeyError:
        raise DomainError("content", "a zip", f"must hold {ENTRY} at its top") from None
    # What a broken archive may raise depends on where it is broken.
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DomainError("content", "(not shown)", f"must be a zip archive: {error}") from error


def _check_source(path: str, source: bytes) -> None:
    try:
        tree = ast.parse(source, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DomainError("content", path, f"must be Python: {error}") from error
    if not any(FUNCTION in _defined(node) for node in tree.body):
        rule = f"must define {FUNCTION}(problem, deadline_s) at its top level"
        raise DomainError("content", path, rule)


def _defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.ImportFrom(names=names) | ast.Import(names=names):
            return [alias.asname or alias.name for alias in names]
    return []


def check_promotable(optimizer: Optimizer, recent: Sequence[Score], least: int) -> None:
    """Check that an optimizer has shown in shadow that its plans hold.

    Args:
        optimizer: as it stands.
        recent: its newest scores, newest first; at least ``least``, if there are so many.
        least: how many plans in a row must have held.

    Raises:
        InvalidTransitionError: it is not in shadow.
        ConflictError: too few of its plans have been judged, or one of the last did not hold.
    """
    OPTIMIZER_MACHINE.next(optimizer.state, OptimizerStep.PROMOTE)
    last = list(recent[:least])
    bad = next((score for score in last if score.outcome is not Outcome.VALID), None)
    if bad is not None:
        message = (
            f"one of its last {least} plans did not hold ({bad.outcome}: {bad.reason}); let it run"
            f" in shadow until {least} in a row do"
        )
        raise ConflictError(message, current=bad.id)
    if len(last) < least:
        message = (
            f"{len(last)} of its plans have been judged; promoting takes {least} in a row that hold"
        )
        raise ConflictError(message, current=str(len(last)))
