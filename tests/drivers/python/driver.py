"""psycopg 3 against the server named by PGHOST, PGPORT, PGUSER and PGDATABASE: what an application does on its first day."""

import datetime
import decimal
import sys
import threading
import time
import traceback
import uuid

import psycopg
from psycopg import errors, sql
from psycopg.types.json import Json, Jsonb

UTC = datetime.timezone.utc

# Column type, value as Python has it. Every value goes in and out, in text and in binary.
VALUES = [
    ("boolean", True),
    ("smallint", -32768),
    ("integer", 2147483647),
    ("bigint", -9223372036854775808),
    ("real", 1.5),
    ("double precision", 0.1),
    ("numeric", decimal.Decimal("12345678901234567890.0123456789")),
    ("numeric", decimal.Decimal("NaN")),
    ("numeric(10,2)", decimal.Decimal("-0.50")),
    ("text", "größe ✓ \\ ' \""),
    ("varchar(10)", "ten"),
    ("char(5)", "abc  "),
    ("bytea", bytes(range(256))),
    ("date", datetime.date(2024, 2, 29)),
    ("time", datetime.time(23, 59, 59, 999999)),
    ("timestamp", datetime.datetime(2024, 2, 29, 12, 30, 0, 123456)),
    ("timestamptz", datetime.datetime(2024, 2, 29, 12, 30, tzinfo=UTC)),
    ("interval", datetime.timedelta(days=3, seconds=4, microseconds=5)),
    ("uuid", uuid.UUID("12345678-1234-5678-1234-567812345678")),
]
ARRAYS = [
    ("boolean[]", [True, None, False]),
    ("smallint[]", [1, -1]),
    ("integer[]", [1, None, 3]),
    ("bigint[]", [2**40]),
    ("real[]", [1.5]),
    ("double precision[]", [0.1, float("inf")]),
    ("numeric[]", [decimal.Decimal("1.50"), None]),
    ("text[]", ["a", "", "NULL", None, 'quo"te', "com,ma", "{brace}"]),
    ("varchar(10)[]", ["x"]),
    ("bytea[]", [b"\x00\xff"]),
    ("date[]", [datetime.date(1999, 12, 31)]),
    ("time[]", [datetime.time(1, 2, 3)]),
    ("timestamp[]", [datetime.datetime(2000, 1, 1)]),
    ("timestamptz[]", [datetime.datetime(2000, 1, 1, tzinfo=UTC)]),
    ("interval[]", [datetime.timedelta(hours=1)]),
    ("uuid[]", [uuid.UUID(int=7)]),
    ("integer[]", []),
]
DOCUMENT = {"a": [1, 2.5, None, True, "x"], "b": {"c": "d"}}


def every_type(connection):
    for binary in (False, True):
        mark = "%b" if binary else "%t"
        for number, (kind, value) in enumerate(VALUES + ARRAYS):
            with connection.cursor(binary=binary) as cursor:
                table = f"value_{number}_{binary}"
                cursor.execute(f"CREATE TABLE {table} (v {kind})")
                cursor.execute(f"INSERT INTO {table} VALUES ({mark}), (NULL)", [value])
                cursor.execute(f"SELECT v FROM {table}")
                (found,), (nothing,) = cursor.fetchall()
                same = found == value or (value != value and found != found)
                assert same and nothing is None, (kind, binary, value, found)
                assert type(found) is type(value), (kind, binary, type(found))
        with connection.cursor(binary=binary) as cursor:
            for kind, wrapper in (("json", Json), ("jsonb", Jsonb)):
                found = cursor.execute(f"SELECT {mark}::{kind}", [wrapper(DOCUMENT)]).fetchone()[0]
                assert found == DOCUMENT, (kind, binary, found)
            found = cursor.execute(f"SELECT ARRAY[{mark}, NULL]", [Jsonb(DOCUMENT)]).fetchone()[0]
            assert found == [DOCUMENT, None], found


def statements(connection):
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL UNIQUE, doc jsonb)")
    cursor.executemany(
        "INSERT INTO person (name, doc) VALUES (%s, %s) RETURNING id",
        [(f"p{i}", Jsonb({"n": i})) for i in range(50)],
        returning=True,
    )
    ids = [cursor.fetchone()[0]]
    while cursor.nextset():
        ids.append(cursor.fetchone()[0])
    assert ids == list(range(1, 51)), ids
    # The driver prepares a statement by itself when it has seen it five times.
    for i in range(1, 12):
        cursor.execute("SELECT name FROM person WHERE id = %s", [i])
        assert cursor.fetchone() == (f"p{i - 1}",)
    cursor.execute("SELECT id, name AS who, doc FROM person WHERE id = %s", [1], prepare=True)
    assert [(c.name, c.type_code) for c in cursor.description] == [("id", 23), ("who", 25), ("doc", 3802)]
    assert cursor.execute("UPDATE person SET doc['n'] = '7' WHERE id <= %s", [3]).rowcount == 3
    connection.commit()


