"""The connections to the store's file: transactions, threads, processes, and how SQLite's errors are raised."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import orchlite
from orchlite.core.errors import Closed, DeviceFailed, StoreBusy, StoreDamaged, StoreTooNew
from orchlite.store.database import Database, known_datetime, to_datetime, to_microseconds
from orchlite.store.database_file import _TICK_NS, _is_settled


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """A file with one empty table, `things (name)`."""
    database = Database(path, busy_timeout_seconds=0.05)
    with database.transaction() as transaction:
        transaction.execute("CREATE TABLE things (name TEXT NOT NULL UNIQUE) STRICT")
    yield database
    database.close()


@pytest.fixture
def stranger(path: Path, database: Database) -> Iterator[sqlite3.Connection]:
    """Another program's connection to the file, which holds its write lock."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def _names(database: Database) -> list[str]:
    return [row["name"] for row in database.rows("SELECT name FROM things ORDER BY name")]


def _add(database: Database, *names: str) -> None:
    with database.transaction() as transaction:
        for name in names:
            assert transaction.execute("INSERT INTO things VALUES (?)", (name,)) == 1


def _add_and_raise(database: Database, error: BaseException) -> None:
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO things VALUES ('a')")
        raise error


def _add_after(database: Database, closing: threading.Thread) -> None:
    with database.transaction() as transaction:
        closing.start()
        closing.join()
        transaction.execute("INSERT INTO things VALUES ('a')")


class TestATransaction:
    def test_is_visible_to_others_only_when_it_is_committed(self, database: Database, path: Path) -> None:
        other = Database(path)
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO things VALUES ('a')")
            assert transaction.row("SELECT name FROM things") is not None
            assert _names(other) == []
        assert _names(other) == ["a"]
        other.close()

    def test_is_rolled_back_if_it_raises(self, database: Database) -> None:
        with pytest.raises(KeyboardInterrupt):
            _add_and_raise(database, KeyboardInterrupt())
        assert _names(database) == []
        _add(database, "the next one is not hindered")

    def test_is_rolled_back_if_a_statement_fails(self, database: Database) -> None:
        with pytest.raises(DeviceFailed, match="UNIQUE") as failure:
            _add(database, "a", "a")
        assert isinstance(failure.value.__cause__, sqlite3.IntegrityError)
        assert _names(database) == []

    def test_survives_the_death_of_its_process(self, database: Database, path: Path) -> None:
        script = (
            "import os, signal, sys; from pathlib import Path; from orchlite.store.database import Database\n"
            "database = Database(Path(sys.argv[1]))\n"
            "with database.transaction() as t: t.execute(\"INSERT INTO things VALUES ('committed')\")\n"
            "with database.transaction() as t:\n"
            "    t.execute(\"INSERT INTO things VALUES ('not committed')\"); os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(orchlite.__file__).parents[1])}
        ended = subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=False)
        assert ended.returncode == -9
        assert _names(database) == ["committed"]


