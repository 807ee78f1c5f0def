"""The ParkRegistry on SQL: takes park files in, and gives the park that is to run.

One park is wanted at a time; saving another makes that one wanted and keeps the rows of the first.
The version rises with every change and never falls, whichever park it was. A park file that says
what it said before changes nothing, so what was edited since stays; one that says something else
is refused while there are edits that it would undo.
"""

from __future__ import annotations

from sqlalchemy import select, update

from cluster.storage.engine import open_engine, reading, writing
from cluster.storage.park_import import digest_of, import_park
from cluster.storage.park_rows import load_park, park_version
from cluster.storage.tables.park import PARKS, WANTED_KILLS
from controllers.kernel.errors import ConflictError, NotFoundError
from controllers.kernel.timebase import Clock, SystemClock
from controllers.park import ParkDefinition


def open_registry(url: str) -> SqlParkRegistry:
    """Return the registry behind a database URL; with ``functools.partial`` a picklable factory.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    return SqlParkRegistry(url, SystemClock())


class SqlParkRegistry:
    """A ParkRegistry on a migrated database.

    Every method raises StorageUnavailableError when the database does not answer.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._engine = open_engine(url)
        self._clock = clock

    def load(self) -> ParkDefinition:
        """Return the park as currently defined.

        Raises:
            NotFoundError: none was ever saved.
        """
        with reading(self._engine) as connection:
            park = load_park(connection)
        if park is None:
            raise NotFoundError("park", "(wanted)")
        return park

    def version(self) -> int:
        """Return a number that rises with every change; 0 before the first."""
        with reading(self._engine) as connection:
            return park_version(connection)

    def killed(self) -> frozenset[str]:
        """Return the resources whose kill switch is wanted on."""
        with reading(self._engine) as connection:
            return frozenset(connection.execute(select(WANTED_KILLS.c.resource_id)).scalars())

    def save(self, park: ParkDefinition, *, replace: bool = False) -> int:
        """Make a park the wanted one and return the version.

        Args:
            park: a checked definition.
            replace: undo what was edited since the last park file.

        Raises:
            ConflictError: it differs from the last file, and there are edits it would undo.
        """
        digest, now = digest_of(park), self._clock.now()
        with writing(self._engine) as connection:
            version = park_version(connection)
            row = connection.execute(select(PARKS).where(PARKS.c.id == park.id)).mappings().first()
            if row is not None and row["is_wanted"] and load_park(connection) == park:
                adopted = update(PARKS).where(PARKS.c.id == park.id)
                connection.execute(adopted.values(file_digest=digest, n_edits=0))
                return version
            if row is not None and not replace and row["file_digest"] == digest:
                if row["is_wanted"]:
                    return version
                connection.execute(update(PARKS).values(is_wanted=False))
                again = {"is_wanted": True, "version": version + 1, "changed_at": now}
                connection.execute(update(PARKS).where(PARKS.c.id == park.id).values(again))
                return version + 1
            if row is not None and row["n_edits"] and not replace:
                raise ConflictError(_edited(park.id, row["n_edits"]), current=str(version))
            import_park(connection, park, version + 1, now)
            return version + 1

    def close(self) -> None:
        """Release files."""
        self._engine.dispose()


def _edited(park_id: str, n_edits: int) -> str:
    return (
        f"park {park_id} was changed {n_edits} times since its last park file; this other file"
        " would undo that. See the park as it is with `parkgrid park`, put what you want into the"
        " file, and start with --replace-park"
    )
