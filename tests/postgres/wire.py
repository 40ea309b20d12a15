"""The PostgreSQL gate on the wire: real clients through it to a real server, and raw bytes against it.

The gate is `crates/postgres/examples/gate.rs`: it decides by marks in the text, and writes down what it was asked.
"""

import asyncio
import datetime
import ipaddress
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import asyncpg
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import ROOT, Tally, free_port  # noqa: E402
from postgres import Postgres  # noqa: E402

TOKEN = "an agent's access token"
PATIENCE = 20


def gate_binary():
    if "GATE_BIN" in os.environ:
        return os.environ["GATE_BIN"]
    ours = Path(os.environ.get("COUNTERSIGN_BIN") or ROOT / "target" / "debug" / "countersign")
    return str(ours.parent / "examples" / "gate")


def until(what, look, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():
            return
        time.sleep(0.02)
    raise AssertionError(f"in {seconds} s not: {what}")


class Gate:
    """One gate before one server."""

    def __init__(self, server, *flags, host="127.0.0.1", user="countersign", password=None, listen="127.0.0.1"):
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-gate-"))
        self.port, self.server, self.held = free_port(), server, 0
        command = [gate_binary(), f"{listen}:{self.port}", f"{host}:{server.port}", user, password or server.password,
                   TOKEN, *flags]
        self.process = subprocess.Popen(command, env={**os.environ, "GATE_FOLDER": str(self.folder)},
                                        stderr=open(self.folder / "stderr.log", "ab"))
        until("the gate listens", self.listens)

    def listens(self):
        assert self.process.poll() is None, (self.folder / "stderr.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def mark(self):
        """A new mark that makes a statement wait."""
        self.held += 1
        return f"/* hold {self.held} */"

    def say(self, verdict):
        """Decides about the statement with the newest mark."""
        part = self.folder / "part"
        part.write_text(verdict)
        part.rename(self.folder / f"hold-{self.held}")

    def asked(self):
        file = self.folder / "asked"
        return file.read_text() if file.exists() else ""

    def is_asked(self, text):
        until(f"asked about {text}", lambda: text in self.asked())

    def psycopg(self, **more):
        more = {"host": "127.0.0.1", "port": self.port, "user": "agent", "password": TOKEN, "dbname": "postgres",
                "autocommit": True, "connect_timeout": PATIENCE, **more}
        return psycopg.connect(**more)

    def psql(self, *commands, stdin=None):
        words = [part for command in commands for part in ("-c", command)]
        env = {**os.environ, "PGPASSWORD": TOKEN}
        return subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "agent", "-d", "postgres",
             *words], capture_output=True, text=True, env=env, timeout=PATIENCE * 3, input=stdin)

    def raw(self, **more):
        return Raw(self.port, **more)

    def memory(self):
        """What the process holds, in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def message(tag, body=b""):
    return tag + struct.pack("!i", len(body) + 4) + body


def string(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def query(text):
    return message(b"Q", string(text))


def parse(name, text):
    return message(b"P", string(name) + string(text) + b"\0\0")


def bind(portal, statement, *values):
    body = string(portal) + string(statement) + struct.pack("!hh", 0, len(values))
    for value in values:
        body += struct.pack("!i", len(value)) + value
    return message(b"B", body + b"\0\0")


def execute(portal=""):
    return message(b"E", string(portal) + struct.pack("!i", 0))


def run(text, *values):
    return parse("", text) + bind("", "", *values) + execute()


SYNC, FLUSH = message(b"S"), message(b"H")


class Raw:
    """A client that sends any bytes."""

    def __init__(self, port, startup=None, password=TOKEN, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), PATIENCE)
        self.socket.settimeout(PATIENCE)
        self.key = None
        if startup is not None:
            self.start(startup, password)

    def start(self, parameters, password=TOKEN, version=0x30000):
        body = struct.pack("!i", version)
        for name, value in parameters.items():
            body += string(name) + string(value)
        self.send(struct.pack("!i", len(body) + 5) + body + b"\0")
        self.first = self.receive()
        if self.first[0] == b"R":
            self.send(message(b"p", string(password)))
        return self

    def send(self, data):
        self.socket.sendall(data)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        tag, length = struct.unpack("!ci", self.exactly(5))
        return tag, self.exactly(length - 4)

    def ready(self):
        """Everything up to the next ReadyForQuery."""
        found = []
        while not found or found[-1][0] != b"Z":
            found.append(self.receive())
            if found[-1][0] == b"K":
                self.key = found[-1][1]
        return found

    def end(self):
        """Everything up to the connection's end."""
        found = []
        try:
            while True:
                found.append(self.receive())
        except (EOFError, ConnectionResetError):
            return found


def kinds(found):
    return b"".join(tag for tag, _ in found).decode()


def error(found):
    """The first error's severity, SQLSTATE and words."""
    body = next(body for tag, body in found if tag == b"E")
    fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
    return fields[b"S"], fields[b"C"], fields[b"M"]


def refused(found, state, severity="ERROR"):
    got = error(found)
    assert got[:2] == (severity, state), got
    return got[2]


def rows(found):
    return [body for tag, body in found if tag == b"D"]


def column(body):
    """The first column of a row."""
    length, = struct.unpack("!i", body[2:6])
    return body[6:6 + length]


AGENT = {"user": "agent", "database": "postgres"}


class Background(threading.Thread):
    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.result, self.error = work, None, None
        self.start()

    def run(self):
        try:
            self.result = self.work()
        except Exception as error:  # handed to whoever waits
            self.error = error

    def done(self, seconds=PATIENCE):
        self.join(seconds)
        assert not self.is_alive(), "it did not end"
        if self.error:
            raise self.error
        return self.result


