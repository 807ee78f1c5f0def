"""Who computes for ``parkgrid solve``: this process, or workers on a Ray of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.ray_environment import QUIET_RAY, output_in
from optimization.decomposed.pool import Here, Pool

_SHARED_BYTES = 1_000_000_000


@contextmanager
def workers(n_most: int) -> Iterator[Pool]:
    """Yield a pool of at most so many workers; it ends with the block.

    Args:
        n_most: 1 computes in this process, which starts sooner.
    """
    if n_most <= 1:
        yield Here()
        return
    os.environ.update(QUIET_RAY)
    # Ray reads its environment when it is imported, which takes a second.
    from actors import runtime  # noqa: PLC0415
    from actors.optimizer_pool import OptimizerPool  # noqa: PLC0415

    # Ray's socket paths are limited, so its directory must have a short name.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        with output_in(Path(folder) / "ray.log"):
            runtime.start(temp_dir=folder, shared_bytes=_SHARED_BYTES)
        pool = OptimizerPool(n_most)
        try:
            yield pool
        finally:
            pool.close()
            runtime.disconnect()
