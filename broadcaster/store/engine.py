"""One connection, one thread, one transaction for all that queued while the last one committed.

SQLite and PostgreSQL run the same statements: SQLAlchemy Core writes them, each is compiled once
and then run on the driver itself. An operation is a function of the `Database`; it runs inside a
savepoint of the shared transaction, and its future is settled only after the commit.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog

from broadcaster.delivery import State
from broadcaster.record import StorageFull, StoreBroken, StoreUnavailable
from broadcaster.store.driver import SQLITE, Driver

log = structlog.get_logger(__name__)

T = TypeVar("T")
Row = dict[str, Any]
BATCH_MAX = 256


@dataclass(frozen=True, slots=True)
class Moved:
    """A state change of one delivery inside the running transaction."""

    alert: str
    channel: str
    state: State
    before: State | None


def _postgresql() -> Driver:
    from broadcaster.store.postgresql import DRIVER  # noqa: PLC0415 - 10 MB that SQLite never needs

    return DRIVER


class Database:
    """Runs compiled statements on one driver connection."""

    def __init__(self, connection: Any, *, on_sqlite: bool) -> None:
        self.connection = connection
        self.on_sqlite = on_sqlite
        self.driver = SQLITE if on_sqlite else _postgresql()
        self._dialect = self.driver.dialect
        self._compiled: dict[int, tuple[str, Mapping[str, Any], sa.ClauseElement]] = {}
        self.moves: list[Moved] = []

    def rows(self, statement: sa.ClauseElement, **values: Any) -> list[Row]:
        """Run a statement and return its rows by column name."""
        cursor = self._execute(statement, values)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, statement: sa.ClauseElement, **values: Any) -> Row | None:
        """Run a statement and return its first row, if any."""
        found = self.rows(statement, **values)
        return found[0] if found else None

    def change(self, statement: sa.ClauseElement, **values: Any) -> int:
        """Run a statement that changes rows; return how many."""
        return int(self._execute(statement, values).rowcount)

    def change_many(self, statement: sa.ClauseElement, many: Iterable[Mapping[str, Any]]) -> int:
        """Run a statement once per set of values; return how many rows changed in all."""
        sql, defaults = self._compile(statement, ())
        values = [{**defaults, **one} for one in many]
        if not values:
            return 0
        cursor = self.connection.cursor()
        cursor.executemany(sql, values)
        return int(cursor.rowcount)

    def insert(self, table: sa.Table, many: Iterable[Row]) -> None:
        """Insert rows that all name the same columns."""
        many = list(many)
        if many:
            sql, _ = self._compile(table, tuple(many[0]))
            self.connection.cursor().executemany(sql, many)

    def command(self, sql: str) -> Any:
        """Run transaction control and pragmas."""
        return self.connection.execute(sql)

    def _execute(self, statement: sa.ClauseElement, values: Mapping[str, Any]) -> Any:
        sql, defaults = self._compile(statement, ())
        return self.connection.execute(sql, {**defaults, **values})

    def _compile(
        self, statement: sa.ClauseElement, columns: tuple[str, ...]
    ) -> tuple[str, Mapping[str, Any]]:
        identity = hash((id(statement), columns))
        if identity not in self._compiled:
            self._compiled[identity] = (*self._render(statement, columns), statement)
        sql, defaults, _ = self._compiled[identity]
        return sql, defaults

    def _render(
        self, statement: sa.ClauseElement, columns: tuple[str, ...]
    ) -> tuple[str, Mapping[str, Any]]:
        if isinstance(statement, sa.Table):
            compiled: Any = sa.insert(statement).compile(
                dialect=self._dialect, column_keys=list(columns)
            )
            return str(compiled).partition(" RETURNING ")[0], {}
        compiled = statement.compile(dialect=self._dialect)
        fixed = {name: one.value for one, name in compiled.bind_names.items() if not one.required}
        return str(compiled), fixed


@dataclass(slots=True)
class _Operation:
    run: Callable[[Database], Any]
    future: asyncio.Future[Any]
    writes: bool
    needs_space: bool = False
    then: Callable[[Any], None] | None = None
    result: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class Engine:
    """The thread that owns the connection.

    `connect` makes a connection (again, after PostgreSQL went away). `on_commit` is called in the
    loop after each commit with the moves it made. `make_room` gives the ballast back when the disk
    is full and says whether that freed anything. `on_reconnect` is called in the loop when a lost
    database is back: what was committed unheard must be looked up.
    """

    connect: Callable[[], Database]
    loop: asyncio.AbstractEventLoop
    on_commit: Callable[[list[Moved]], None]
    make_room: Callable[[], bool]
    on_reconnect: Callable[[], None]
    database: Database | None = None
    full: bool = False
    broken: str | None = None
    stopped: bool = False
    _queue: queue.SimpleQueue[_Operation | None] = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread on an open database."""
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    async def write(self, run: Callable[[Database], T], *, needs_space: bool = False) -> T:
        """Run an operation in the next shared transaction; return its result once committed.

        `needs_space`: refused with StorageFull while the disk is full; all others use the space
        that the ballast gave back.
        """
        return await self._submit(run, writes=True, needs_space=needs_space)

    async def read(
        self, run: Callable[[Database], T], then: Callable[[T], None] | None = None
    ) -> T:
        """Run a short read between two transactions.

        `then` takes the result in the loop, before anything of a later transaction is heard of.
        """
        return await self._submit(run, writes=False, then=then)

    async def stop(self) -> None:
        """Finish what is queued and close the connection."""
        self.stopped = True
        self._queue.put(None)
        if self._thread:
            await asyncio.to_thread(self._thread.join)

    async def _submit(
        self,
        run: Callable[[Database], T],
        *,
        writes: bool,
        needs_space: bool = False,
        then: Callable[[T], None] | None = None,
    ) -> T:
        if self.broken:
            raise StoreBroken(self.broken)
        if self.stopped:
            raise StoreUnavailable("the store is closed")
        future: asyncio.Future[T] = self.loop.create_future()
        self._queue.put(_Operation(run, future, writes, needs_space, then))
        return await future

    # What follows runs in the store's thread.

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            self._run(batch)
        if self.database:
            self.database.connection.close()

    def _take(self) -> list[_Operation] | None:
        first = self._queue.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < BATCH_MAX:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._queue.put(None)
                break
            batch.append(following)
        return batch

    def _run(self, batch: list[_Operation]) -> None:
        moves = self._commit([one for one in batch if one.writes])
        for one in batch:
            if not one.writes:
                self._read(one)
        self._call(self._settle, batch, moves)

    def _call(self, function: Callable[..., None], *values: object) -> None:
        try:
            self.loop.call_soon_threadsafe(function, *values)
        except RuntimeError:  # the loop has ended: nobody waits for an answer any more
            log.debug("store_loop_closed")

    def _settle(self, batch: list[_Operation], moves: list[Moved]) -> None:
        if moves:
            self.on_commit(moves)
        for one in batch:
            if one.then and one.error is None:
                one.then(one.result)
            if one.future.done():  # the caller was cancelled; what was committed stays
                continue
            if one.error is not None:
                one.future.set_exception(one.error)
            else:
                one.future.set_result(one.result)

    def _commit(self, batch: list[_Operation]) -> list[Moved]:
        if not batch:
            return []
        try:
            return self._transaction(batch)
        except StorageFull as error:
            return self._commit_without_space(batch, error)
        except (StoreUnavailable, StoreBroken) as error:
            self._fail(batch, error)
        return []

    def _commit_without_space(self, batch: list[_Operation], error: StorageFull) -> list[Moved]:
        """Refuse what takes new space; finish the rest in the room the ballast gave back."""
        self.full = True
        rest = [one for one in batch if not one.needs_space]
        self._fail([one for one in batch if one.needs_space], error)
        if not rest:
            return []
        self.make_room()
        try:
            return self._transaction(rest)
        except StorageFull:  # nothing is left to give: they try again until there is room
            self._fail(rest, StoreUnavailable("the disk is full"))
        except (StoreUnavailable, StoreBroken) as again:
            self._fail(rest, again)
        return []

    def _transaction(self, batch: list[_Operation]) -> list[Moved]:
        database = self._connected()
        moves: list[Moved] = []
        try:
            database.command("BEGIN IMMEDIATE" if database.on_sqlite else "BEGIN")
            for one in batch:
                moves += self._savepoint(database, one)
            database.command("COMMIT")
        except database.driver.errors as error:
            raise self._trouble(database, error) from error
        return moves

    def _savepoint(self, database: Database, one: _Operation) -> list[Moved]:
        """Run one operation so that its refusal undoes nobody else's work."""
        if one.needs_space and self.full:
            one.error = StorageFull("the disk is full")
            return []
        database.moves = []
        database.command("SAVEPOINT one")
        one.error = self._try(one, database)
        if one.error is not None:
            database.command("ROLLBACK TO SAVEPOINT one")
            database.moves = []
        database.command("RELEASE SAVEPOINT one")
        return database.moves

    def _read(self, one: _Operation) -> None:
        try:
            database = self._connected()
        except (StoreUnavailable, StoreBroken) as error:
            one.error = error
            return
        try:
            one.error = self._try(one, database)
        except database.driver.errors as error:
            one.error = self._trouble(database, error)

    def _try(self, one: _Operation, database: Database) -> Exception | None:
        """Run an operation; return what it raised, to be raised where its caller waits."""
        try:
            one.result = one.run(database)
        except Exception as error:
            driver = database.driver
            if isinstance(error, driver.errors) and not driver.own(error):
                raise
            return error
        return None

    def _connected(self) -> Database:
        if self.broken:
            raise StoreBroken(self.broken)
        if self.database is None:
            self.database = self.connect()
            self._call(self.on_reconnect)
        return self.database

    def _fail(self, batch: list[_Operation], error: Exception) -> None:
        for one in batch:
            one.error = error

    def _trouble(self, database: Database, error: Exception) -> Exception:
        """Undo the transaction, or give the connection up, and say what kind of trouble it is."""
        trouble = database.driver.trouble(error)
        log.warning("store_trouble", error=type(error).__name__, detail=str(trouble))
        if database.on_sqlite:
            self._roll_back(database)
        else:  # whatever went wrong, a new connection is the sound way on
            database.connection.close()
            self.database = None
        if isinstance(trouble, StoreBroken):
            self.broken = str(trouble)
            log.critical("store_broken", error=self.broken)
        return trouble

    def _roll_back(self, database: Database) -> None:
        if database.connection.in_transaction:
            try:
                database.command("ROLLBACK")
            except sqlite3.Error as error:
                log.warning("rollback_failed", error=type(error).__name__)
