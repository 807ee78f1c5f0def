"""Where measured and published data lies that is not part of the repository.

``TEST_DATA_DIR`` names its folder; by default it is ``shared/data`` beside the repository. What
needs a file that is not there skips, by name.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("TEST_DATA_DIR", _REPOSITORY.parent / "shared" / "data"))
CITYLEARN = DATA / "citylearn_2022"
ENTSOE = DATA / "entsoe"
RTS_GMLC = DATA / "pglib_uc" / "rts_gmlc"


def needs(name: str, *paths: Path) -> pytest.MarkDecorator:
    """Return the mark of a test that needs files.

    Args:
        name: what is missing without them.
        paths: all of them.
    """
    return pytest.mark.skipif(
        not all(path.exists() for path in paths),
        reason=f"the {name} files are not here; TEST_DATA_DIR names their folder",
    )
