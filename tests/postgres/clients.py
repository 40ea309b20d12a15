"""Six clients that we did not write, through the gateway to a real server: people with passkeys decide what waits.

Each driver has a program in `drivers/`, called with a step and a mark for what shall be held. It takes the rest from the
environment as libpq does (`PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`) and prints one line of JSON:

    read      item 7's `name`, and how many `rows` the table has
    write     in a transaction as the driver begins one: DELETE of the first ten; `count` of rows, or `error` (SQLSTATE) and
              `words`; `after`: what SELECT 1 gives in the same session
    prepared  `names` of items 3 and 4 by one prepared statement, then a prepared DELETE with the binds 11 and 'item 11': `count`
    copy      a thousand rows in and out by COPY: how many were `copied`, and the `last` one's name
    cancel    DELETE of the first twenty, cancelled in the driver's own way when a line comes on standard input; as `write`,
              without `error` where the driver does not tell

    python3 tests/postgres/clients.py [--wire] [DRIVER...]    --wire: before the tests' gate, where marks decide
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import TOKEN, Gate, until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import ROOT, House, Tally, free_port  # noqa: E402
from postgres import Postgres  # noqa: E402

DRIVERS = Path(__file__).resolve().parent / "drivers"
# A machine that builds at the same time takes seconds to start a JVM.
STEP_SECONDS = 60
# The longest that building one driver's program may take, in seconds.
BUILD_SECONDS = 1200
# What a statement is watched for that must not run.
WATCH_SECONDS = 0.5


class Marks:
    """The tests' gate, which holds what bears a mark and decides when a file says so."""

    def __init__(self, server):
        self.gate = Gate(server)
        self.env = {"PGHOST": "127.0.0.1", "PGPORT": str(self.gate.port), "PGUSER": "agent", "PGPASSWORD": TOKEN,
                    "PGDATABASE": "postgres"}
        self.mark = ""

    def next(self, _fragment):
        """What the next statement to be held must bear."""
        self.mark = self.gate.mark()
        return self.mark

    def question(self):
        """What was asked about the held statement, when it was."""
        return next((line for line in self.gate.asked().splitlines() if self.mark in line), None)

    def approve(self):
        self.gate.say("approve")

    def deny(self):
        self.gate.say("deny")

    def approve_all(self):
        """What waits and is not the statement that a check is about: nothing, here."""

    def stop(self):
        self.gate.stop()


class People:
    """The gateway before a database in production, under the starter pack: it holds writes, and copies both ways."""

    def __init__(self, server):
        server.sql("CREATE ROLE app LOGIN PASSWORD 'the gateway alone knows it'; GRANT ALL ON items TO app")
        port = free_port()
        config = f'[postgres]\nlisten = "127.0.0.1:{port}"\n[secrets]\nitems = {{ env = "ITEMS_PASSWORD" }}\n'
        self.house = House(config, env={"ITEMS_PASSWORD": "the gateway alone knows it"}).start()
        try:
            self.house.bootstrap(groups=("dba",))
            self.reviewer = self.house.add_person("Rita Reviewer", groups=("dba",))
            self.house.set_route("items", {
                "point": "postgres", "name": "items", "server": f"127.0.0.1:{server.port}", "database": "postgres",
                "user": "app", "credential": {"secret": "items"}, "tls": "loopback", "environment": "prod"})
            self.house.apply_policy((ROOT / "policies" / "postgres.cedar").read_text())
            self.agent = self.house.add_agent()
        except BaseException:
            self.stop()
            raise
        self.env = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "agent", "PGPASSWORD": self.agent.token(),
                    "PGDATABASE": "items"}
        self.fragment, self.approval, self.asked = "", None, 0

    def next(self, fragment):
        """Another text each time: an approval that nobody came back for would run the next driver's statement."""
        self.fragment, self.approval, self.asked = fragment, None, self.asked + 1
        return f"/* {self.asked} */"

    def words(self, approval):
        """What the card shows of what would run."""
        parts = self.reviewer.approval(approval)["card"]["payload"]
        pieces = [(part.get("text") or {}).get("pieces", []) for part in parts]
        return "\n".join("".join(piece.get("text", "") for piece in part) for part in pieces)

    def question(self):
        for row in self.reviewer.inbox():
            words = self.words(row["id"])
            if self.fragment in words:
                self.approval = row["id"]
                return words
        return None

    def approve(self):
        self.reviewer.approve(self.approval).expect(200)

    def deny(self):
        self.reviewer.deny(self.approval, "denied: the ten are still wanted").expect(200)

    def approve_all(self):
        for row in self.reviewer.inbox():
            if self.fragment not in self.words(row["id"]):
                self.reviewer.approve(row["id"]).expect(200)

    def stop(self):
        self.house.stop()