def rejects(connection, code, text, parameters=None, **facts):
    """The statement fails with this SQLSTATE; facts are fields of the diagnostic."""
    try:
        with connection.transaction():
            connection.execute(text, parameters)
    except psycopg.Error as error:
        assert error.sqlstate == code, (text, error.sqlstate, str(error))
        for name, value in facts.items():
            assert getattr(error.diag, name) == value, (text, name, getattr(error.diag, name))
        return error
    raise AssertionError(f"not refused: {text}")


def sqlstates(connection):
    connection.execute("CREATE TABLE parent (id int PRIMARY KEY)")
    connection.execute(
        "CREATE TABLE child (id int NOT NULL, parent int REFERENCES parent, n int CONSTRAINT few CHECK (n < 10))"
    )
    connection.execute("INSERT INTO parent VALUES (1)")
    here = {"schema_name": "public", "table_name": "child"}
    rejects(connection, "23505", "INSERT INTO parent VALUES (1)", constraint_name="parent_pkey",
            schema_name="public", table_name="parent", message_detail="Key (id)=(1) already exists.")
    rejects(connection, "23503", "INSERT INTO child VALUES (1, 2, 3)", constraint_name="child_parent_fkey", **here)
    rejects(connection, "23503", "INSERT INTO child VALUES (1, 1, 3); DELETE FROM parent", None,
            constraint_name="child_parent_fkey", **here)
    rejects(connection, "23514", "INSERT INTO child VALUES (1, 1, 10)", constraint_name="few", **here)
    rejects(connection, "23502", "INSERT INTO child VALUES (NULL, 1, 1)", column_name="id", **here)
    rejects(connection, "42P01", "SELECT * FROM missing", statement_position="15")
    rejects(connection, "42703", "SELECT missing FROM child", statement_position="8")
    rejects(connection, "42601", "SELEC 1", statement_position="1")
    rejects(connection, "22012", "SELECT 1 / %s", [0])
    rejects(connection, "22003", "SELECT 2147483647 + 1")
    rejects(connection, "22P02", "SELECT %s::int", ["x"])
    rejects(connection, "42883", "SELECT no_such_function(1)")
    rejects(connection, "42P07", "CREATE TABLE child (id int)")
    assert isinstance(rejects(connection, "42804", "SELECT CASE WHEN 1 THEN 2 END"), errors.DatatypeMismatch)
    connection.execute("DROP TABLE child, parent")
    connection.commit()


def transactions(connection, connect):
    connection.execute("CREATE TABLE account (id int PRIMARY KEY, balance int)")
    connection.execute("INSERT INTO account VALUES (1, 100)")
    connection.commit()
    connection.execute("UPDATE account SET balance = 0")
    connection.rollback()
    with connection.transaction():
        try:
            with connection.transaction():
                connection.execute("UPDATE account SET balance = 5")
                connection.execute("SELECT 1 / 0")
        except errors.DivisionByZero:
            pass
        assert connection.execute("SELECT balance FROM account").fetchone() == (100,)
    connection.execute("SELECT 1")
    try:
        connection.execute("SELECT 1 / 0")
    except errors.DivisionByZero:
        pass
    try:
        connection.execute("SELECT 1")
        raise AssertionError("a failed block went on")
    except errors.InFailedSqlTransaction:
        connection.rollback()
    with connect() as serial:
        serial.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        serial.read_only = True
        assert serial.execute("SELECT current_setting('transaction_isolation')").fetchone() == ("serializable",)
        try:
            serial.execute("INSERT INTO account VALUES (2, 2)")
            raise AssertionError("a read only transaction wrote")
        except errors.ReadOnlySqlTransaction:
            serial.rollback()
    with connect() as auto:
        auto.autocommit = True
        auto.execute("UPDATE account SET balance = 42")
    assert connection.execute("SELECT balance FROM account").fetchone() == (42,)
    connection.commit()


