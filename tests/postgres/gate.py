"""PostgreSQL behind the gateway: a real `countersign up`, a real server, unmodified clients, and people with passkeys.

Reads pass; what removes waits for people, and runs once, in the session that asked; a denial is an error and the session
goes on. What is on record verifies offline, and the agent's own credential opens nothing but the gate.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import ROOT, House, Tally, free_port  # noqa: E402
from postgres import Postgres  # noqa: E402

PATIENCE = 20
POLICY = (ROOT / "policies" / "postgres.cedar").read_text()
APP_PASSWORD = "a password of the gateway alone"


def until(what, look, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.03)
    raise AssertionError(f"in {seconds} s not: {what}")


class Later:
    """Something that runs beside the test, and what came of it."""

    def __init__(self, work):
        self.value = self.error = None
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self.thread.start()

    def _run(self, work):
        try:
            self.value = work()
        except Exception as error:  # told to whoever asks
            self.error = error

    def result(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "it still waits"
        if self.error:
            raise self.error
        return self.value

    def waits(self):
        return self.thread.is_alive()


class Shop:
    """A deployment before one database, with an agent and two people."""

    def __init__(self):
        self.asked = []
        self.server = Postgres().start()
        self.server.sql("CREATE DATABASE shop")
        for statement in (
            f"CREATE ROLE app LOGIN PASSWORD '{APP_PASSWORD}'",
            "CREATE TABLE orders (id int PRIMARY KEY, note text)",
            "CREATE TABLE users (id int PRIMARY KEY, email text)",
            "COMMENT ON COLUMN users.email IS 'countersign: pii'",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO app; GRANT CREATE ON SCHEMA public TO app",
            "INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 1000) AS n",
        ):
            self.server.sql(statement, "shop")
        self.port = free_port()
        config = (f'[postgres]\nlisten = "127.0.0.1:{self.port}"\n'
                  '[secrets]\nshop = { env = "SHOP_PASSWORD" }\n')
        self.house = House(config, env={"SHOP_PASSWORD": APP_PASSWORD}).start()
        admin = self.house.bootstrap(groups=("dba",))
        self.bea = self.house.add_person("Bea", groups=("dba",))
        self.admin = admin
        self.document = {
            "point": "postgres", "name": "shop", "server": f"127.0.0.1:{self.server.port}", "user": "app",
            "credential": {"secret": "shop"}, "tls": "loopback", "environment": "prod",
            "exact_preview": True,
        }
        self.house.set_route("shop", self.document)
        self.house.apply_policy(POLICY)
        self.agent = self.house.add_agent()
        self.log = self.house.folder / "stderr.log"

    def connect(self, agent=None, **more):
        more = {"host": "127.0.0.1", "port": self.port, "user": "agent", "password": (agent or self.agent).token(),
                "dbname": "shop", "autocommit": True, "connect_timeout": PATIENCE, **more}
        return psycopg.connect(**more)

    def psql(self, *commands):
        words = [part for command in commands for part in ("-c", command)]
        return subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "agent", "-d", "shop", *words],
            capture_output=True, text=True, env={**os.environ, "PGPASSWORD": self.agent.token()}, timeout=PATIENCE * 2)

    def held(self):
        """The approval that is asked for now, and was not before."""
        self.asked.append(self.bea.wait_for_pending(besides=self.asked))
        return self.asked[-1]

    def rows(self, where):
        return int(self.server.sql(f"SELECT count(*) FROM orders WHERE {where}", "shop"))

    def payload(self, approval):
        parts = {}
        for part in self.bea.approval(approval)["card"]["payload"]:
            text = part.get("text") or {}
            parts[part["path"]] = "".join(piece["text"] for piece in text.get("pieces", []) if piece["kind"] == "plain")
        return parts

    def finished(self, approval):
        return until(f"{approval} is at its end", lambda: self.approval_at_end(approval))

    def approval_at_end(self, approval):
        case = self.bea.approval(approval)
        return case if case["state"] in ("finished", "denied", "expired") else None

    def nothing_waits(self):
        assert self.bea.inbox() == [], self.bea.inbox()

    def stop(self):
        self.house.stop()
        self.server.stop()


def main():
    tally, shop = Tally(), Shop()
    try:
        run(tally, shop)
    finally:
        shop.stop()
        if tally.failed:
            print(shop.log.read_text()[-4000:])
    tally.close()


def run(tally, shop):
    def a_read_passes():
        shop_rows = until("the catalog is read", lambda: shop.psql("SELECT count(*) FROM orders").stdout.strip())
        assert shop_rows == "1000", shop_rows
        with shop.connect() as session:
            assert session.execute("SELECT note FROM orders WHERE id = %s", (7,)).fetchone() == ("order 7",)
        shop.nothing_waits()

    def a_deletion_is_held_and_runs_once():
        later = Later(lambda: shop.psql("DELETE FROM orders WHERE id = 1 RETURNING note"))
        approval = shop.held()
        assert later.waits() and shop.rows("id = 1") == 1
        payload = shop.payload(approval)
        assert payload["sql.text"] == "DELETE FROM orders WHERE id = 1 RETURNING note"
        for part in ("It cannot be undone", "rolled back just now, it wrote or returned 1 rows", "public.orders (table): sql.delete",
                     "The server expects about 1 rows"):
            assert part in payload["sql.preview"], payload["sql.preview"]
        assert shop.rows("id = 1") == 1
        shop.bea.approve(approval).expect(200)
        answer = later.result()
        assert answer.returncode == 0 and answer.stdout.strip() == "order 1", (answer.stdout, answer.stderr)
        assert "needs approval" in answer.stderr, answer.stderr
        case = shop.finished(approval)
        assert case["outcome"]["ending"] == "succeeded" and case["outcome"]["detail"] == "DELETE 1", case["outcome"]
        assert shop.rows("id = 1") == 0

    def a_denial_is_an_error_with_the_reviewers_words():
        with shop.connect() as session:
            later = Later(lambda: session.execute("DELETE FROM orders WHERE id = 2"))
            approval = shop.held()
            shop.bea.deny(approval, "order 2 is still open").expect(200)
            try:
                later.result()
                raise AssertionError("it was not denied")
            except psycopg.errors.InsufficientPrivilege as error:
                assert "order 2 is still open" in str(error), error
            # The session goes on, and hears the same without asking people again.
            assert session.execute("SELECT 1").fetchone() == (1,)
            try:
                session.execute("DELETE FROM orders WHERE id = 2")
                raise AssertionError("it ran")
            except psycopg.errors.InsufficientPrivilege as error:
                assert "order 2 is still open" in str(error), error
        assert shop.rows("id = 2") == 1
        shop.nothing_waits()

    def bound_values_are_what_is_approved():
        with shop.connect() as session:
            statement = "DELETE FROM orders WHERE id = %s AND note = %s"
            later = Later(lambda: session.execute(statement, (3, "order 3"), prepare=True).rowcount)
            approval = shop.held()
            payload = shop.payload(approval)
            assert payload["sql.text"] == "DELETE FROM orders WHERE id = $1 AND note = $2", payload
            assert payload.get("sql.value.002.text") == "order 3", sorted(payload)
            shop.bea.approve(approval).expect(200)
            assert later.result() == 1
            shop.finished(approval)
            # The same statement with another value is another action.
            later = Later(lambda: session.execute(statement, (4, "order 4"), prepare=True).rowcount)
            another = shop.held()
            assert another != approval and later.waits()
            shop.bea.approve(another).expect(200)
            assert later.result() == 1
            shop.finished(another)
        assert shop.rows("id IN (3, 4)") == 0

    def one_approval_runs_one_statement():
        """What was approved once is asked for again when it is sent again."""
        statement = "INSERT INTO orders VALUES (2001, 'new') ON CONFLICT DO NOTHING"
        with shop.connect() as session:
            for expected in (1, 0):
                later = Later(lambda: session.execute(statement).rowcount)
                approval = shop.held()
                shop.bea.approve(approval).expect(200)
                assert later.result() == expected
                shop.finished(approval)

    def who_gives_up_and_comes_back_finds_the_approval():
        statement = "DELETE FROM orders WHERE id = 5"
        session = shop.connect()
        later = Later(lambda: session.execute(statement))
        approval = shop.held()
        session.cancel()
        try:
            later.result()
            raise AssertionError("it was not cancelled")
        except psycopg.errors.QueryCanceled:
            pass
        session.close()
        assert shop.bea.approval(approval)["state"] == "pending"
        shop.bea.approve(approval).expect(200)
        time.sleep(1)
        assert shop.bea.approval(approval)["state"] == "approved", "it waits for its session"
        assert shop.rows("id = 5") == 1
        with shop.connect() as session:
            assert session.execute(statement).rowcount == 1
        assert shop.finished(approval)["outcome"]["detail"] == "DELETE 1"
        shop.nothing_waits()

    def within_a_transaction_it_is_refused_and_found_by_the_retry():
        statement = "DELETE FROM orders WHERE id = 6"
        with shop.connect(autocommit=False) as session:
            session.execute("SELECT 1")
            try:
                session.execute(statement)
                raise AssertionError("it was not refused")
            except psycopg.errors.ObjectNotInPrerequisiteState as error:
                assert "/approvals/" in error.diag.message_hint, error.diag.message_hint
            session.rollback()
            approval = shop.held()
            assert approval in error_hint(session, statement), "the same approval"
            session.rollback()
            shop.bea.approve(approval).expect(200)
            session.execute("SELECT 1")
            assert session.execute(statement).rowcount == 1
            session.commit()
        assert shop.finished(approval)["outcome"]["ending"] == "succeeded"
        assert shop.rows("id = 6") == 0

    def error_hint(session, statement):
        session.execute("SELECT 1")
        try:
            session.execute(statement)
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            return error.diag.message_hint
        raise AssertionError("it was not refused")

    def a_leading_write_waits_though_its_driver_began():
        with shop.connect(autocommit=False) as session:
            later = Later(lambda: session.execute("DELETE FROM orders WHERE id = 8").rowcount)
            approval = shop.held()
            idle = shop.server.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND xact_start IS NOT NULL", "shop")
            assert idle == "0", "nothing is locked while people look"
            shop.bea.approve(approval).expect(200)
            assert later.result() == 1
            session.commit()
        assert shop.rows("id = 8") == 0

    def the_reason_reaches_the_reviewer():
        with shop.connect() as session:
            session.execute("SET countersign.reason = 'ticket 42'")
            later = Later(lambda: session.execute("DELETE FROM orders WHERE id = 9"))
            approval = shop.held()
            card = shop.bea.approval(approval)["card"]
            assert "ticket 42" in json.dumps(card["reason"]), card["reason"]
            shop.bea.approve(approval).expect(200)
            later.result()

    def policy_forbids_programs():
        answer = shop.psql("COPY orders TO PROGRAM 'cat > /dev/null'")
        assert answer.returncode != 0 and "denied by policy" in answer.stderr, answer.stderr

    def another_search_path_is_another_question():
        with shop.connect() as session:
            session.execute("SET search_path = pg_catalog")
            try:
                with_names = Later(lambda: session.execute("SELECT count(*) FROM orders"))
                # What the path does not find is held: nobody knows what it would touch.
                approval = shop.held()
                shop.bea.deny(approval, "no").expect(200)
                with_names.result()
                raise AssertionError("it ran")
            except psycopg.errors.InsufficientPrivilege:
                pass
            session.execute("SET search_path = public")
            assert session.execute("SELECT count(*) FROM orders").fetchone()[0] > 900

    def a_receipt_names_the_statement():
        later = Later(lambda: shop.psql("DELETE FROM orders WHERE id = 10"))
        approval = shop.held()
        shop.bea.approve(approval).expect(200)
        later.result()
        shop.finished(approval)
        file = shop.house.folder / "receipt.json"
        # Its own agent may have it with the payload; a reviewer opens that first.
        file.write_bytes(shop.agent.ask("GET", f"/v1/approvals/{approval}/receipt?payload=true").expect(200).body)
        verdict = shop.house.run("audit", "verify", str(file), "--log-key", shop.house.log_key())
        assert verdict.returncode == 0, verdict.stdout + verdict.stderr
        shown = json.loads(file.read_text())
        assert "DELETE FROM orders WHERE id = 10" in decoded(shown), "the statement stands in it"

    def decoded(value):
        import base64
        if isinstance(value, dict):
            return " ".join(decoded(one) for one in value.values())
        if isinstance(value, list):
            return " ".join(decoded(one) for one in value)
        if not isinstance(value, str):
            return ""
        try:
            padded = value + "=" * (-len(value) % 4)
            return value + " " + base64.urlsafe_b64decode(padded).decode()
        except (ValueError, UnicodeDecodeError):
            return value

    def permits_are_on_record():
        with shop.connect() as session:
            session.execute("SELECT note FROM orders WHERE id = 20")
        lines = [json.loads(line)
                 for file in (shop.house.folder / "countersign-data" / "activity").iterdir()
                 for line in file.read_text().splitlines()]
        permits = [line for line in lines if line.get("point") == "postgres" and line["effect"] == "permit"]
        assert any(line["resource"]["name"] == "public.orders" and line["verb"] == "sql.select" for line in permits)
        ends = {line["id"]: line["outcome"] for line in lines if line["effect"] == "outcome"}
        assert any(line["id"] in ends and ends[line["id"]]["ending"] == "succeeded" for line in permits)

    def the_agents_credential_opens_nothing_else():
        try:
            psycopg.connect(host="127.0.0.1", port=shop.server.port, user="app", password=shop.agent.token(),
                            dbname="shop", connect_timeout=PATIENCE)
            raise AssertionError("the token opened the server")
        except psycopg.OperationalError:
            pass
        try:
            shop.connect(password=APP_PASSWORD)
            raise AssertionError("the database's password opened the gate")
        except psycopg.OperationalError as error:
            assert APP_PASSWORD not in str(error)
        assert APP_PASSWORD not in shop.log.read_text()

    def no_other_database_is_there():
        try:
            shop.connect(dbname="postgres")
            raise AssertionError("it was let in")
        except psycopg.OperationalError as error:
            assert "does not exist" in str(error), error

    def who_waits_for_nothing_any_more_runs_nothing():
        """The gateway is killed while something waits: it is asked for still, and runs when it is sent again."""
        statement = "DELETE FROM orders WHERE id = 30"
        session = shop.connect()
        later = Later(lambda: session.execute(statement))
        approval = shop.held()
        shop.house.kill()
        shop.house.start()
        try:
            later.result()
            raise AssertionError("it did not hear")
        except psycopg.OperationalError:
            pass
        assert shop.rows("id = 30") == 1
        shop.bea.approve(approval).expect(200)
        until("the catalog is read again", lambda: shop.psql("SELECT 1").stdout.strip() == "1")
        answer = shop.psql(statement)
        assert answer.returncode == 0, answer.stderr
        assert shop.finished(approval)["outcome"]["detail"] == "DELETE 1"

    def a_changed_table_is_another_question():
        """What was reviewed was about this definition of the table."""
        statement = "DELETE FROM orders WHERE id = 31"
        with shop.connect() as session:
            later = Later(lambda: session.execute(statement))
            approval = shop.held()
            shop.server.sql("ALTER TABLE orders ADD COLUMN more int", "shop")
            time.sleep(6)
            shop.bea.approve(approval).expect(200)
            try:
                later.result()
                raise AssertionError("it ran")
            except psycopg.errors.SerializationFailure:
                pass
        assert shop.rows("id = 31") == 1
        case = shop.finished(approval)
        assert case["outcome"]["ending"] == "failed", case["outcome"]

    def a_disabled_agent_is_out():
        other = shop.house.add_agent("other", approver=shop.bea)
        session = shop.connect(other)
        assert session.execute("SELECT 1").fetchone() == (1,)
        shop.house.settle(shop.admin.call("DELETE", f"/v1/agents/{other.id}", {}), shop.bea)

        def gone():
            try:
                session.execute("SELECT 1")
            except psycopg.OperationalError:
                return True
        until("its session ends", gone)
        try:
            shop.connect(other)
            raise AssertionError("it was let in")
        except psycopg.OperationalError:
            pass

    for work in (
        a_read_passes, a_deletion_is_held_and_runs_once, a_denial_is_an_error_with_the_reviewers_words,
        bound_values_are_what_is_approved, one_approval_runs_one_statement,
        who_gives_up_and_comes_back_finds_the_approval, within_a_transaction_it_is_refused_and_found_by_the_retry,
        a_leading_write_waits_though_its_driver_began, the_reason_reaches_the_reviewer, policy_forbids_programs,
        another_search_path_is_another_question, a_receipt_names_the_statement, permits_are_on_record,
        the_agents_credential_opens_nothing_else, no_other_database_is_there,
        who_waits_for_nothing_any_more_runs_nothing, a_changed_table_is_another_question, a_disabled_agent_is_out,
    ):
        tally.check(work.__name__, work)


if __name__ == "__main__":
    main()
