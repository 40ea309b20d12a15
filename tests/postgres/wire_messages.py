"""The PostgreSQL gate against raw bytes: every row of the list of known bypasses that is the wire's, and limits."""

import signal
import socket
import ssl
import struct
import tempfile
import time
from pathlib import Path

import psycopg

from harness import (AGENT, FLUSH, PATIENCE, SYNC, TOKEN, Background, Gate, bind, column, error, execute, kinds, make_certificate, message,
                     parse,
                     query, refused, rows, run, string, until)


class Messages:
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
        if self.server.sql("SHOW server_version_num") < "140000":
            # It tells of a change at once, and the session ends.
            refused(raw.end(), "0A000", "FATAL")
            return
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
        certificate, key = make_certificate(Path(tempfile.mkdtemp(prefix="countersign-tls-")))
        for flags in ((), ("--tls", str(certificate), str(key))):
            gate = Gate(self.server, *flags)
            try:
                before, idle = 0, []
                for number in range(70):
                    # The first ones bring in what all share.
                    before = gate.memory() if number == 10 else before
                    raw = gate.raw()
                    if flags:
                        raw.send(struct.pack("!ii", 8, 80877103))
                        assert raw.exactly(1) == b"S"
                        context = ssl.create_default_context(cafile=str(certificate))
                        raw.socket = context.wrap_socket(raw.socket, server_hostname="localhost")
                    raw.start(AGENT)
                    raw.ready()
                    raw.send(query("SELECT repeat('x', 3000) FROM generate_series(1, 100)"))
                    raw.ready()
                    idle.append(raw)
                each = (gate.memory() - before) / 60
                assert each < 100_000, f"{each:.0f} bytes for a session"
                print(f"        an idle session {'over TLS' if flags else 'in the clear'}: {each:.0f} bytes", flush=True)
                for raw in idle:
                    raw.socket.close()
            finally:
                gate.stop()

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

    def each_principal_has_so_many_connections(self):
        gate = Gate(self.server, "--each", "2")
        try:
            first, second = gate.raw(startup=AGENT), gate.raw(startup=AGENT)
            first.ready(), second.ready()
            assert "agent has 2 connections already" in refused(gate.raw(startup=AGENT).end(), "53300", "FATAL")
            other = gate.raw(startup={**AGENT, "user": "another"})
            other.ready()
            first.send(message(b"X"))

            def enters():
                try:
                    return kinds(gate.raw(startup=AGENT).ready()).endswith("Z")
                except EOFError:
                    return False

            until("there is a place again", enters)
        finally:
            gate.stop()

    def a_held_session_gives_its_connection_back(self):
        self.fill()

        def at_server(name):
            return self.server.sql(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'")

        for name, first, left in (("pure", "SELECT 1 /* pure */", "0"), ("marked", "SELECT 1", "1")):
            mark = self.gate.mark()
            raw = self.gate.raw(startup={**AGENT, "application_name": name, "DateStyle": "German"})
            raw.ready()
            raw.send(query(first))
            raw.ready()
            raw.send(run(f"DELETE FROM items WHERE id = {self.gate.held} {mark}") + SYNC + query("SELECT date '2026-01-02'"))
            self.gate.is_asked(mark)
            until(f"{left} connections of {name}", lambda: at_server(name) == left)
            before = self.count()
            self.gate.say("approve")
            assert kinds(raw.ready()) in ("N12CZ", "12CZ")
            assert self.count() == before - 1 and at_server(name) == "1"
            assert column(rows(raw.ready())[0]) == b"02.01.2026", "the settings of its startup are there again"
        # What is denied, and what is prepared at the server already.
        mark = self.gate.mark()
        raw = self.gate.raw(startup={**AGENT, "application_name": "denied"})
        raw.ready()
        raw.send(query(f"DELETE FROM items {mark}") + query("SELECT 1"))
        until("no connection", lambda: mark in self.gate.asked() and at_server("denied") == "0")
        self.gate.say("deny")
        refused(raw.ready()[1:], "42501")
        assert kinds(raw.ready()) == "TDCZ"
        mark = self.gate.mark()
        raw = self.gate.raw(startup={**AGENT, "application_name": "prepared"})
        raw.ready()
        raw.send(parse("s", f"DELETE FROM items WHERE id = 50 {mark}") + SYNC)
        raw.ready()
        raw.send(bind("", "s") + execute() + SYNC)
        self.gate.is_asked(mark + '" Some')
        time.sleep(0.3)
        assert at_server("prepared") == "1"
        # Whoever leaves, or cancels, runs nothing on the way back either.
        self.gate.say("approve")
        raw.ready()
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
            assert client.execute("SELECT count(*) > 90 FROM items").fetchone() == (True,)

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