class Story:
    def __init__(self, server):
        self.server = server
        server.sql("CREATE TABLE items (id int primary key, name text)")
        self.gate = Gate(server)

    def fill(self):
        self.server.sql("SET lock_timeout = '10s'; TRUNCATE items; INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 100) n")

    def count(self):
        return int(self.server.sql("SELECT count(*) FROM items"))

    def quiet(self):
        """No transaction of the gate's is open at the server."""
        return self.server.sql("SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL "
                               "AND pid <> pg_backend_pid() AND backend_type = 'client backend'") == "0"

    # psql

    def psql_reads_and_writes(self):
        self.fill()
        answer = self.gate.psql("SELECT name FROM items WHERE id = 7", "BEGIN", "DELETE FROM items WHERE id = 7", "COMMIT",
                                "SELECT count(*) FROM items")
        assert answer.stdout.split("\n")[:2] == ["item 7", "99"], answer

    def psql_several_statements_are_one_question(self):
        text = "SELECT 1; SELECT 2; SELECT 3"
        assert self.gate.psql(text).stdout.split() == ["1", "2", "3"]
        assert self.gate.asked().count(text) == 1

    def psql_denied_statement_is_an_error_and_the_session_goes_on(self):
        self.fill()
        answer = self.gate.psql(stdin="DELETE FROM items /* deny */;\nSELECT 'still here';\n")
        assert answer.stdout.strip() == "still here", answer
        for word in ("denied by the test", "it bears the mark", "leave the mark out"):
            assert word in answer.stderr, answer.stderr
        assert self.count() == 100

    def psql_held_statement_waits_and_runs(self):
        self.fill()
        mark = self.gate.mark()
        call = Background(lambda: self.gate.psql(f"DELETE FROM items WHERE id < 11 {mark}", "SELECT count(*) FROM items"))
        self.gate.is_asked(mark)
        time.sleep(0.3)
        assert call.is_alive() and self.count() == 100
        self.gate.say("approve")
        answer = call.done()
        assert answer.stdout.strip() == "90", answer
        assert "people have to approve this first" in answer.stderr, "the notice"

    def psql_held_statement_is_denied(self):
        self.fill()
        mark = self.gate.mark()
        call = Background(lambda: self.gate.psql(stdin=f"DELETE FROM items {mark};\nSELECT 'on';\n"))
        self.gate.is_asked(mark)
        self.gate.say("deny")
        answer = call.done()
        assert "people have denied this" in answer.stderr and answer.stdout.strip() == "on", answer
        assert self.count() == 100

    def psql_copies_both_ways(self):
        self.server.sql("TRUNCATE items")
        lines = "".join(f"{n}\tname {n}\n" for n in range(5000))
        answer = self.gate.psql(stdin=f"COPY items FROM STDIN;\n{lines}\\.\nCOPY (SELECT * FROM items ORDER BY id) TO STDOUT;\n")
        assert answer.stdout == lines, answer.stderr

    # psycopg

    def psycopg_prepares_and_binds(self):
        self.fill()
        with self.gate.psycopg(prepare_threshold=0) as client:
            for n in (1, 2, 3):
                row = client.execute("SELECT name FROM items WHERE id = %s", [n]).fetchone()
                assert row == (f"item {n}",)
        assert "SELECT name FROM items WHERE id = $1" in self.gate.asked() and "Some([" in self.gate.asked()

    def psycopg_lets_go_of_prepared_statements(self):
        with self.gate.psycopg(prepare_threshold=0) as client:
            client.prepared_max = 3
            for n in range(20):
                assert client.execute(f"SELECT {n}, %s::int", [n]).fetchone() == (n, n)
            kept = client.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0]
            assert kept <= 5, f"{kept} statements are left at the server"

    def psycopg_pipelines_in_order(self):
        self.fill()
        with self.gate.psycopg() as client, client.pipeline():
            cursors = [client.execute("SELECT %s::int", [n]) for n in range(300)]
            assert [cursor.fetchone()[0] for cursor in cursors] == list(range(300))

    def psycopg_held_in_a_pipeline_keeps_nothing_open(self):
        self.fill()
        mark = self.gate.mark()

        def work():
            with self.gate.psycopg() as client, client.pipeline():
                client.execute("UPDATE items SET name = 'x' WHERE id = %s", [1])
                client.execute(f"DELETE FROM items WHERE id = %s {mark}", [2])
                cursor = client.execute("SELECT count(*) FROM items")
                return cursor.fetchone()[0]

        call = Background(work)
        self.gate.is_asked(mark)
        assert self.quiet(), "what came before in the run is not sent yet"
        self.gate.say("approve")
        assert call.done() == 99

    def psycopg_leading_write_waits_without_a_transaction(self):
        self.fill()
        mark = self.gate.mark()

        def work():
            with self.gate.psycopg(autocommit=False) as client:
                done = client.execute(f"DELETE FROM items WHERE id <= %s {mark}", [10]).rowcount
                client.execute("UPDATE items SET name = 'y' WHERE id = 11")
                client.commit()
                return done

        call = Background(work)
        self.gate.is_asked(mark)
        assert self.quiet(), "BEGIN was put off"
        self.gate.say("approve")
        assert call.done() == 10 and self.count() == 90

    def psycopg_deferred_begin_begins_what_was_asked_for(self):
        with self.gate.psycopg(autocommit=False) as client:
            client.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            client.read_only = True
            answer = client.execute("SELECT current_setting('transaction_isolation'), "
                                    "current_setting('transaction_read_only')").fetchone()
            assert answer == ("repeatable read", "on"), answer
            client.rollback()

    def psycopg_an_error_in_a_deferred_transaction_fails_it(self):
        with self.gate.psycopg(autocommit=False) as client:
            for text in ("SELECT no_such_column FROM items WHERE id = %s", "SELECT 1 /* deny */, %s::int"):
                try:
                    client.execute(text, [1])
                    raise AssertionError("it ran")
                except psycopg.Error:
                    pass
                assert client.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
                client.rollback()
                assert client.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
                assert client.execute("SELECT 1").fetchone() == (1,)
                client.rollback()

    def psycopg_later_in_a_transaction_it_is_refused(self):
        self.fill()
        mark = self.gate.mark()
        with self.gate.psycopg(autocommit=False) as client:
            client.execute("UPDATE items SET name = 'z' WHERE id = 1")
            try:
                client.execute(f"DELETE FROM items {mark}")
                raise AssertionError("it ran")
            except psycopg.Error as refusal:
                assert refusal.sqlstate == "55000", refusal.sqlstate
                assert refusal.diag.message_hint == f"see hold {self.gate.held}"
            client.rollback()
            assert client.execute("SELECT name FROM items WHERE id = 1").fetchone() == ("item 1",)
            client.rollback()
            # The retry finds the approval, if it comes first in its transaction.
            self.gate.say("approve")
            assert client.execute(f"DELETE FROM items {mark}").rowcount == 100
            client.rollback()
        assert self.count() == 100

    def holding_inside_a_transaction_is_opt_in(self):
        self.fill()
        gate = Gate(self.server, "--hold-inside")
        try:
            mark = gate.mark()

            def work():
                with gate.psycopg(autocommit=False) as client:
                    client.execute("UPDATE items SET name = 'z' WHERE id = 1")
                    count = client.execute(f"DELETE FROM items {mark}").rowcount
                    client.rollback()
                    return count

            call = Background(work)
            gate.is_asked(mark)
            assert not self.quiet()
            gate.say("approve")
            assert call.done() == 100
        finally:
            gate.stop()

    def psycopg_copies_both_ways(self):
        self.server.sql("TRUNCATE items")
        with self.gate.psycopg() as client, client.cursor() as cursor:
            with cursor.copy("COPY items (id, name) FROM STDIN") as copy:
                for n in range(20000):
                    copy.write_row((n, f"name {n}"))
            with cursor.copy("COPY items TO STDOUT (FORMAT binary)") as copy:
                size = sum(len(block) for block in copy)
            assert size > 20000 * 10
            with cursor.copy("COPY (SELECT * FROM items WHERE id < %s) TO STDOUT", [5]) as copy:
                assert len(list(copy.rows())) == 5
            try:
                with cursor.copy("COPY items FROM STDIN") as copy:
                    copy.write_row(("not a number", "x"))
                raise AssertionError("it was copied")
            except psycopg.errors.InvalidTextRepresentation:
                pass
            assert client.execute("SELECT count(*) FROM items").fetchone() == (20000,)

    def psycopg_large_rows_and_results(self):
        with self.gate.psycopg() as client:
            row = client.execute("SELECT repeat('x', 30000000)").fetchone()
            assert len(row[0]) == 30_000_000
            assert client.execute("SELECT length(%s)", ["y" * 8_000_000]).fetchone() == (8_000_000,)
            with client.cursor(name="many") as cursor:
                cursor.itersize = 1000
                client.execute("BEGIN")
                cursor.execute("SELECT n, repeat('z', 500) FROM generate_series(1, 20000) n")
                assert sum(1 for _ in cursor) == 20000
            client.execute("COMMIT")

    def psycopg_cancels_what_runs(self):
        with self.gate.psycopg() as client:
            call = Background(lambda: client.execute("SELECT pg_sleep(60)"))
            self.gate.is_asked("pg_sleep(60)")
            time.sleep(0.2)
            client.cancel()
            try:
                call.done()
                raise AssertionError("it was not cancelled")
            except psycopg.errors.QueryCanceled:
                pass
            assert client.execute("SELECT 1").fetchone() == (1,)

    def psycopg_cancels_what_is_held(self):
        self.fill()
        mark = self.gate.mark()
        with self.gate.psycopg() as client:
            call = Background(lambda: client.execute(f"DELETE FROM items {mark}"))
            self.gate.is_asked(mark)
            client.cancel()
            try:
                call.done()
                raise AssertionError("it was not cancelled")
            except psycopg.errors.QueryCanceled:
                pass
            self.gate.say("approve")
            assert client.execute("SELECT count(*) FROM items").fetchone() == (100,)

    def psycopg_hears_notices_and_notifications(self):
        heard = []
        with self.gate.psycopg() as client, self.gate.psycopg() as other:
            client.add_notice_handler(lambda diagnostic: heard.append(diagnostic.message_primary))
            client.execute("DO $$ BEGIN RAISE NOTICE 'a word'; END $$")
            assert heard == ["a word"]
            client.execute("LISTEN news")
            other.execute("NOTIFY news, 'hello'")
            note = next(client.notifies(timeout=PATIENCE, stop_after=1))
            assert (note.channel, note.payload) == ("news", "hello")

    def psycopg_speaks_3_2_with_a_longer_key(self):
        with self.gate.psycopg(max_protocol_version="3.2") as client:
            assert client.pgconn.get_cancel() and client.execute("SELECT 1").fetchone() == (1,)
            call = Background(lambda: client.execute("SELECT pg_sleep(61)"))
            self.gate.is_asked("pg_sleep(61)")
            time.sleep(0.2)
            client.cancel_safe()
            try:
                call.done()
                raise AssertionError("it was not cancelled")
            except psycopg.errors.QueryCanceled:
                pass

    # asyncpg

    def asyncpg_does_all(self):
        self.fill()

        async def work():
            client = await asyncpg.connect(host="127.0.0.1", port=self.gate.port, user="agent", password=TOKEN,
                                           database="postgres", ssl=False)
            assert await client.fetchval("SELECT name FROM items WHERE id = $1", 5) == "item 5"
            statement = await client.prepare("SELECT id FROM items WHERE id < $1 ORDER BY id")
            assert [row[0] for row in await statement.fetch(4)] == [1, 2, 3]
            async with client.transaction():
                await client.executemany("INSERT INTO items VALUES ($1, $2)", [(n, "m") for n in range(1000, 1500)])
                found = [row[0] async for row in client.cursor("SELECT id FROM items ORDER BY id", prefetch=17)]
                assert len(found) == 600
            await client.copy_records_to_table("items", records=[(n, "c") for n in range(2000, 2100)])
            assert await client.fetchval("SELECT count(*) FROM items") == 700
            try:
                await client.fetchval("SELECT $1::int /* deny */", 1)
                raise AssertionError("it ran")
            except asyncpg.InsufficientPrivilegeError:
                pass
            notes = asyncio.Queue()
            await client.add_listener("news", lambda *note: notes.put_nowait(note[3]))
            await client.execute("NOTIFY news, 'there'")
            assert await asyncio.wait_for(notes.get(), PATIENCE) == "there"
            try:
                await client.fetchval("SELECT pg_sleep(62)", timeout=0.5)
                raise AssertionError("it was not cancelled")
            except asyncio.TimeoutError:
                pass
            assert await client.fetchval("SELECT 2") == 2
            await client.reset()
            await client.close()

        asyncio.run(work())

    def asyncpg_leading_write_waits_without_a_transaction(self):
        self.fill()
        mark = self.gate.mark()

        async def work():
            client = await asyncpg.connect(host="127.0.0.1", port=self.gate.port, user="agent", password=TOKEN,
                                           database="postgres", ssl=False)
            async with client.transaction():
                done = await client.execute(f"DELETE FROM items WHERE id <= $1 {mark}", 30)
            await client.close()
            return done

        call = Background(lambda: asyncio.run(work()))
        self.gate.is_asked(mark)
        assert self.quiet(), "it was prepared outside of the transaction that was put off"
        self.gate.say("approve")
        assert call.done() == "DELETE 30" and self.count() == 70

    # node-postgres

    def node_postgres_does_all(self):
        self.fill()
        mark = self.gate.mark()
        script = """
            const { createRequire } = require('module');
            const { Client } = createRequire(process.env.NODE_PATH + '/')('pg');
            (async () => {
                const client = new Client({ host: '127.0.0.1', port: +process.argv[1], user: 'agent',
                    password: process.env.TOKEN, database: 'postgres', statement_timeout: 60000 });
                await client.connect();
                const out = {};
                out.read = (await client.query('SELECT name FROM items WHERE id = $1', [3])).rows[0].name;
                for (const id of [4, 5])
                    out.named = (await client.query({ name: 'one', text: 'SELECT name FROM items WHERE id = $1',
                        values: [id] })).rows[0].name;
                try { await client.query('SELECT 1 /* deny */'); } catch (error) { out.denied = error.code; }
                await client.query('BEGIN');
                out.held = (await client.query('DELETE FROM items WHERE id < $1 ' + process.argv[2], [21])).rowCount;
                await client.query('COMMIT');
                out.big = (await client.query("SELECT repeat('n', 5000000) AS big")).rows[0].big.length;
                await client.end();
                console.log(JSON.stringify(out));
            })().catch(error => { console.error(error); process.exit(1); });
        """
        # Anything that follows `-e` and does not look like an option is an argument.
        def work():
            return subprocess.run(["node", "-e", script, str(self.gate.port), mark], capture_output=True, text=True,
                                  env={**os.environ, "TOKEN": TOKEN}, timeout=PATIENCE * 2)

        call = Background(work)
        until("asked", lambda: mark in self.gate.asked() or not call.is_alive())
        if call.is_alive():
            assert self.quiet()
            self.gate.say("approve")
        answer = call.done(PATIENCE * 2)
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout) == {"read": "item 3", "named": "item 5", "denied": "42501", "held": 20,
                                             "big": 5000000}, answer.stdout

    # TLS and credentials

    def tls_is_negotiated_direct_and_verified(self):
        folder = Path(tempfile.mkdtemp(prefix="countersign-tls-"))
        certificate, key = make_certificate(folder)
        gate = Gate(self.server, "--tls", str(certificate), str(key))
        try:
            full = {"host": "localhost", "sslmode": "verify-full", "sslrootcert": str(certificate)}
            for more in ({}, {"sslnegotiation": "direct"}):
                with gate.psycopg(**full, **more) as client:
                    assert client.pgconn.ssl_in_use
                    assert client.execute("SELECT 1").fetchone() == (1,)
                    call = Background(lambda: client.execute("SELECT pg_sleep(63)"))
                    time.sleep(0.5)
                    client.cancel_safe()
                    try:
                        call.done()
                        raise AssertionError("it was not cancelled")
                    except psycopg.errors.QueryCanceled:
                        pass
            # Direct TLS without the protocol's name.
            context = ssl.create_default_context(cafile=str(certificate))
            with socket.create_connection(("127.0.0.1", gate.port), PATIENCE) as plain:
                tls = context.wrap_socket(plain, server_hostname="localhost")
                raw = Raw.__new__(Raw)
                raw.socket = tls
                refused(raw.end(), "08P01", "FATAL")
        finally:
            gate.stop()

    def bytes_before_tls_are_refused(self):
        folder = Path(tempfile.mkdtemp(prefix="countersign-tls-"))
        certificate, key = make_certificate(folder)
        gate = Gate(self.server, "--tls", str(certificate), str(key))
        try:
            raw = gate.raw()
            raw.send(struct.pack("!ii", 8, 80877103) + query("DELETE FROM items"))
            found = raw.end()
            refused(found, "08P01", "FATAL")
            # Behind the answer they are no TLS.
            raw = gate.raw()
            raw.send(struct.pack("!ii", 8, 80877103))
            assert raw.exactly(1) == b"S"
            raw.send(b"Q\0\0\0\x05 ")
            try:
                assert not any(tag == b"R" for tag, _ in raw.end())
            except struct.error:
                pass
        finally:
            gate.stop()

    def credentials_travel_over_tls_or_not_at_all(self):
        ours = [info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
        outside = next((address for address in ours if not address.startswith("127.")), None)
        if outside is None:
            outside = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()[0]
        gate = Gate(self.server, listen="0.0.0.0")
        try:
            raw = Raw(gate.port, host=outside)
            raw.start(AGENT)
            assert raw.first[0] == b"E", "no password was asked for"
            refused([raw.first], "28000", "FATAL")
        finally:
            gate.stop()

    def a_wrong_credential_is_refused(self):
        raw = self.gate.raw().start(AGENT, password="wrong")
        refused(raw.end(), "28P01", "FATAL")

    def a_revoked_credential_ends_its_sessions(self):
        gate = Gate(self.server)
        try:
            raw = gate.raw(startup=AGENT)
            raw.ready()
            (gate.folder / "revoked").write_text("")
            refused(raw.end(), "28000", "FATAL")
        finally:
            gate.stop()

    def the_server_has_to_prove_itself(self):
        server = self.server
        folder = Path(tempfile.mkdtemp(prefix="countersign-tls-"))
        certificate, key = make_certificate(folder)
        other, _ = make_certificate(Path(tempfile.mkdtemp(prefix="countersign-tls-")))
        data = server.data
        for name, file in (("server.crt", certificate), ("server.key", key)):
            (data / name).write_bytes(file.read_bytes())
            (data / name).chmod(0o600)
            if os.geteuid() == 0:
                import shutil
                shutil.chown(data / name, "postgres", "postgres")
        server.sql("ALTER SYSTEM SET ssl = on")
        server.sql("SELECT pg_reload_conf()")
        time.sleep(0.5)
        try:
            good = Gate(server, "--roots", str(certificate), host="localhost")
            bad = Gate(server, "--roots", str(other), host="localhost")
            try:
                with good.psycopg() as client:
                    row = client.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
                    assert row == (True,)
                    call = Background(lambda: client.execute("SELECT pg_sleep(64)"))
                    good.is_asked("pg_sleep(64)")
                    time.sleep(0.3)
                    client.cancel()
                    try:
                        call.done()
                        raise AssertionError("it was not cancelled")
                    except psycopg.errors.QueryCanceled:
                        pass
                try:
                    bad.psycopg()
                    raise AssertionError("another root was taken")
                except psycopg.OperationalError as error:
                    assert "cannot be used" in str(error), error
            finally:
                good.stop()
                bad.stop()
        finally:
            server.sql("ALTER SYSTEM RESET ssl")
            server.sql("SELECT pg_reload_conf()")

    def weak_proofs_are_refused_to_the_server(self):
        server = self.server
        rules = server.data / "pg_hba.conf"
        before = rules.read_text()
        server.sql("SET password_encryption = 'md5'; CREATE ROLE weak LOGIN PASSWORD 'weak'")
        try:
            for method, flag in (("md5", "--md5"), ("trust", "--trust"), ("password", None)):
                rules.write_text(f"host all weak 127.0.0.1/32 {method}\n{before}")
                server.sql("SELECT pg_reload_conf()")
                time.sleep(0.3)
                for flags in ((), (flag,) if flag else ()):
                    gate = Gate(server, *flags, user="weak", password="weak")
                    try:
                        raw = gate.raw(startup=AGENT)
                        if flags:
                            assert kinds(raw.ready()).endswith("Z"), method
                        else:
                            assert "cannot be used" in refused(raw.end(), "08006", "FATAL"), method
                    finally:
                        gate.stop()
        finally:
            rules.write_text(before)
            server.sql("SELECT pg_reload_conf()")
            server.sql("DROP ROLE weak")

    # Raw bytes

    def startup_parameters_are_on_the_list_or_refused(self):
        for name, value in (("options", "-c standard_conforming_strings=off"), ("replication", "database"),
                            ("replication", "true"), ("session_preload_libraries", "x"),
                            ("standard_conforming_strings", "off"), ("client_encoding", "SJIS"),
                            ("search_path", "evil"), ("role", "postgres"), ("statement_timeout", "1; SELECT"),
                            ("DateStyle", "ISO'"), ("application_name", "x" * 300)):
            raw = self.gate.raw().start({**AGENT, name: value})
            assert raw.first[0] == b"E", f"{name}={value} was taken"
            assert error([raw.first])[0] == "FATAL"
        raw = self.gate.raw().start({**AGENT, "application_name": "a 'quoted' name", "client_encoding": "utf-8",
                                     "DateStyle": "ISO, DMY", "TimeZone": "Europe/Zurich", "extra_float_digits": "2"})
        told = dict(body.split(b"\0")[:2] for tag, body in raw.ready() if tag == b"S")
        assert told[b"TimeZone"] == b"Europe/Zurich" and told[b"DateStyle"] == b"ISO, DMY"
        assert told[b"standard_conforming_strings"] == b"on" and told[b"client_encoding"] == b"UTF8"

    def options_of_the_protocol_are_negotiated(self):
        raw = self.gate.raw().start({**AGENT, "_pq_.novel": "1"}, version=0x30009)
        tag, body = raw.first
        assert tag == b"v" and struct.unpack("!ii", body[:8]) == (0x30002, 1) and body[8:] == b"_pq_.novel\0", body
        assert raw.receive()[0] == b"R"
        raw.send(message(b"p", string(TOKEN)))
        key = next(body for tag, body in raw.ready() if tag == b"K")
        assert len(key) == 4 + 32
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        assert len(raw.key) == 8

    def what_is_no_startup_is_refused(self):
        for data in (struct.pack("!ii", 8, 0x20000), struct.pack("!ii", 7, 0), struct.pack("!ii", 100000, 0x30000),
                     struct.pack("!ii", -1, 0), struct.pack("!ii", 8, 80877104) * 5,
                     struct.pack("!ii", 16, 0x30000) + b"user\0a\0x",
                     struct.pack("!ii", 9 + 14, 0x30000) + b"user\0a\0user\0b\0\0"):
            raw = self.gate.raw()
            left = b""
            try:
                raw.send(data)
                raw.socket.shutdown(socket.SHUT_WR)
                while more := raw.socket.recv(1000):
                    left += more
            except OSError:
                pass
            assert b"R\0\0\0" not in left, (data, left)

    def a_function_call_is_refused_and_the_session_goes_on(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        for body in (struct.pack("!ihhi", 1598, 0, 0, 0)[:10] + b"\0\0", b"\0", b""):
            raw.send(message(b"F", body))
            found = raw.ready()
            assert kinds(found) == "EZ", kinds(found)
            refused(found, "0A000")
        raw.send(query("SELECT 1"))
        assert kinds(raw.ready()) == "TDCZ"

    def an_unknown_message_ends_the_session(self):
        for data in (message(b"z"), message(b"V"), message(b"p", b"x\0"), b"Q\0\0\0\x03", b"Q\xff\xff\xff\xff",
                     b"Q\x7f\xff\xff\xff", query("SELECT 1")[:-1] + b"x", message(b"S", b"x"), message(b"D", b"X\0"),
                     message(b"B", b"\0\0\0\1\0\7\0\0\0\0"), message(b"B", b"\0\0\0\2\0\0\0\0\0\1\0\0\0\0\0\0"),
                     message(b"Q", b"\xff\xfe\0"), message(b"P", b"\0\xc3\x28\0\0\0")):
            raw = self.gate.raw(startup=AGENT)
            raw.ready()
            raw.send(data)
            severity, state, _ = error(raw.end())
            assert severity == "FATAL" and state in ("08P01", "22021"), (data, severity, state)

    def a_statements_name_used_again_means_what_it_says(self):
        self.fill()
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(parse("s", "SELECT 1") + parse("s", "DELETE FROM items") + SYNC)
        refused(raw.ready(), "42P05")
        raw.send(message(b"C", b"Ss\0") + parse("s", "DELETE FROM items /* deny */") + bind("", "s") + execute() + SYNC)
        found = raw.ready()
        assert kinds(found) == "31EZ", kinds(found)
        refused(found, "42501")
        # The one that was refused stays prepared; so it is for the server.
        raw.send(bind("", "s") + execute() + SYNC)
        refused(raw.ready(), "42501")
        assert self.count() == 100

    def the_unnamed_statement_overwritten_is_the_one_that_is_asked_about(self):
        self.fill()
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(parse("", "SELECT 1") + parse("", "DELETE FROM items /* deny */") + bind("", "") + execute() + SYNC)
        found = raw.ready()
        assert kinds(found) == "11EZ", kinds(found)
        # And over two runs that come at once, the first of which fails.
        raw.send(parse("", "DELETE FROM items /* deny */") + SYNC + parse("", "SELECT no such") + SYNC + bind("", "")
                 + execute() + SYNC)
        assert [kinds(raw.ready()) for _ in range(3)] == ["1Z", "EZ", "EZ"]
        # A simple query lets go of it.
        raw.send(parse("", "SELECT 1") + SYNC + query("SELECT 2") + bind("", "") + execute() + SYNC)
        assert [kinds(raw.ready()) for _ in range(3)] == ["1Z", "TDCZ", "EZ"]
        assert self.count() == 100

    def sql_cannot_replace_a_prepared_statement(self):
        self.fill()
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(parse("s", "SELECT 1") + SYNC)
        raw.ready()
        raw.send(query("PREPARE s AS DELETE FROM items"))
        assert kinds(raw.ready()) == "CZ", "SQL's names are its own"
        raw.send(bind("", "s") + execute() + SYNC)
        found = raw.ready()
        assert column(rows(found)[0]) == b"1"
        raw.send(query("SELECT name FROM pg_prepared_statements WHERE name <> 's'"))
        own = column(rows(raw.ready())[0]).decode()
        for text in (f"DEALLOCATE {own}", f'PREPARE "{own}" AS DELETE FROM items'):
            raw.send(query(text))
            refused(raw.ready(), "42501")
        raw.send(query("DEALLOCATE ALL; PREPARE s AS DELETE FROM items") + bind("", "s") + execute() + SYNC)
        raw.ready()
        found = raw.ready()
        refused(found, "26000")
        assert self.count() == 100

    def a_statement_is_let_go_of_by_sql(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(parse("Mixed", "SELECT 1") + parse("plain", "SELECT 2") + SYNC)
        raw.ready()
        raw.send(query('DEALLOCATE "Mixed"') + run("deallocate prepare PLAIN; ") + SYNC)
        assert [kinds(raw.ready()) for _ in range(2)] == ["CZ", "12CZ"]
        for name in ("Mixed", "plain"):
            raw.send(bind("", name) + execute() + SYNC)
            refused(raw.ready(), "26000")
        raw.send(query("SELECT count(*) FROM pg_prepared_statements"))
        assert column(rows(raw.ready())[0]) == b"0"

    def names_that_the_server_would_cut_off_are_refused(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        long = "n" * 64
        raw.send(parse(long, "SELECT 1") + SYNC + parse("", "SELECT 1") + bind(long, "") + SYNC)
        refused(raw.ready(), "42622")
        refused(raw.ready(), "42622")

    def a_cursor_of_sql_is_no_portal(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(query("BEGIN"))
        raw.send(query("DECLARE c CURSOR FOR SELECT 1"))
        raw.ready(), raw.ready()
        raw.send(execute("c") + SYNC)
        found = raw.ready()
        refused(found, "34000")
        assert found[-1][1] == b"E", "the transaction has failed at the server too"
        raw.send(query("SELECT 1"))
        refused(raw.ready(), "25P02")

    def order_is_kept_while_something_is_held(self):
        self.fill()
        mark = self.gate.mark()
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(query(f"DELETE FROM items {mark}") + query("SELECT 'after the hold'") + run("SELECT 'and after'") + SYNC)
        self.gate.is_asked(mark)
        time.sleep(0.3)
        assert "after the hold" not in self.gate.asked(), "what comes behind is not even looked at"
        assert self.count() == 100
        self.gate.say("approve")
        assert [kinds(raw.ready()) for _ in range(3)] == ["NCZ", "TDCZ", "12DCZ"]

    def floods_behind_a_hold_are_bounded(self):
        mark = self.gate.mark()
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        before = self.gate.memory()
        raw.send(query(f"SELECT 1 {mark}"))
        self.gate.is_asked(mark)
        raw.socket.settimeout(1)
        flood = query("SELECT '" + "x" * 1000 + "'") * 1000
        sent = 0
        try:
            while sent < 200_000_000:
                sent += raw.socket.send(flood)
        except TimeoutError:
            pass
        assert sent < 50_000_000, f"{sent} bytes were taken"
        assert self.gate.memory() - before < 4_000_000
        raw.socket.close()

    def a_client_that_leaves_runs_nothing(self):
        self.fill()
        mark = self.gate.mark()
        raw = self.gate.raw(startup={**AGENT, "application_name": "leaver"})
        raw.ready()
        raw.send(query(f"DELETE FROM items {mark}"))
        self.gate.is_asked(mark)
        raw.socket.close()
        until("its session at the server ends", lambda: self.server.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leaver'") == "0")
        self.gate.say("approve")
        time.sleep(0.3)
        assert self.count() == 100

    def what_changes_how_text_is_read_ends_the_session(self):
        for text in ("SET standard_conforming_strings = off", "SET client_encoding = 'LATIN1'",
                     "SELECT set_config('standard_conforming_strings', 'off', false)",
                     "BEGIN; SET LOCAL standard_conforming_strings = off"):
            raw = self.gate.raw(startup=AGENT)
            raw.ready()
            raw.send(query(text) + query("SELECT 'x\\', 'y'"))
            assert "was changed" in refused(raw.end(), "0A000", "FATAL")
            assert "x\\\\', 'y'" not in self.gate.asked()

    def within_one_run_a_changed_setting_misreads_nothing(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        changes = "SELECT set_config('standard_conforming_strings', 'off', true)"
        raw.send(run(changes) + run("SELECT 'a\\', 'b'") + SYNC)
        # The server tells of the change when the run has ended; by then it was rolled back.
        found = raw.ready()
        refused(found, "0A000")
        raw.send(run("SELECT 'c\\', 'd'") + SYNC)
        assert column(rows(raw.ready())[0]) == b"c\\"
        raw.send(run("SELECT 1") + run("SELECT 'e\\'") + SYNC)
        assert kinds(raw.ready()) == "12DC12DCZ", "what keeps settings is no reason to refuse"

    def a_copy_brings_no_more_than_was_permitted(self):
        self.server.sql("TRUNCATE items")
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(query("COPY items FROM STDIN /* cap */"))
        assert raw.receive()[0] == b"G"
        for n in range(50):
            try:
                raw.send(message(b"d", f"{n}\t{'x' * 100}\n".encode()))
            except OSError:
                break
        refused(raw.end(), "54000", "FATAL")
        assert self.count() == 0

    def data_without_a_copy_is_dropped(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(message(b"d", b"1\tx\n") + message(b"c") + message(b"f", b"no\0") + query("SELECT 1"))
        assert kinds(raw.ready()) == "TDCZ"

    def a_copy_by_the_extended_protocol_overlooks_its_sync(self):
        self.server.sql("TRUNCATE items")
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(run(" ; /* a */ copy items FROM STDIN") + SYNC)
        assert kinds([raw.receive() for _ in range(3)]) == "12G"
        raw.send(message(b"d", b"1\tx\n") + message(b"c") + SYNC)
        assert kinds(raw.ready()) == "CZ" and self.count() == 1
        raw.send(run("COPY items FROM STDIN") + SYNC + message(b"f", b"not now\0") + SYNC)
        found = raw.ready()
        assert kinds(found) == "12GEZ", kinds(found)
        raw.send(run("COPY items TO STDOUT") + SYNC)
        assert kinds(raw.ready()) == "12HdcCZ"
        raw.send(query("COPY items FROM STDIN") + query("SELECT 1"))
        refused(raw.end(), "08P01", "FATAL")

    def a_key_that_is_not_ones_own_cancels_nothing(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(query("SELECT pg_sleep(1.5)"))
        process, secret = raw.key[:4], raw.key[4:]
        for body in (process + bytes(4), process + bytes([secret[0] ^ 1]) + secret[1:], process + secret + b"\0",
                     process + secret[:3], b"\0\0\0\1" + secret):
            other = self.gate.raw()
            other.send(struct.pack("!ii", len(body) + 8, 80877102) + body)
            assert other.end() == []
        assert kinds(raw.ready()) == "TDCZ"
        own = self.server.sql("SELECT count(*) FROM pg_stat_activity WHERE pid = "
                              f"{struct.unpack('!i', process)[0]}")
        assert own == "0", "the client's key is not the server's"

    def a_denial_in_a_run_undoes_what_came_before_it(self):
        self.fill()
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(run("DELETE FROM items WHERE id = 1") + run("DELETE FROM items /* deny */") + run("SELECT 1") + SYNC)
        found = raw.ready()
        assert kinds(found) == "12C1EZ" and found[-1][1] == b"I", kinds(found)
        assert self.count() == 100, "the run is one transaction, and failed"
        raw.send(parse("", "SELECT 1 /* unpreparable */") + SYNC + query("SELECT 2"))
        refused(raw.ready(), "42501")
        assert kinds(raw.ready()) == "TDCZ"

    def flush_gets_answers_without_ending_the_run(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(parse("", "SELECT $1::int") + message(b"D", b"S\0") + FLUSH)
        assert kinds([raw.receive() for _ in range(3)]) == "1tT"
        raw.send(bind("p", "", b"7") + message(b"D", b"Pp\0") + message(b"E", b"p\0\0\0\0\1") + FLUSH)
        assert kinds([raw.receive() for _ in range(4)]) == "2TDs"
        raw.send(execute("p") + message(b"C", b"Pp\0") + SYNC)
        assert kinds(raw.ready()) == "C3Z"

    def what_a_session_costs_while_it_is_idle(self):
        before, idle = self.gate.memory(), []
        for _ in range(60):
            raw = self.gate.raw(startup=AGENT)
            raw.ready()
            raw.send(query("SELECT repeat('x', 3000) FROM generate_series(1, 100)"))
            raw.ready()
            idle.append(raw)
        each = (self.gate.memory() - before) / len(idle)
        assert each < 100_000, f"{each:.0f} bytes for a session"
        print(f"        an idle session: {each:.0f} bytes", flush=True)
        for raw in idle:
            raw.socket.close()

    def a_client_that_does_not_read_costs_no_more(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        before = self.gate.memory()
        raw.send(query("SELECT repeat('x', 1000000) FROM generate_series(1, 300)"))
        time.sleep(2)
        grown = self.gate.memory() - before
        assert grown < 4_000_000, f"{grown} bytes"
        assert len(rows(raw.ready())) == 300

    def connections_are_limited(self):
        gate = Gate(self.server, "--connections", "2")
        try:
            first, second = gate.raw(startup=AGENT), gate.raw(startup=AGENT)
            first.ready(), second.ready()
            refused(gate.raw(startup=AGENT).end(), "53300", "FATAL")
            # Work can be cancelled all the same.
            first.send(query("SELECT pg_sleep(65)"))
            gate.is_asked("pg_sleep(65)")
            time.sleep(0.3)
            other = gate.raw()
            other.send(struct.pack("!ii", len(first.key) + 8, 80877102) + first.key)
            assert other.end() == []
            refused(first.ready(), "57014")
            first.send(message(b"X"))

            def enters():
                try:
                    return kinds(gate.raw(startup=AGENT).ready()).endswith("Z")
                except EOFError:
                    return False

            until("there is a place again", enters)
        finally:
            gate.stop()

    def a_gate_that_stops_lets_transactions_finish(self):
        gate = Gate(self.server)
        idle, busy = gate.raw(startup=AGENT), gate.raw(startup=AGENT)
        idle.ready(), busy.ready()
        busy.send(query("BEGIN") + query("SELECT 1"))
        busy.ready(), busy.ready()
        gate.process.send_signal(signal.SIGINT)
        refused(idle.end(), "57P01", "FATAL")
        busy.send(query("SELECT 2"))
        assert kinds(busy.ready()) == "TDCZ"
        busy.send(query("COMMIT"))
        found = busy.end()
        assert kinds(found) == "CZE", kinds(found)
        assert gate.process.wait(PATIENCE) == 0

    def a_server_that_is_gone_is_told(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        raw.send(query("SELECT pg_terminate_backend(pg_backend_pid())"))
        refused(raw.end(), "57P01", "FATAL")
        gate = Gate(self.server, host="127.0.0.1")
        try:
            raw = gate.raw().start({"user": "agent", "database": "no such database"})
            refused(raw.end(), "3D000", "FATAL")
        finally:
            gate.stop()


def make_certificate(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    return files


def main():
    tally, server = Tally(), Postgres().start()
    only = sys.argv[1:]
    story = None
    try:
        story = Story(server)
        for name in [name for name, value in vars(Story).items() if callable(value)]:
            if name in ("__init__", "fill", "count", "quiet") or only and name not in only:
                continue
            tally.check(name, getattr(story, name))
    finally:
        if story:
            story.gate.stop()
        server.stop()
    tally.close()


if __name__ == "__main__":
    main()
