"""The PostgreSQL gate, as unmodified clients meet it: psql, psycopg, asyncpg and node-postgres."""

import asyncio
import json
import os
import subprocess
import time

import asyncpg
import psycopg

from harness import PATIENCE, TOKEN, Background, Gate, until


class Clients:
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
