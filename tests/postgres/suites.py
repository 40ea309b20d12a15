"""Two drivers' own test suites, through the PostgreSQL gate with everything permitted and directly, test by test.

pgx (Go) brings its tests in its module, asyncpg (Python) in its source package; both are fetched and never kept. A test may
come out otherwise through the gate only where DIFFERS names it, with its reason, and has to while it stands there.

    python3 tests/postgres/suites.py sample    a part of each, in minutes
    python3 tests/postgres/suites.py whole
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as XML
from pathlib import Path

from harness import TOKEN, gate_binary, until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import Tally, free_port  # noqa: E402
from postgres import Postgres  # noqa: E402

PGX, PGX_VERSION = "github.com/jackc/pgx/v5", "v5.12.0"
# What Go's database of checksums says of it too.
PGX_SUM = "h1:hWwax8YiGT0YiN50U1oIDn5kgR7KC2tG3rmavwpPkxY="
# The driver that is installed has the same version.
ASYNCPG = "asyncpg==0.32.0"
# The longest that one run of one suite may take, in seconds.
RUN_SECONDS = 1500
# The longest that a download may take, in seconds.
FETCH_SECONDS = 600
SAMPLE = {"pgx": ["."], "asyncpg": ["test_prepare.py", "test_cursor.py", "test_copy.py", "test_transaction.py"]}
# Fewer tests that pass directly would mean that a suite did not run.
FEWEST = {"sample": {"pgx": 700, "asyncpg": 60}, "whole": {"pgx": 2500, "asyncpg": 280}}
# They begin servers of their own, which cannot run as root, and meet no gate.
LEFT_OUT = "TestConnectionAttributes"

PROCESS = "it names the session's process as the client knows it; behind the gate that number, like the key, is the gate's own"
TOGETHER = "it counts on the server's waiting between Parse and Describe; what belongs together reaches the server together"
PINNED = "it turns off a setting that says how text is read, and the gate ends the session"
TIMEOUT = ".TestSendBatchHandlesTimeoutBetweenParseAndDescribe"
DIFFERS = {
    "pgx": {
        TIMEOUT: TOGETHER,
        f"{TIMEOUT}/cache_statement": TOGETHER,
        f"{TIMEOUT}/cache_describe": TOGETHER,
        f"{TIMEOUT}/describe_exec": TOGETHER,
        f"{TIMEOUT}/exec": TOGETHER,
        ".TestPrepareHandlesTimeoutBetweenParseAndDescribe": TOGETHER,
        ".TestPrepareWithDigestedNameHandlesTimeoutBetweenParseAndDescribe": TOGETHER,
        ".TestConnSimpleProtocolRefusesNonStandardConformingStrings": PINNED,
        ".TestConnSimpleProtocolRefusesNonUTF8ClientEncoding": PINNED,
        ".TestFatalTxError": PROCESS,
        ".TestFatalRxError": PROCESS,
        "pgconn.TestConnPing": PROCESS,
        "pgconn.TestConnCheckConn": PROCESS,
        "pgxpool.TestPoolAcquireChecksIdleConns": PROCESS,
        "stdlib.TestCheckIdleConn": PROCESS,
        "pgconn.TestConnectProtocolVersion32": "the gate speaks 3.2 whatever the server behind it speaks",
        "pgconn.TestConnectWithRuntimeParams": "the startup parameter `search_path` is not taken; SQL's SET is",
        "pgconn.TestConnectInvalidUser": "the server's answer to the gate's own sign-in is not the client's business",
    },
    "asyncpg": {
        "tests.test_listeners.TestListeners.test_listen_01": PROCESS,
        "tests.test_listeners.TestListeners.test_listen_02": PROCESS,
        "tests.test_listeners.TestListeners.test_listen_notletters": PROCESS,
        "tests.test_pool.TestPool.test_pool_min_size_restored_after_idle_connection_loss": PROCESS,
        "tests.test_prepare.TestPrepare.test_prepare_explicitly_named":
            "SQL's EXECUTE does not find what the protocol has prepared, as behind PgBouncer",
    },
}


class Pgx:
    def __init__(self, folder):
        # Outside of a module, so that nothing of ours is read.
        fetch = ["go", "mod", "download", "-json", f"{PGX}@{PGX_VERSION}"]
        told = subprocess.run(fetch, cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_SECONDS)
        told = json.loads(told.stdout)
        assert told["Sum"] == PGX_SUM, f"it is another pgx: {told['Sum']}"
        self.folder = folder / "pgx"
        subprocess.run(["cp", "--recursive", told["Dir"], self.folder], check=True)
        subprocess.run(["chmod", "--recursive", "u+w", self.folder], check=True)

    def run(self, port, only, again=()):
        """Each test's verdict, and what it said; of `again`, those tests alone."""
        # A quoted value, in which a quote is escaped.
        password = TOKEN.replace("'", "\\'")
        place = f"host=127.0.0.1 port={port} user=postgres password='{password}' dbname=pgx_test sslmode=disable"
        tests = "|".join(sorted({name.split(".", 1)[1].split("/")[0] for name in again}))
        places = sorted({f"./{name.split('.', 1)[0]}" for name in again}) or only or ["./..."]
        command = ["go", "test", "-json", "-vet=off", "-count=1", "-p=1", f"-timeout={RUN_SECONDS}s",
                   *([f"-run=^({tests})$"] if tests else []), *places]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=RUN_SECONDS,
                              env={**os.environ, "PGX_TEST_DATABASE": place, "PGX_TEST_TCP_CONN_STRING": place})
        found, said = {}, {}
        for line in done.stdout.splitlines():
            event = json.loads(line)
            name = event.get("Package", "").removeprefix(PGX).lstrip("/") + "." + event.get("Test", "")
            # A folder that is another one each time.
            name = re.sub(r"'/tmp/[^']*/", "'", name)
            if event["Action"] == "output":
                said[name] = said.get(name, "") + event["Output"]
            if "Test" in event and event["Action"] in ("pass", "fail", "skip"):
                found[name] = event["Action"]
        return found, said