class Program:
    """A driver's program in one of its steps."""

    def __init__(self, command, env, step, mark=""):
        self.child = subprocess.Popen([*command, step, mark], env={**os.environ, **env}, text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def waits(self):
        return self.child.poll() is None

    def tell(self):
        self.child.stdin.write("cancel\n")
        self.child.stdin.flush()

    def done(self):
        try:
            out, err = self.child.communicate(timeout=STEP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise AssertionError(f"it did not end: {self.child.communicate()}") from None
        assert self.child.returncode == 0, err[-2000:]
        return json.loads(out.splitlines()[-1])


class Story:
    """What every driver has to go through."""

    def __init__(self, server, gate, command):
        self.server, self.gate, self.command = server, gate, command

    def fill(self):
        self.server.sql("SET lock_timeout = '10s'; TRUNCATE items; "
                        "INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 100) n")

    def count(self):
        return int(self.server.sql("SELECT count(*) FROM items"))

    def step(self, step):
        """A step whose statements run: at once, or when they were approved."""
        self.gate.next("no statement holds this")
        program = Program(self.command, self.gate.env, step)
        until("done", lambda: self.gate.approve_all() or not program.waits(), STEP_SECONDS)
        return program.done()

    def held(self, step, fragment):
        """The program, once its statement is held, with nothing of it at the server; and what was asked."""
        program = Program(self.command, self.gate.env, step, self.gate.next(fragment))
        # SQL's own PREPARE and EXECUTE may wait too, before the one that is meant.
        until("held", lambda: self.gate.question() or self.gate.approve_all() or not program.waits(), STEP_SECONDS)
        time.sleep(WATCH_SECONDS)
        assert program.waits(), program.done()
        assert self.count() == 100, "it ran before anybody approved"
        open_now = self.server.sql("SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL "
                                   "AND pid <> pg_backend_pid() AND backend_type = 'client backend'")
        assert open_now == "0", "a transaction is open at the server while people decide"
        return program, self.gate.question()

    def reads(self):
        self.fill()
        assert self.step("read") == {"name": "item 7", "rows": 100}

    def held_write_approved(self):
        self.fill()
        program, _ = self.held("write", "id <= 10")
        self.gate.approve()
        assert program.done() == {"count": 10, "after": 1}
        assert self.count() == 90

    def held_write_denied(self):
        self.fill()
        program, _ = self.held("write", "id <= 10")
        self.gate.deny()
        found = program.done()
        assert found.get("error") == "42501" and "denied" in found["words"] and found["after"] == 1, found
        assert self.count() == 100

    def held_prepared_statement_with_binds(self):
        self.fill()
        program, asked = self.held("prepared", "item 11")
        assert "item 11" in asked, f"the bind's value is not in what was asked: {asked}"
        self.gate.approve()
        assert program.done() == {"names": ["item 3", "item 4"], "count": 1}
        assert self.server.sql("SELECT count(*) FROM items WHERE id = 11") == "0" and self.count() == 99

    def copies_in_and_out(self):
        self.fill()
        assert self.step("copy") == {"copied": 1000, "last": "copied 2000"}
        assert self.count() == 1100

    def cancels_while_held(self):
        self.fill()
        program, _ = self.held("cancel", "id <= 20")
        program.tell()
        found = program.done()
        assert found.pop("after") == 1 and "count" not in found, found
        assert found.get("error", "57014") == "57014", found
        # An approval that comes too late runs nothing: nobody waits for it.
        self.gate.approve()
        time.sleep(WATCH_SECONDS)
        assert self.count() == 100


def jdbc(folder):
    source = DRIVERS / "jdbc" / "Client.java"
    subprocess.run(["javac", "-d", str(folder), str(source)], check=True, timeout=BUILD_SECONDS)
    # One thread compiles less and starts sooner.
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}:{os.environ['CLASSPATH']}", "Client"]


def sqlx(_folder):
    target = ROOT / "target" / "drivers"
    build = ["cargo", "build", "--locked", "--manifest-path", str(DRIVERS / "sqlx" / "Cargo.toml"),
             "--target-dir", str(target)]
    subprocess.run(build, check=True, timeout=BUILD_SECONDS)
    return [str(target / "debug" / "sqlx-client")]


def python(name):
    return [sys.executable, str(DRIVERS / name / "client.py")]


# How each driver's program is called; some are built first, in a folder of their own.
COMMANDS = {
    "psql": lambda _: python("psql"),
    "psycopg": lambda _: python("psycopg"),
    "asyncpg": lambda _: python("asyncpg"),
    "node": lambda _: ["node", str(DRIVERS / "node" / "client.js")],
    "jdbc": jdbc,
    "sqlx": sqlx,
}


def main():
    words = sys.argv[1:]
    kind = Marks if "--wire" in words else People
    chosen = [word for word in words if word != "--wire"] or list(COMMANDS)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="countersign-clients-") as folder:
        commands = {name: COMMANDS[name](Path(folder)) for name in chosen}
        server, gate = Postgres().start(), None
        try:
            server.sql("CREATE TABLE items (id int PRIMARY KEY, name text)")
            gate = kind(server)
            for name, command in commands.items():
                story = Story(server, gate, command)
                for check in (story.reads, story.held_write_approved, story.held_write_denied,
                              story.held_prepared_statement_with_binds, story.copies_in_and_out, story.cancels_while_held):
                    tally.check(f"{name} {check.__name__}", check)
        finally:
            if gate:
                gate.stop()
            server.stop()
    tally.close()


if __name__ == "__main__":
    main()
