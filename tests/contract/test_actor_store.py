"""The actor store keeps its contract: atomic, fenced, durable against the loss of the process."""

from __future__ import annotations

import functools
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cluster.storage import actor_store
from cluster.storage.actor_store import SqliteActorStore, open_actor_store
from controllers.kernel.errors import DomainError, FencedError, StorageUnavailableError
from controllers.ports.actors import ActorStore

AT = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)

_WRITER = """
import sys
from datetime import UTC, datetime
from cluster.storage.actor_store import open_actor_store

store = open_actor_store(sys.argv[1], "bess1")
epoch = store.acquire()
at = datetime(2025, 6, 1, tzinfo=UTC)
n = 0
while True:
    n += 1
    store.commit(epoch, b"%d" % n, [("step", at, b'{"n": %d}' % n)], flush=False)
    print(n, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> ActorStore:
    return open_actor_store(str(tmp_path), "bess1")


def test_a_new_store_has_no_checkpoint_and_nothing_pending(store: ActorStore) -> None:
    assert store.load() is None
    assert store.pending(10) == []
    assert store.document("report", "i-1") is None


def test_checkpoint_and_records_survive_reopening(store: ActorStore, tmp_path: Path) -> None:
    epoch = store.acquire()
    store.commit(epoch, b"one", [("sent", AT, b'{"seq": 1}')])
    store.commit(epoch, None, [("acked", AT, b'{"seq": 2}')])
    store.close()

    again = open_actor_store(str(tmp_path), "bess1")
    assert again.load() == b"one"
    records = again.pending(10)
    assert [(r.actor_id, r.seq, r.kind, r.at) for r in records] == [
        ("bess1", 1, "sent", AT),
        ("bess1", 2, "acked", AT),
    ]
    assert records[1].data == {"seq": 2}


def test_epochs_rise_over_every_acquisition(store: ActorStore, tmp_path: Path) -> None:
    other = open_actor_store(str(tmp_path), "bess1")
    assert [store.acquire(), other.acquire(), store.acquire()] == [1, 2, 3]


def test_a_zombie_is_refused_and_writes_nothing(store: ActorStore, tmp_path: Path) -> None:
    old = store.acquire()
    store.commit(old, b"before", [])
    successor = open_actor_store(str(tmp_path), "bess1")
    new = successor.acquire()

    with pytest.raises(FencedError) as refused:
        store.commit(old, b"zombie", [("sent", AT, b"{}")])
    with pytest.raises(FencedError):
        store.put_document(old, "report", "i-1", AT, b"zombie")

    assert (refused.value.epoch, refused.value.current_epoch) == (old, new)
    assert successor.load() == b"before"
    assert successor.pending(10) == []
    assert successor.document("report", "i-1") is None


def test_confirmed_records_go_and_sequence_never_restarts(store: ActorStore) -> None:
    epoch = store.acquire()
    store.commit(epoch, None, [("a", AT, b"{}"), ("b", AT, b"{}"), ("c", AT, b"{}")])
    store.confirm(2)
    assert [r.kind for r in store.pending(10)] == ["c"]
    store.confirm(3)
    store.commit(epoch, None, [("d", AT, b"{}")])
    assert [(r.seq, r.kind) for r in store.pending(10)] == [(4, "d")]


def test_pending_gives_the_oldest_first_up_to_the_limit(store: ActorStore) -> None:
    epoch = store.acquire()
    store.commit(epoch, None, [(f"k{i}", AT, b"{}") for i in range(5)])
    assert [r.kind for r in store.pending(2)] == ["k0", "k1"]


def test_pending_hands_out_large_records_a_few_at_a_time(
    store: ActorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor_store, "OUTBOX_MAX_BYTES", 100)
    epoch = store.acquire()
    large = b'{"x": "%s"}' % (b"x" * 60)
    store.commit(epoch, None, [(f"k{i}", AT, large * (i != 0) or b"{}") for i in range(4)])
    assert [r.kind for r in store.pending(10)] == ["k0", "k1", "k2"]
    store.confirm(3)
    monkeypatch.setattr(actor_store, "OUTBOX_MAX_BYTES", 1)
    assert [r.kind for r in store.pending(10)] == ["k3"]


def test_a_failed_commit_keeps_neither_checkpoint_nor_records(store: ActorStore) -> None:
    epoch = store.acquire()
    store.commit(epoch, b"good", [])
    with pytest.raises(StorageUnavailableError):
        store.commit(epoch, b"bad", [("kind", AT, None)])  # type: ignore[list-item]
    assert store.load() == b"good"
    assert store.pending(10) == []


def test_an_outbox_nobody_empties_gives_up_its_oldest_records(
    store: ActorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor_store, "OUTBOX_MAX_RECORDS", 3)
    epoch = store.acquire()
    for i in range(5):
        store.commit(epoch, None, [(f"k{i}", AT, b"{}")])
    assert [r.seq for r in store.pending(10)] == [3, 4, 5]


def test_the_last_document_of_an_id_wins_and_lists_newest_first(store: ActorStore) -> None:
    epoch = store.acquire()
    for id_, body in (("i-1", b"first"), ("i-2", b"second"), ("i-1", b"amended")):
        store.put_document(epoch, "report", id_, AT, body)
    store.put_document(epoch, "other", "i-9", AT, b"unrelated")
    assert store.document("report", "i-1") == b"amended"
    assert store.documents("report", 10) == [b"amended", b"second"]
    assert store.documents("report", 1) == [b"amended"]


def test_documents_that_are_too_old_are_given_up_a_few_at_a_time(tmp_path: Path) -> None:
    store = open_actor_store(str(tmp_path), "bess1", documents_kept=timedelta(days=30))
    epoch = store.acquire()
    for n in range(12):
        store.put_document(epoch, "report", f"i-{n}", AT + timedelta(days=n), b"%d" % n)
    now = AT + timedelta(days=30 + 7, seconds=1)
    store.put_document(epoch, "report", "new", now, b"new")
    assert len(store.documents("report", 100)) == 8
    store.put_document(epoch, "report", "newer", now, b"newer")
    assert store.documents("report", 100) == [b"newer", b"new", b"11", b"10", b"9", b"8"]


def test_a_file_of_an_earlier_version_keeps_its_documents(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "bess1.sqlite")) as old:
        old.execute(
            "CREATE TABLE document (serial INTEGER PRIMARY KEY AUTOINCREMENT, "
            "kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id))"
        )
        old.execute("INSERT INTO document (kind, id, body) VALUES ('report', 'i-1', x'01')")
        old.commit()
    store = open_actor_store(str(tmp_path), "bess1", documents_kept=timedelta(days=1))
    store.put_document(store.acquire(), "report", "i-2", AT, b"two")
    assert store.documents("report", 10) == [b"two", b"\x01"]


def test_killing_the_writer_loses_nothing_it_had_committed(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    with writer.stdout as lines:
        for line in lines:
            if int(line) >= 50:
                break
        os.kill(writer.pid, signal.SIGKILL)
        reported = max([50, *(int(line) for line in lines if line.endswith("\n"))])
    writer.wait(timeout=10)

    store = open_actor_store(str(tmp_path), "bess1")
    # The last commit may have been made and not yet reported.
    checkpoint = int(store.load() or b"0")
    assert checkpoint in (reported, reported + 1)
    records = store.pending(100_000)
    assert [r.data["n"] for r in records] == list(range(1, checkpoint + 1))


def test_records_are_handed_out_once_they_survive_the_loss_of_power(
    store: ActorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(file), sync(file)))
    epoch = store.acquire()
    store.commit(epoch, None, [("a", AT, b"{}")], flush=False)
    assert synced == []
    assert len(store.pending(10)) == len(synced) == 1


def test_a_locked_file_is_unavailable_after_a_bounded_wait(tmp_path: Path) -> None:
    store = SqliteActorStore(tmp_path / "bess1.sqlite", busy_wait_s=0.2)
    epoch = store.acquire()
    store.commit(epoch, b"kept", [])
    holder = sqlite3.connect(tmp_path / "bess1.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    began = time.monotonic()
    with pytest.raises(StorageUnavailableError):
        store.commit(epoch, b"lost", [])
    assert time.monotonic() - began < 2.0

    holder.execute("ROLLBACK")
    holder.close()
    store.commit(epoch, b"later", [])
    assert store.load() == b"later"


def test_a_file_that_is_no_database_is_refused_as_unavailable(tmp_path: Path) -> None:
    (tmp_path / "bess1.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageUnavailableError):
        open_actor_store(str(tmp_path), "bess1")


@pytest.mark.parametrize("actor_id", ["", "../escape", "Bess1", "a/b", "a" * 65])
def test_an_id_that_cannot_name_a_file_is_refused(tmp_path: Path, actor_id: str) -> None:
    with pytest.raises(DomainError):
        open_actor_store(str(tmp_path), actor_id)


def test_threads_share_a_store_without_losing_a_record(store: ActorStore) -> None:
    epoch = store.acquire()

    def write(name: str) -> None:
        for _ in range(20):
            store.commit(epoch, None, [(name, AT, b"{}")])

    threads = [threading.Thread(target=write, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.seq for r in store.pending(100)] == list(range(1, 81))


def test_the_factory_survives_pickling(tmp_path: Path) -> None:
    factory = functools.partial(open_actor_store, str(tmp_path))
    store = pickle.loads(pickle.dumps(factory))("pv1")  # noqa: S301
    assert store.acquire() == 1
    assert (tmp_path / "pv1.sqlite").exists()