def copies(connection):
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE copied (id int, name text, at timestamptz, doc jsonb)")
    now = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    with cursor.copy("COPY copied FROM STDIN") as copy:
        for i in range(1000):
            copy.write_row((i, None if i % 10 else f"tab\t{i}\n", now, Jsonb({"i": i})))
    with cursor.copy("COPY copied FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text", "timestamptz", "jsonb"])
        for i in range(1000, 2000):
            copy.write_row((i, f"b{i}", now, Jsonb({"i": i})))
    assert cursor.rowcount == 1000
    for suffix, wanted in (("", [str(i) for i in range(5)]), (" (FORMAT BINARY)", list(range(5)))):
        with cursor.copy(f"COPY (SELECT id FROM copied ORDER BY id LIMIT 5) TO STDOUT{suffix}") as copy:
            if suffix:
                copy.set_types(["int4"])
            assert [row[0] for row in copy.rows()] == wanted
    with cursor.copy("COPY copied (id, name) TO STDOUT (FORMAT csv, HEADER)") as copy:
        data = b"".join(copy)
    assert data.startswith(b'id,name\n0,"tab\t0\n"\n1,\n'), data[:40]
    connection.commit()
    try:
        with cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write("1\tx\n")
            raise KeyError("the program changes its mind")
    except KeyError:
        connection.rollback()
    try:
        with cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write("notanumber\tx\tx\tx\n")
    except errors.InvalidTextRepresentation as error:
        assert "COPY copied, line 1, column id" in error.diag.context, error.diag.context
    connection.rollback()


def cursors(connection):
    with connection.cursor(name="numbers") as cursor:
        cursor.execute("SELECT * FROM generate_series(1, 10000) AS n")
        assert cursor.fetchone() == (1,)
        assert len(cursor.fetchmany(100)) == 100
        cursor.itersize = 500
        assert sum(1 for _ in cursor) == 9899
    with connection.cursor(name="back", scrollable=True) as cursor:
        cursor.execute("SELECT * FROM generate_series(1, 10) AS n")
        cursor.scroll(9)
        assert cursor.fetchone() == (10,)
        cursor.scroll(-5)
        assert cursor.fetchone() == (6,)
    connection.commit()
    total = 0
    for (number,) in connection.cursor().stream("SELECT * FROM generate_series(1, 20000)"):
        total += number
    assert total == 200010000
    connection.commit()


def pipelines(connection):
    connection.execute("CREATE TABLE piped (n int PRIMARY KEY)")
    connection.commit()
    with connection.pipeline() as pipeline:
        first = connection.execute("INSERT INTO piped VALUES (%s) RETURNING n", [1])
        second = connection.execute("SELECT %s::text", ["two"])
        pipeline.sync()
        assert (first.fetchone(), second.fetchone()) == ((1,), ("two",))
    connection.commit()
    try:
        with connection.pipeline():
            connection.execute("INSERT INTO piped VALUES (2)")
            connection.execute("INSERT INTO piped VALUES (1)")
            connection.execute("INSERT INTO piped VALUES (3)")
    except errors.UniqueViolation:
        pass
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM piped").fetchone() == (1,)
    connection.commit()


def cancelled(connection):
    timer = threading.Timer(0.2, connection.cancel)
    timer.start()
    started = time.monotonic()
    rejects(connection, "57014", "SELECT pg_sleep(60)")
    assert time.monotonic() - started < 10
    timer.join()
    connection.execute("SET LOCAL statement_timeout = '50ms'")
    rejects(connection, "57014", "SELECT count(*) FROM generate_series(1, 1000000000)")
    connection.rollback()


def notifications(connection, connect):
    with connect() as other:
        other.autocommit = True
        other.execute("LISTEN news")
        connection.execute("SELECT pg_notify('news', 'hello')")
        connection.commit()
        for notify in other.notifies(timeout=20, stop_after=1):
            assert (notify.channel, notify.payload) == ("news", "hello")
            return
    raise AssertionError("no notification")


def composed(connection):
    table = sql.Identifier('Odd "name"')
    connection.execute(sql.SQL("CREATE TABLE {} ({} int)").format(table, sql.Identifier("select")))
    connection.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(table, sql.Literal(5)))
    assert connection.execute(sql.SQL("SELECT * FROM {}").format(table)).fetchone() == (5,)
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute("DROP TABLE IF EXISTS missing")
    assert notices == ['table "missing" does not exist, skipping'], notices
    connection.rollback()


def main():
    def connect():
        return psycopg.connect("")

    failed = 0
    with connect() as connection:
        assert connection.info.server_version // 10000 == 15
        for step, others in [
            (every_type, []), (statements, []), (sqlstates, []), (copies, []), (cursors, []), (pipelines, []),
            (cancelled, []), (composed, []), (transactions, [connect]), (notifications, [connect]),
        ]:
            try:
                step(connection, *others)
            except Exception:
                failed += 1
                traceback.print_exc()
            connection.rollback()
    if failed:
        sys.exit(f"{failed} steps failed")
    print("psycopg", psycopg.__version__, "ok")


if __name__ == "__main__":
    main()