class Asyncpg:
    def __init__(self, folder):
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--no-binary", "asyncpg", "--dest", str(folder), ASYNCPG]
        subprocess.run(fetch, check=True, timeout=FETCH_SECONDS)
        archive, = folder.glob("asyncpg-*.tar.gz")
        # Its tests alone: the driver is the one that is installed.
        subprocess.run(["tar", "-xf", archive, "-C", folder, "--strip-components=1", "--wildcards", "*/tests"], check=True)
        self.folder = folder / "tests"

    def run(self, port, only, again=()):
        """Each test's verdict, and what it said; of `again`, those tests alone."""
        report = self.folder / "report.xml"
        named = [re.sub(r"^tests\.(\w+)\.(\w+)\.", rf"{self.folder}/\1.py::\2::", name) for name in again]
        files = named or [str(self.folder / name) for name in only or ["."]]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(self.folder.parent),
                   "-k", f"not {LEFT_OUT}", "--junitxml", str(report), *files]
        env = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGPASSWORD": TOKEN,
               "PGDATABASE": "postgres", "PGSSLMODE": "disable"}
        subprocess.run(command, cwd=self.folder.parent, capture_output=True, timeout=RUN_SECONDS,
                       env={**os.environ, **env})
        found, said = {}, {}
        for case in XML.parse(report).iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            problem = next((part for part in case if part.tag in ("failure", "error")), None)
            skipped = case.find("skipped") is not None
            found[name] = "fail" if problem is not None else "skip" if skipped else "pass"
            said[name] = (problem.text or "") if problem is not None else ""
        return found, said


class Places:
    """A server that trusts everybody, with what pgx asks for, and the gate before it."""

    def __init__(self):
        self.server, self.gate, self.port = Postgres(), None, free_port()
        # The gate lets every user in under their own name, with the one password that it knows.
        (self.server.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
        self.server.start()
        self.server.sql("CREATE ROLE postgres SUPERUSER LOGIN")
        self.server.sql("CREATE DATABASE pgx_test")
        for wanted in ("CREATE EXTENSION hstore", "CREATE EXTENSION ltree", "CREATE DOMAIN uint64 AS numeric(20,0)",
                       "CREATE ROLE \" tricky, ' } \"\" \\\\ test user \" SUPERUSER PASSWORD 'secret'"):
            self.server.sql(wanted, "pgx_test")
        command = [gate_binary(), f"127.0.0.1:{self.port}", f"127.0.0.1:{self.server.port}", "", "", TOKEN, "--trust"]
        self.gate = subprocess.Popen(command)
        ask = [str(self.server.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        until("the gate listens", lambda: subprocess.run(ask).returncode == 0)

    def stop(self):
        if self.gate:
            self.gate.kill()
            self.gate.wait()
        self.server.stop()


def compare(tally, name, suite, places, how):
    only = SAMPLE[name] if how == "sample" else None
    direct, _ = suite.run(places.server.port, only)
    gate, said = suite.run(places.port, only)
    known = DIFFERS[name]
    odd = [test for test in gate if gate[test] != direct.get(test) and test not in known]
    odd += [test for test in direct if direct[test] == "fail" and test not in odd]
    if odd:
        # Some of them measure time, and this machine has other work: what fails once more differs.
        print(f"        {name}: once more: {', '.join(odd)}", flush=True)
        for found, port in ((direct, places.server.port), (gate, places.port)):
            verdicts, words = suite.run(port, None, odd)
            found.update({test: verdicts[test] for test in odd if test in verdicts})
            said.update(words)

    def count(verdicts, verdict):
        return sum(found == verdict for found in verdicts.values())

    print(f"        {name}: directly {count(direct, 'pass')} tests pass and {count(direct, 'skip')} are skipped, through the "
          f"gate {count(gate, 'pass')} and {count(gate, 'skip')}", flush=True)

    def ran():
        assert count(direct, "pass") >= FEWEST[how][name], "too few tests passed directly"
        assert count(direct, "fail") == 0, [test for test in direct if direct[test] == "fail"]
        assert direct.keys() == gate.keys(), f"not the same tests: {sorted(direct.keys() ^ gate.keys())}"

    def same(test):
        assert direct[test] == gate[test], f"directly {direct[test]}, through the gate {gate[test]}: {said.get(test, '')}"

    def differs(test):
        assert direct[test] != gate[test], "it comes out the same: take it off the list"

    tally.check(f"{name} ran", ran)
    for test in sorted(direct.keys() & gate.keys()):
        if test in known:
            print(f"differs {name} {test}: {known[test]}", flush=True)
            tally.check(f"{name} {test}", lambda test=test: differs(test))
        elif direct[test] == gate[test]:
            # Thousands of lines would hide the others.
            tally.passed += 1
        else:
            tally.check(f"{name} {test}", lambda test=test: same(test))


def main():
    how = sys.argv[1]
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="countersign-suites-") as scratch:
        suites = {}
        for name, suite in (("pgx", Pgx), ("asyncpg", Asyncpg)):
            folder = Path(scratch) / name
            folder.mkdir()
            suites[name] = suite(folder)
        places = Places()
        try:
            for name, suite in suites.items():
                compare(tally, name, suite, places, how)
        finally:
            places.stop()
    tally.close()


if __name__ == "__main__":
    main()
