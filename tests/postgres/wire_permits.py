"""The PostgreSQL gate: what is asked of the server before a statement, what it may do, and who hears how it ended."""

import hashlib
import re
import time

import psycopg

from harness import (FLUSH, SYNC, Background, bind, column, execute, kinds, message, parse, query, refused,
                     rows, run, until)


class Permits:
    # Looks

    def a_look_is_not_seen_by_the_client(self):
        sql = "SELECT current_user, current_setting('search_path'), NULL"
        raw = self.entered()
        raw.send(query(f"SELECT 7 /* look {sql} */"))
        found = raw.ready()
        assert kinds(found) == "TDCZ" and column(rows(found)[0]) == b"7", kinds(found)
        learned = (self.gate.folder / "learned").read_text().splitlines()[-1]
        assert learned == 'Ok([[Some(b"countersign"), Some(b"\\"$user\\", public"), None]])', learned
        raw.send(query("SELECT count(*) FROM pg_prepared_statements") + query("SELECT count(*) FROM pg_cursors"))
        assert [column(rows(raw.ready())[0]) for _ in range(2)] == [b"0", b"0"], "nothing is left of it"
        # Its notices and its failure stay here.
        noisy = "SELECT pg_temp.loud()"
        raw.send(query("CREATE FUNCTION pg_temp.loud() RETURNS int LANGUAGE plpgsql AS "
                       "$$ BEGIN RAISE NOTICE 'a secret'; RETURN 1; END $$"))
        raw.ready()
        for sql in (noisy, "SELECT no_such_column", "SELECT 1/0", "SELECT FROM generate_series(1, 20000)",
                    "SELECT repeat('x', 3000000)"):
            raw.send(query(f"SELECT 8 /* look {sql} */"))
            found = raw.ready()
            assert kinds(found) == "TDCZ", (sql, found)
        learned = (self.gate.folder / "learned").read_text().splitlines()[-4:]
        for line, state in zip(learned, ("42703", "22012", "54000", "54000")):
            assert str(list(state.encode())) in line or state in line, line

    def a_look_is_in_the_sessions_transaction(self):
        self.fill()
        raw = self.entered()
        look = "/* look SELECT count(*) FROM items */"
        raw.send(query("BEGIN") + query("DELETE FROM items WHERE id < 11") + query(f"SELECT 1 {look}") + query("ROLLBACK"))
        assert [kinds(raw.ready()) for _ in range(4)] == ["CZ", "CZ", "TDCZ", "CZ"]
        assert '[Some(b"90")]' in (self.gate.folder / "learned").read_text().splitlines()[-1]
        # Within a run whose statements are with the server already.
        raw.send(run("DELETE FROM items WHERE id < 21") + FLUSH)
        assert kinds([raw.receive() for _ in range(3)]) == "12C"
        raw.send(run(f"SELECT 2 {look}") + SYNC)
        assert kinds(raw.ready()) == "12DCZ"
        assert '[Some(b"80")]' in (self.gate.folder / "learned").read_text().splitlines()[-1]
        assert self.count() == 80
        # And with nothing sent: by itself, before what is kept back.
        raw.send(run("DELETE FROM items WHERE id < 31") + run(f"SELECT 3 {look}") + SYNC)
        assert kinds(raw.ready()) == "12C12DCZ"
        assert '[Some(b"80")]' in (self.gate.folder / "learned").read_text().splitlines()[-1]

    def a_look_that_fails_fails_the_transaction_that_it_is_in(self):
        self.fill()
        raw = self.entered()
        raw.send(query("BEGIN") + query("DELETE FROM items") + query("SELECT 1 /* look SELECT 1/0 */"))
        raw.ready(), raw.ready()
        found = raw.ready()
        assert "could not ask" in refused(found, "22012") and found[-1][1] == b"E"
        raw.send(query("SELECT 1 /* look SELECT 1 */") + query("ROLLBACK") + query("SELECT 9"))
        refused(raw.ready(), "25P02")
        assert [kinds(raw.ready()) for _ in range(2)] == ["CZ", "TDCZ"]
        raw.send(run("DELETE FROM items") + FLUSH)
        assert kinds([raw.receive() for _ in range(3)]) == "12C"
        raw.send(run("SELECT 1 /* look SELECT 1/0 */") + run("SELECT 2") + SYNC)
        found = raw.ready()
        refused(found, "22012")
        assert kinds(found) == "1EZ" and found[-1][1] == b"I" and self.count() == 100

    def a_look_can_be_cancelled(self):
        with self.gate.psycopg() as client:
            call = Background(lambda: client.execute("SELECT 1 /* look SELECT pg_sleep(66) */"))
            until("it looks", lambda: "pg_sleep(66)" in self.server.sql("SELECT query FROM pg_stat_activity"))
            client.cancel()
            try:
                call.done()
                raise AssertionError("it was not cancelled")
            except psycopg.errors.QueryCanceled:
                pass
            assert client.execute("SELECT 1").fetchone() == (1,)

    def what_is_decided_later_waits_in_order_and_inside_a_transaction(self):
        raw = self.entered()
        raw.send(query("BEGIN") + query("SELECT 1") + query("SELECT 2 /* later */") + query("COMMIT") + run("SELECT 3 /* later */")
                 + run("SELECT 4") + SYNC)
        assert [kinds(raw.ready()) for _ in range(5)] == ["CZ", "TDCZ", "TDCZ", "CZ", "12DC12DCZ"]

    # Watches

    def whoever_watches_is_told_how_it_ended(self):
        self.fill()
        raw = self.entered()
        raw.send(query("DELETE FROM items WHERE id < 6 RETURNING id /* watch returning */"))
        raw.ready()
        assert self.ended("returning") == 'Complete { tags: [b"DELETE 5"], rows_returned: 5, copied: None, open: false }'
        raw.send(query("SELECT 1; UPDATE items SET name = 'x' WHERE id = 7 /* watch several */"))
        raw.ready()
        assert 'tags: [b"SELECT 1", b"UPDATE 1"], rows_returned: 1' in self.ended("several")
        raw.send(query("SELECT 1/0 /* watch failed */"))
        raw.ready()
        assert 'message: "division by zero"' in self.ended("failed")
        raw.send(query("BEGIN") + query("DELETE FROM items /* watch open */") + query("ROLLBACK"))
        raw.ready(), raw.ready(), raw.ready()
        assert "open: true" in self.ended("open")
        raw.send(run("DELETE FROM items /* watch undone */") + run("SELECT 1/0") + SYNC)
        raw.ready()
        assert self.ended("undone").startswith("Failed"), "what came behind it in its run took it back"
        raw.send(parse("", "SELECT 1 /* watch never */") + bind("", "") + SYNC)
        raw.ready()
        assert self.ended("never") == "NotRun"
        raw.send(run("SELECT 1/0") + run("SELECT 1 /* watch skipped */") + SYNC)
        raw.ready()
        assert self.ended("skipped") == "NotRun"

    def a_portal_that_is_asked_for_in_parts_ends_once(self):
        raw = self.entered()
        raw.send(parse("", "SELECT generate_series(1, 10) /* watch parts */") + bind("p", ""))
        part = message(b"E", b"p\0\0\0\0\4")
        raw.send(part + part + part + SYNC)
        assert kinds(raw.ready()) == "12DDDDsDDDDsDDCZ"
        assert 'tags: [b"SELECT 2"], rows_returned: 10' in self.ended("parts")
        raw.send(parse("", "SELECT generate_series(1, 10) /* watch dropped */") + bind("p", "") + part + SYNC)
        assert kinds(raw.ready()) == "12DDDDsZ"
        assert self.ended("dropped") == "Complete { tags: [], rows_returned: 4, copied: None, open: false }"

    def a_watch_outlives_its_statement_when_the_connection_does_not(self):
        self.fill()
        raw = self.entered()
        raw.send(query("SELECT pg_terminate_backend(pg_backend_pid()) /* watch killed */"))
        raw.end()
        assert re.match("Unknown|Failed", self.ended("killed"))
        raw = self.entered()
        raw.send(query("SELECT pg_sleep(67) /* watch left */"))
        self.gate.is_asked("watch left")
        time.sleep(0.3)
        raw.socket.close()
        raw = self.entered()
        raw.send(query("DELETE FROM items WHERE id = 9 AND pg_sleep(1) IS NOT NULL /* watch heard-out */"))
        self.gate.is_asked("watch heard-out")
        time.sleep(0.3)
        raw.socket.close()
        assert 'tags: [b"DELETE 1"]' in self.ended("heard-out") and self.count() == 99
        self.fill()
        assert self.ended("left").startswith("Unknown")
        raw = self.entered()
        raw.send(parse("", "DELETE FROM items /* watch unsent */") + bind("", "") + execute())
        self.gate.is_asked("watch unsent")
        time.sleep(0.1)
        raw.socket.close()
        assert self.ended("unsent") == "NotRun" and self.count() == 100
        with self.gate.psycopg() as client:
            call = Background(lambda: client.execute("SELECT pg_sleep(68) /* watch cancelled */"))
            self.gate.is_asked("watch cancelled")
            time.sleep(0.3)
            client.cancel()
            try:
                call.done()
            except psycopg.errors.QueryCanceled:
                pass
            assert "canceling statement" in self.ended("cancelled")

    def copied_data_has_one_digest_however_it_is_cut(self):
        self.server.sql("TRUNCATE items")
        data = "".join(f"{n}\tname {n}\n" for n in range(3000)).encode()
        digest = ", ".join(str(byte) for byte in hashlib.sha256(data).digest())
        raw = self.entered()
        raw.send(query("COPY items FROM STDIN /* watch whole */"))
        assert raw.receive()[0] == b"G"
        raw.send(message(b"d", data) + message(b"c"))
        raw.ready()
        raw.send(query("TRUNCATE items"))
        raw.ready()
        raw.send(run("COPY items FROM STDIN /* watch parts-of-copy */"))
        raw.send(SYNC)
        assert kinds([raw.receive() for _ in range(3)]) == "12G"
        for at in range(0, len(data), 777):
            raw.send(message(b"d", data[at:at + 777]))
        raw.send(message(b"c") + SYNC)
        assert kinds(raw.ready()) == "CZ" and self.count() == 3000
        for name in ("whole", "parts-of-copy"):
            told = self.ended(name)
            assert f"copied: Some(Copied {{ bytes: {len(data)}, sha256: [{digest}] }})" in told, told

    # Rechecks

    def what_is_not_as_it_was_does_not_run(self):
        self.fill()
        count = "/* recheck SELECT count(*) FROM items = {} */"
        raw = self.entered()
        raw.send(query(f"DELETE FROM items WHERE id = 1 /* watch stale */ {count.format(99)}"))
        found = raw.ready()
        assert "not what was approved" in refused(found, "40001") and kinds(found) == "EZ" and found[-1][1] == b"I"
        assert self.count() == 100 and self.ended("stale").startswith("Failed")
        # What the statement itself changes is looked at behind it, before it is committed.
        for send in (query, lambda text: run(text) + SYNC):
            raw.send(send(f"DELETE FROM items WHERE id = 1 {count.format(100)}"))
            found = raw.ready()
            refused(found, "40001")
            assert found[-1][1] == b"I" and self.count() == 100
        same = "/* recheck SELECT 'same' = same */"
        raw.send(query(f"DELETE FROM items WHERE id = 1 RETURNING name /* watch same */ {same}"))
        found = raw.ready()
        assert kinds(found) == "TDCZ" and found[-1][1] == b"I" and self.count() == 99, kinds(found)
        assert self.ended("same") == 'Complete { tags: [b"DELETE 1"], rows_returned: 1, copied: None, open: false }'
        raw.send(run(f"DELETE FROM items WHERE id = 2 {same}") + run(f"DELETE FROM items WHERE id = 3 {same}") + SYNC)
        found = raw.ready()
        assert kinds(found) == "12C12CZ" and found[-1][1] == b"I" and self.count() == 97, kinds(found)
        # A simple query behind it in the same run, and one that fails, and one that is refused.
        raw.send(run(f"DELETE FROM items WHERE id = 4 {same}") + query("SELECT 1"))
        found = raw.ready()
        assert kinds(found) == "12CTDCZ" and found[-1][1] == b"I" and self.count() == 96, kinds(found)
        for text in ("SELECT 1/0", "SELECT 1 /* deny */", "SELECT 1 /* look SELECT 1/0 */"):
            raw.send(run(f"DELETE FROM items WHERE id = 5 {same}") + run(text) + SYNC)
            found = raw.ready()
            assert kinds(found) in ("12C12EZ", "12C1EZ") and found[-1][1] == b"I" and self.count() == 96, kinds(found)
        raw.send(query("SELECT 'on'"))
        assert kinds(raw.ready()) == "TDCZ"

    def a_function_replaced_while_the_statement_runs_is_noticed(self):
        self.fill()
        self.server.sql("CREATE OR REPLACE FUNCTION slow(n int) RETURNS bool LANGUAGE plpgsql AS "
                        "$$ BEGIN PERFORM pg_sleep(1.5); RETURN true; END $$")
        digest = self.server.sql("SELECT md5(prosrc || xmin) FROM pg_proc WHERE proname = 'slow'")
        recheck = f"/* recheck SELECT md5(prosrc || xmin) FROM pg_proc WHERE proname = 'slow' = {digest} */"
        raw = self.entered()
        raw.send(query(f"DELETE FROM items WHERE id = 5 AND slow(1) {recheck}"))
        self.gate.is_asked("AND slow(1)")
        time.sleep(0.5)
        self.server.sql("CREATE OR REPLACE FUNCTION slow(n int) RETURNS bool LANGUAGE sql AS 'SELECT true'")
        refused(raw.ready(), "40001")
        assert self.count() == 100

    def within_the_clients_transaction_a_recheck_fails_that(self):
        self.fill()
        raw = self.entered()
        stale = "/* recheck SELECT 1 = 2 */"
        raw.send(query("BEGIN") + query("DELETE FROM items WHERE id < 50") + query(f"DELETE FROM items {stale}"))
        raw.ready(), raw.ready()
        found = raw.ready()
        refused(found, "40001")
        assert found[-1][1] == b"E"
        raw.send(query("COMMIT"))
        assert b"ROLLBACK" in raw.ready()[0][1] and self.count() == 100
        # A transaction that was begun in the same run is the client's too, and stays open.
        same = "/* recheck SELECT 1 = 1 */"
        raw.send(run("BEGIN") + run(f"DELETE FROM items WHERE id = 1 {same}") + SYNC)
        found = raw.ready()
        assert found[-1][1] == b"T", found
        raw.send(query("ROLLBACK"))
        raw.ready()
        assert self.count() == 100
        raw.send(run("BEGIN") + run("COMMIT") + run(f"DELETE FROM items WHERE id = 1 {same}") + SYNC)
        refused(raw.ready(), "0A000")
        assert self.count() == 100

    # Bounds

    def a_statement_does_what_was_approved_or_nothing(self):
        self.fill()
        raw = self.entered()
        for send in (query, lambda text: run(text) + SYNC):
            raw.send(send("DELETE FROM items WHERE id < 11 RETURNING name /* rows 1-9 */"))
            found = raw.ready()
            refused(found, "40001")
            assert "D" not in kinds(found) and found[-1][1] == b"I" and self.count() == 100, "no row has left"
        raw.send(query("DELETE FROM items WHERE id < 11 RETURNING name /* rows 10-10 */ /* watch bound */"))
        found = raw.ready()
        assert kinds(found) == "T" + "D" * 10 + "CZ" and self.count() == 90
        assert "open: false" in self.ended("bound")
        # Rows at once do not limit what has to be counted.
        raw.send(parse("", "DELETE FROM items WHERE id < 21 RETURNING name /* rows 10-10 */") + bind("", "")
                 + message(b"E", b"\0\0\0\0\1") + SYNC)
        assert kinds(raw.ready()) == "12" + "D" * 10 + "CZ" and self.count() == 80
        with self.gate.psycopg() as client:
            try:
                client.execute("UPDATE items SET name = 'x' WHERE id > %s /* rows 0-3 */", [50])
                raise AssertionError("it was committed")
            except psycopg.errors.SerializationFailure as failure:
                assert "50 rows were affected, and at most 3 were approved" in failure.diag.message_detail, failure.diag.message_detail
            assert client.execute("SELECT count(*) FROM items WHERE name = 'x'").fetchone() == (0,)
            assert client.execute("UPDATE items SET name = 'x' WHERE id > %s /* rows 50-50 */", [50]).rowcount == 50

    def what_triggers_do_is_counted_too(self):
        self.fill()
        self.server.sql("DROP TABLE IF EXISTS shadows; CREATE TABLE shadows (id int);"
                        "CREATE OR REPLACE FUNCTION shadow() RETURNS trigger LANGUAGE plpgsql AS "
                        "$$ BEGIN INSERT INTO shadows VALUES (OLD.id); RETURN OLD; END $$;"
                        "CREATE TRIGGER shadow BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION shadow()")
        items = self.server.sql("SELECT 'items'::regclass::oid")
        try:
            raw = self.entered()
            text = f"DELETE FROM items WHERE id < 4 /* table {items} 0 0 3 */"
            raw.send(query(text))
            refused(raw.ready(), "40001")
            assert self.count() == 100 and self.server.sql("SELECT count(*) FROM shadows") == "0"
            self.server.sql("DROP TRIGGER shadow ON items")
            raw.send(query(text))
            assert kinds(raw.ready()) == "CZ" and self.count() == 97
            # What the transaction did before is not this statement's.
            raw.send(query("BEGIN") + query("INSERT INTO shadows VALUES (1)")
                     + query(f"DELETE FROM items WHERE id = 4 /* table {items} 0 0 1 */") + query("COMMIT"))
            assert [kinds(raw.ready()) for _ in range(4)] == ["CZ"] * 4 and self.count() == 96
            raw.send(query("SET track_counts = off"))
            raw.ready()
            raw.send(query(f"DELETE FROM items WHERE id = 5 /* table {items} 0 0 1 */"))
            refused(raw.ready(), "0A000")
        finally:
            self.server.sql("DROP TRIGGER IF EXISTS shadow ON items; DROP TABLE shadows")
        assert self.count() == 96

    def what_cannot_be_rolled_back_says_so_beforehand(self):
        self.fill()
        self.server.sql("CREATE OR REPLACE PROCEDURE commits() LANGUAGE plpgsql AS "
                        "$$ BEGIN DELETE FROM items; COMMIT; END $$")
        raw = self.entered()
        for text, state in (("VACUUM items", "25001"), ("CALL commits()", "2D000"), ("DELETE FROM items; SELECT 1", "42601")):
            raw.send(query(f"{text} /* rows 0-0 */"))
            found = raw.ready()
            refused(found, state)
            assert found[-1][1] == b"I" and self.count() == 100
        raw.send(query("SELECT 'the session goes on'"))
        assert kinds(raw.ready()) == "TDCZ"

    def more_rows_than_are_kept_are_not_given(self):
        raw = self.entered()
        raw.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 10000) /* rows 0-100000 */"))
        found = raw.ready()
        refused(found, "54000")
        assert "D" not in kinds(found)

    def a_commit_that_fails_gives_nothing(self):
        self.server.sql("DROP TABLE IF EXISTS once; CREATE TABLE once (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        raw = self.entered()
        raw.send(query("INSERT INTO once VALUES (1), (1) RETURNING id /* rows 2-2 */ /* watch deferred */"))
        found = raw.ready()
        refused(found, "23505")
        assert kinds(found) == "EZ" and found[-1][1] == b"I"
        assert "duplicate key" in self.ended("deferred")
        raw.send(run("INSERT INTO once VALUES (1), (1) RETURNING id /* rows 2-2 */") + SYNC)
        found = raw.ready()
        refused(found, "23505")
        assert found[-1][1] == b"I" and self.server.sql("SELECT count(*) FROM once") == "0"

    def a_bound_copy_is_a_statement_like_others(self):
        self.server.sql("TRUNCATE items")
        raw = self.entered()
        for wanted, left in ((3, 0), (2, 2)):
            raw.send(query(f"COPY items FROM STDIN /* rows {wanted}-{wanted} */"))
            assert raw.receive()[0] == b"G"
            raw.send(message(b"d", b"1\ta\n2\tb\n") + message(b"c"))
            found = raw.ready()
            assert kinds(found) == ("CZ" if left else "EZ"), found
            assert self.count() == left

    def whoever_leaves_in_the_midst_of_a_check_commits_only_what_was_approved(self):
        self.fill()
        for bound, left in (("2-9", 100), ("1-1", 99)):
            raw = self.entered()
            text = f"DELETE FROM items WHERE id = 3 AND pg_sleep(1) IS NOT NULL /* rows {bound} */ /* watch gone-{bound} */"
            raw.send(query(text))
            self.gate.is_asked(text)
            time.sleep(0.3)
            raw.socket.close()
            assert self.ended(f"gone-{bound}").startswith("Failed" if left == 100 else "Complete")
            until("it is as it was decided", lambda: self.count() == left)

    # Results

    def a_column_is_masked_in_text_and_binary(self):
        self.fill()
        text = "SELECT id, name FROM items WHERE id < $1 ORDER BY id /* mask name */"
        with self.gate.psycopg() as client:
            for binary in (False, True):
                found = client.execute(text.replace("$1", "%s"), [3], binary=binary).fetchall()
                assert found == [(1, "***"), (2, "***")], found
            for name, value in (("prepared", "***"), ("prepared", "***")):
                found = client.execute(text.replace("$1", "%s"), [2], prepare=True).fetchall()
                assert found == [(1, value)], (name, found)
        answer = self.gate.psql("SELECT name, id FROM items WHERE id = 1 /* mask name */")
        assert answer.stdout.strip() == "***|1", answer
        answer = self.gate.psql("DELETE FROM items WHERE id = 1 RETURNING name /* mask name */ /* rows 1-1 */")
        assert answer.stdout.strip() == "***" and self.count() == 99, answer
        raw = self.entered()
        # A statement whose columns the client never asks for, and a portal in parts.
        raw.send(parse("", "SELECT name FROM items ORDER BY id /* mask name */") + bind("p", "")
                 + message(b"E", b"p\0\0\0\0\2") * 2 + SYNC)
        found = raw.ready()
        assert kinds(found) == "12DDsDDsZ" and {column(row) for row in rows(found)} == {b"***"}, found
        raw.send(query("COPY items TO STDOUT /* mask name */"))
        found = raw.ready()
        refused(found, "0A000")
        assert "d" not in kinds(found)

    def a_masked_query_streams(self):
        raw = self.entered()
        before = self.gate.memory()
        raw.send(query("SELECT n, repeat('y', 100000) AS name FROM generate_series(1, 2000) n /* mask name */"))
        time.sleep(1)
        grown = self.gate.memory() - before
        assert grown < 6_000_000, f"{grown} bytes"
        assert len(rows(raw.ready())) == 2000
        raw.send(query("SELECT repeat('y', 20000000) AS name /* mask name */"))
        refused(raw.ready(), "54000")

    def rows_are_limited(self):
        self.fill()
        raw = self.entered()
        raw.send(query("SELECT id FROM items ORDER BY id /* most 5 */"))
        found = raw.ready()
        assert kinds(found) == "TDDDDDNCZ", kinds(found)
        raw.send(query("SELECT id FROM items ORDER BY id /* most 100 */"))
        assert kinds(raw.ready()) == "T" + "D" * 100 + "CZ"
        raw.send(query("SELECT id FROM items /* only 5 */ /* watch rows */"))
        found = raw.ready()
        refused(found, "54000")
        assert kinds(found) == "TDDDDDEZ" and self.ended("rows").startswith("Failed")
        raw.send(run("SELECT id FROM items /* only 5 */") + SYNC + query("SELECT 1"))
        refused(raw.ready(), "54000")
        assert kinds(raw.ready()) == "TDCZ"
