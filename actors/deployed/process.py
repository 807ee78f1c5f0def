"""A deployed optimizer's process as its owner sees it: asked with a deadline, killed past it.

The process gets no secret of ours: an environment of its own, a folder of its own, limited memory,
and nothing to write to but a pipe, whose content is read as from a stranger. It runs as the same
user of the machine, so this keeps mistakes in, not malice.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from threading import Thread
from typing import IO

import optimization
from controllers.kernel.errors import DomainError
from controllers.kernel.wire import Wire, decode
from controllers.optimizers.deployment import OptimizerCode
from controllers.optimizers.scores import Outcome
from controllers.optimizers.verdicts import Answer
from optimization.dispatch.problem import DispatchProblem

LOAD_S = 30.0
"""How long importing what it needs may take."""
GRACE_S = 1.0
"""Past its deadline, for an answer that is on its way."""
MEMORY_BYTES = 4_294_967_296
"""Of addresses; libraries of mathematics reserve more than they use."""

_MAX_ANSWER_BYTES = 33_554_432
_HEADER_BYTES = 8
_KEPT_LINES = 20
_LINE_CHARS = 200
_CHILD = Path(__file__).with_name("child.py")
_PACKAGE = Path(optimization.__file__).parent
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _Message(Wire):
    """What the process says."""

    ready: bool = False
    power_mw: dict[str, tuple[float, ...]] | None = None
    failed: str = ""
    wrong: str = ""
    solve_s: float = 0.0


class _SilentError(Exception):
    """The process did not say anything in time."""


class _GoneError(Exception):
    """The process has ended, or says what it should not."""


class SolverProcess:
    """The process of one optimizer; started when first needed, and again after it was killed.

    Blocks: call it from a thread, and from one at a time. That thread must outlive the process,
    which ends with it.

    Args:
        code: what to run.
        home: folder of what belongs to optimizers: ``environments``, which people make, by name,
            and ``run``, with a folder of each that runs; this is its only user.
        memory_bytes: of addresses, at most.
        load_s: how long loading the code may take.
    """

    def __init__(
        self,
        code: OptimizerCode,
        home: Path,
        *,
        memory_bytes: int = MEMORY_BYTES,
        load_s: float = LOAD_S,
    ) -> None:
        self._code = code
        self._environments = home / "environments"
        self._memory_bytes = memory_bytes
        self._load_s = load_s
        self._folder = home.absolute() / "run" / code.id
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1
        self._said: deque[str] = deque()
        self._listener: Thread | None = None
        self.n_starts = 0
        self._lay_out()

    def start(self) -> str:
        """Start it, unless it lives, and wait until its code is loaded; return what went wrong."""
        if self._process is not None and self._process.poll() is None:
            return ""
        self._end()
        try:
            self._launch()
            message = self._read(time.monotonic() + self._load_s)
        except _SilentError:
            self._end()
            return f"its code was not loaded within {self._load_s:g} s"
        except (_GoneError, OSError) as error:
            self._end()
            return self._last_words(f"it did not start: {error}")
        if not message.ready:
            self._end()
            return message.failed or "it did not start"
        return ""

    def solve(self, problem: DispatchProblem, deadline_s: float) -> Answer:
        """Pose a problem and return the answer, whatever it is; never raises for what it says."""
        fault = self.start()
        if fault:
            return Answer(outcome=Outcome.CRASHED, reason=fault)
        begun = time.monotonic()
        due = begun + deadline_s + GRACE_S
        try:
            self._write(pickle.dumps((problem, deadline_s)), due)
            message = self._read(due)
        except _SilentError:
            self._end()
            reason = f"no answer within {deadline_s:g} s; its process was killed"
            return Answer(outcome=Outcome.LATE, reason=reason, solve_s=time.monotonic() - begun)
        except (_GoneError, OSError) as error:
            self._end()
            reason = self._last_words(f"its process ended: {error}")
            return Answer(outcome=Outcome.CRASHED, reason=reason, solve_s=time.monotonic() - begun)
        spent = time.monotonic() - begun
        if message.wrong:
            return Answer(outcome=Outcome.WRONG_SHAPE, reason=message.wrong, solve_s=spent)
        if message.power_mw is None:
            return Answer(outcome=Outcome.CRASHED, reason=message.failed, solve_s=spent)
        return Answer(outcome=Outcome.VALID, power_mw=message.power_mw, solve_s=spent)

    def close(self) -> None:
        """End it for good."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _lay_out(self) -> None:
        # What a process that was killed has left.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        # Under its own name a file could hide a library.
        suffix = Path(self._code.file_name).suffix
        self._file = self._folder / f"optimizer{suffix}"
        self._file.write_bytes(self._code.content)
        library = self._folder / "library"
        library.mkdir()
        (library / _PACKAGE.name).symlink_to(_PACKAGE)
        (self._folder / "work").mkdir()

    def _python(self) -> str:
        if self._code.environment is None:
            return sys.executable
        return str(self._environments / self._code.environment / "bin" / "python")

    def _launch(self) -> None:
        work = str(self._folder / "work")
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "HOME": work,
            "TMPDIR": work,
            "PYTHONPATH": str(self._folder / "library"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict.fromkeys(_ONE_THREAD, "1"),
        }
        self._answers, theirs = os.pipe()
        try:
            # -P: the folder of the file that is run is no place to import from.
            command = [self._python(), "-P", str(_CHILD), str(self._file)]
            self._process = subprocess.Popen(  # noqa: S603 - what to run is what was deployed
                [*command, str(theirs), str(self._memory_bytes)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=work,
                env=environment,
                pass_fds=(theirs,),
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        self.n_starts += 1
        if self._process.stdin is not None and self._process.stderr is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
            self._said = deque(maxlen=_KEPT_LINES)
            told = (self._process.stderr, self._said)
            self._listener = Thread(target=_listen, args=told, daemon=True)
            self._listener.start()

    def _write(self, payload: bytes, due: float) -> None:
        if self._process is None or self._process.stdin is None:
            raise _GoneError("it is not there")
        questions = self._process.stdin.fileno()
        left = memoryview(len(payload).to_bytes(_HEADER_BYTES, "big") + payload)
        while left:
            _wait(questions, select.POLLOUT, due)
            left = left[os.write(questions, left) :]

    def _read(self, due: float) -> _Message:
        size = int.from_bytes(self._read_bytes(_HEADER_BYTES, due), "big")
        if size > _MAX_ANSWER_BYTES:
            raise _GoneError(f"an answer of {size} bytes; at most {_MAX_ANSWER_BYTES} are taken")
        try:
            return decode(self._read_bytes(size, due), _Message, max_bytes=_MAX_ANSWER_BYTES)
        except DomainError as error:
            raise _GoneError(f"its answer is none: {error}") from error

    def _read_bytes(self, n: int, due: float) -> bytes:
        found = b""
        while len(found) < n:
            _wait(self._answers, select.POLLIN, due)
            some = os.read(self._answers, n - len(found))
            if not some:
                raise _GoneError(self._how_it_ended())
            found += some
        return found

    def _how_it_ended(self) -> str:
        if self._process is None:
            return "it is not there"
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(GRACE_S)
            return f"signal {-code}" if code < 0 else f"exit code {code}"
        return "it closed its pipe"

    def _last_words(self, what: str) -> str:
        if self._listener is not None:
            self._listener.join(GRACE_S)
        return f"{what}; it said: {self._said[-1]}" if self._said else what

    def _end(self) -> None:
        process, self._process = self._process, None
        if self._answers >= 0:
            os.close(self._answers)
            self._answers = -1
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # With whatever it has started.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()


def _wait(descriptor: int, event: int, due: float) -> None:
    """Wait until one can read or write.

    Raises:
        _SilentError: not in time.
    """
    poll = select.poll()
    poll.register(descriptor, event)
    left_s = due - time.monotonic()
    if left_s <= 0 or not poll.poll(left_s * 1000):
        raise _SilentError


def _listen(stream: IO[bytes], said: deque[str]) -> None:
    """Keep the last lines of what the process prints."""
    with stream:
        # A part of a line at a time, so that one without end does not fill our memory.
        while line := stream.readline(_LINE_CHARS):
            said.append(line.decode(errors="replace").strip())