def test_every_commit_is_durable_and_readers_never_wait(database: Database, stranger: sqlite3.Connection) -> None:
    settings = [database.row(f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert [row[0] for row in settings if row is not None] == ["wal", 2, 1]
    assert _names(database) == []


def test_only_a_transaction_that_need_not_be_durable_is_not_synced(database: Database) -> None:
    with database.transaction(durable=False) as transaction:
        assert [*transaction.rows("PRAGMA synchronous")[0]] == [1]
    with pytest.raises(ValueError, match="no reason"), database.transaction(durable=False):
        raise ValueError("no reason")
    with database.transaction() as transaction:
        assert [*transaction.rows("PRAGMA synchronous")[0]] == [2]


def test_rows_that_are_read_one_at_a_time_are_not_read_after_the_last_one_used(database: Database) -> None:
    bad_at_the_end = """SELECT json(value) FROM json_each('["1", "2", "3", "{"]')"""
    with database.transaction() as transaction:
        assert [*next(transaction.each(bad_at_the_end))] == ["1"]
        with pytest.raises(sqlite3.OperationalError, match="malformed JSON"):
            transaction.rows(bad_at_the_end)


def test_a_locked_store_is_busy_after_the_time_out_and_nothing_is_written(database: Database, stranger: sqlite3.Connection) -> None:
    began = time.monotonic()
    with pytest.raises(StoreBusy, match="locked") as failure:
        _add(database, "a")
    assert 0.05 <= time.monotonic() - began < 8  # the time-out by default is 10 s
    assert failure.value.details["store"] == str(database.path)
    assert failure.value.hint is not None
    stranger.execute("ROLLBACK")
    assert _names(database) == []
    _add(database, "b")


@pytest.fixture
def held(path: Path, database: Database) -> Iterator[sqlite3.Connection]:
    """Another program's connection, which keeps even readers out of the file."""
    database.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


@pytest.mark.parametrize("use", [lambda one: _names(one), lambda one: _add(one, "a")], ids=["read", "write"])
def test_who_is_kept_out_tries_again_until_the_time_out(path: Path, held: sqlite3.Connection, use: Callable[[Database], object]) -> None:
    kept_out = Database(path, busy_timeout_seconds=0.2)
    began = time.monotonic()
    with pytest.raises(StoreBusy, match="locked by another process"):
        use(kept_out)
    assert time.monotonic() - began >= 0.2
    held.execute("ROLLBACK")
    held.close()
    use(kept_out)
    kept_out.close()


_RECOVERS_THE_WAL = """
import fcntl, sys
with open(sys.argv[1], "r+b") as index:
    for byte in (120, 122):  # WAL_WRITE_LOCK and WAL_RECOVER_LOCK of sqlite.org/walformat.html
        fcntl.lockf(index, fcntl.LOCK_EX, 1, byte)
    index.write(bytes(96))  # as a process leaves the header that was killed while it wrote it
    index.flush()
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_reader_waits_for_a_process_that_recovers_the_wal(path: Path, database: Database) -> None:
    _add(database, "a")
    reader = Database(path, busy_timeout_seconds=0.2)
    assert _names(reader) == ["a"]
    command = [sys.executable, "-I", "-c", _RECOVERS_THE_WAL, f"{path}-shm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as recovering:
        assert recovering.stdout is not None
        assert recovering.stdout.readline() == b"held\n"
        began = time.monotonic()
        with pytest.raises(StoreBusy):
            _names(reader)
        assert time.monotonic() - began >= 0.2
    assert _names(reader) == ["a"]
    reader.close()


@pytest.mark.slow
@pytest.mark.parametrize("is_new", [False, True], ids=["an existing file", "a new file"])
def test_a_fork_does_not_wait_for_a_reader_that_is_kept_out(path: Path, tmp_path: Path, held: sqlite3.Connection, is_new: bool) -> None:
    if is_new:  # whose first connection is to switch it to WAL mode
        path = tmp_path / "new.sqlite"
        path.touch(0o600)
        held = sqlite3.connect(path, isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
    patient = Database(path, busy_timeout_seconds=30)
    reader = threading.Thread(target=patient.rows, args=("SELECT 1",))
    reader.start()
    for _ in range(10):  # by the last of them, the reader has met the lock
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
    assert reader.is_alive()  # the lock was held all the while
    held.close()
    reader.join()
    patient.close()


def test_a_writer_waits_for_another_within_the_time_out(path: Path, stranger: sqlite3.Connection) -> None:
    patient = Database(path, busy_timeout_seconds=10)
    writer = threading.Thread(target=_add, args=(patient, "a"))
    writer.start()
    stranger.execute("COMMIT")
    writer.join()
    assert _names(patient) == ["a"]
    patient.close()


def test_a_fork_does_not_wait_for_a_lock_that_another_process_holds(path: Path, stranger: sqlite3.Connection) -> None:
    patient = Database(path, busy_timeout_seconds=30)
    writer = threading.Thread(target=_add, args=(patient, "a"))
    writer.start()
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert writer.is_alive()  # the lock was held all the while
    stranger.execute("COMMIT")
    writer.join()
    assert _names(patient) == ["a"]
    patient.close()


@pytest.mark.slow
def test_a_thread_that_reads_during_forks_takes_the_closed_files_for_no_damage(database: Database) -> None:
    has_forked = threading.Event()

    def read() -> None:
        while not has_forked.is_set():
            _names(database)

    with ThreadPoolExecutor() as threads:
        readers = [threads.submit(read) for _ in range(2)]
        for _ in range(20):
            if (child := os.fork()) == 0:
                os._exit(0)
            os.waitpid(child, 0)
        has_forked.set()
        assert [reader.exception() for reader in readers] == [None, None]


def test_a_change_by_others_is_seen_although_a_fork_has_closed_the_connection(database: Database, path: Path) -> None:
    before = database.version()
    assert database.version() == before
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO things VALUES ('a')")
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert database.version() != before


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("use", [lambda one: _names(one), lambda one: _add(one, "b")], ids=["read", "write"])
@pytest.mark.parametrize("is_settled", [False, True], ids=["at once", "long after its folder has changed"])
def test_a_file_beside_it_that_was_deleted_is_noticed_before_anything_is_written(
    database: Database, path: Path, suffix: str, use: Callable[[Database], object], is_settled: bool
) -> None:
    _add(database, "a")
    if is_settled:
        time.sleep(2 * _TICK_NS / 1e9)
        assert _names(database) == ["a"]
    Path(f"{path}{suffix}").unlink()
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="deleted or replaced"):
            use(database)


def test_a_folder_whose_time_is_in_whole_seconds_may_change_for_two_more_without_another_time() -> None:
    second = 1_000_000_000
    assert [_is_settled(7 * second, 7 * second + after) for after in (_TICK_NS + 1, 2 * second, 3 * second)] == [False, False, True]
    assert [_is_settled(7 * second + 1, 7 * second + after) for after in (_TICK_NS, _TICK_NS + 2)] == [False, True]


def test_a_database_that_a_link_leads_to_is_noticed_to_be_gone(tmp_path: Path, database: Database, path: Path) -> None:
    database.close()
    link = tmp_path / "here" / "link.sqlite"
    link.parent.mkdir()
    link.symlink_to(path)
    with closing(Database(link)) as linked:
        time.sleep(2 * _TICK_NS / 1e9)
        _add(linked, "a")
        path.rename(tmp_path / "elsewhere")
        with pytest.raises(StoreDamaged):
            _add(linked, "b")


def test_a_file_beside_it_that_was_deleted_is_noticed_by_a_second_one_that_is_opened_in_this_process(
    database: Database, path: Path
) -> None:
    _add(database, "a")
    Path(f"{path}-shm").unlink()
    second = Database(path)
    with pytest.raises(StoreDamaged, match="deleted or replaced"):
        _names(second)
    second.close()
    database.close()
    assert _names(Database(path)) == ["a"]


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
def test_what_another_process_commits_after_that_outlives_the_close(database: Database, path: Path, is_replaced: bool) -> None:
    _add(database, "a")
    shared_memory = Path(f"{path}-shm")
    shared_memory.rename(path.with_name("moved"))
    if is_replaced:
        shared_memory.touch(0o600)
    _add_in_another_process(path, "b")
    with ThreadPoolExecutor(1) as pool, pytest.raises(StoreDamaged):
        pool.submit(_names, database).result()
    # The thread has ended, and its connection is closed. That of this thread is still protected from the other process's close.
    _add_in_another_process(path, "c")
    database.close()
    assert _names(Database(path)) == ["a", "b", "c"]


def _add_in_another_process(path: Path, name: str) -> None:
    program = (
        f"import sqlite3; other = sqlite3.connect({str(path)!r}); other.execute(\"INSERT INTO things VALUES ('{name}')\"); other.commit()"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, timeout=30)


def test_what_this_process_has_committed_to_a_deleted_wal_file_is_saved_at_the_close(database: Database, path: Path) -> None:
    _add(database, "a")
    Path(f"{path}-wal").unlink()
    database.close()
    assert _names(Database(path)) == ["a"]


def test_opening_it_a_second_time_in_one_process_keeps_the_locks_of_the_first(path: Path, database: Database) -> None:
    _add(database, "a")
    second = Database(path)
    assert _names(second) == ["a"]
    second.close()
    # It would delete the WAL file, as the last program to close the database, if this process no longer held its lock.
    program = f"import sqlite3; connection = sqlite3.connect({str(path)!r}); connection.execute('SELECT * FROM things'); connection.close()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    _add(database, "b")
    assert _names(database) == ["a", "b"]


def test_a_schema_that_a_newer_orchlite_has_made_meanwhile_is_not_written_to(database: Database, path: Path) -> None:
    database.known_version = 0
    _add(database, "a")
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreTooNew, match="schema version 1 from a newer orchlite; this one knows up to 0"):
        _add(database, "b")
    assert _names(database) == ["a"]


def test_every_thread_may_write(database: Database, path: Path) -> None:
    patient = Database(path)
    threads = [threading.Thread(target=_add, args=(patient, f"{number:02}")) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _names(database) == [f"{number:02}" for number in range(16)]
    patient.close()


def test_a_threads_transaction_is_its_own(database: Database) -> None:
    seen: list[list[str]] = []
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO things VALUES ('a')")
        reader = threading.Thread(target=lambda: seen.append(_names(database)))
        reader.start()
        reader.join()
    assert seen == [[]]


def test_ended_threads_leave_no_connection_behind(database: Database, path: Path) -> None:
    def open_files() -> int:
        return sum(target == str(path) for target in map(_link, Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list a process's open files")
    before = open_files()
    for _ in range(8):
        thread = threading.Thread(target=_names, args=(database,))
        thread.start()
        thread.join()
    assert open_files() <= before + 1  # SQLite itself keeps one for the next connection


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


@pytest.mark.parametrize("use", [_names, lambda database: _add(database, "a")], ids=["reading", "writing"])
def test_a_closed_database_says_so(database: Database, use: object) -> None:
    assert callable(use)
    database.close()
    database.close()
    with pytest.raises(Closed, match="closed"):
        use(database)


def test_closing_during_a_transaction_fails_the_transaction(database: Database) -> None:
    with pytest.raises(Closed):
        _add_after(database, threading.Thread(target=database.close))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_an_error_and_its_parent_continues(database: Database) -> None:
    _add(database, "before")
    child = os.fork()
    if child == 0:
        try:
            _names(database)
        except Closed:
            database.close()  # does not touch the parent's connections
            os._exit(42)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    _add(database, "after")
    assert _names(database) == ["after", "before"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"This is no database at all. " * 200, id="another file"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 4096, id="junk"),
    ],
)
def test_a_file_that_is_no_database_is_reported_and_not_changed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    database = Database(path)
    with pytest.raises(StoreDamaged, match="damaged") as failure:
        database.rows("PRAGMA user_version")
    assert str(path) in failure.value.message
    database.close()
    assert path.read_bytes() == content


def test_an_overwritten_page_is_reported_as_damage(database: Database, path: Path) -> None:
    for number in range(200):
        _add(database, f"{number:0100}")
    database.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    again = Database(path)
    with pytest.raises(StoreDamaged):
        _names(again)
    again.close()


def test_a_missing_folder_is_a_device_failure(tmp_path: Path) -> None:
    with pytest.raises(DeviceFailed, match="No such file") as failure:
        Database(tmp_path / "absent" / "file.sqlite").rows("SELECT 1")
    assert isinstance(failure.value.__cause__, OSError)


class TestTimes:
    def test_are_kept_to_the_microsecond(self) -> None:
        at = datetime(2024, 4, 17, 16, 3, 19, 756251, UTC)
        assert known_datetime(to_microseconds(at)) == at

    def test_are_kept_in_utc(self) -> None:
        at = datetime(2024, 4, 17, 18, 3, tzinfo=timezone(timedelta(hours=2)))
        assert known_datetime(to_microseconds(at)).isoformat() == "2024-04-17T16:03:00+00:00"

    def test_may_be_absent(self) -> None:
        assert to_datetime(None) is None
        assert to_datetime(0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_urgent_transactions_alone_do_not_lengthen_the_wal_for_ever(database: Database, path: Path) -> None:
    with database.transaction() as transaction:
        transaction.execute("CREATE TABLE large (content BLOB)")
    for _ in range(40):
        with database.transaction(urgent=True) as transaction:
            transaction.execute("INSERT INTO large VALUES (zeroblob(1048576))")
    assert path.with_name(f"{path.name}-wal").stat().st_size < 30 * 1024 * 1024
