"""What ran in a real PostgreSQL without passing the gateway is found, and what passed it is not.

A PostgreSQL of its own writes a csvlog with every statement. An agent's HTTP calls pass the gateway to a small service
that runs them with a database user that only it has; somebody else comes to the database directly, with another user
and, when no action runs, with the gateway's own. `countersign audit reconcile` tells them apart.
"""

import csv
import glob
import io
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, free_port  # noqa: E402

POLICY = """
@id("all") @why("Everything may be asked")
permit (principal, action, resource);
"""
PASSED, FAILED = [], []


def check(what, holds, detail=""):
    (PASSED if holds else FAILED).append(what)
    print(f"{'ok' if holds else 'FAILED'}: {what} {'' if holds else detail}", flush=True)


class Postgres:
    """A server in a folder of its own, run by a user who is not root: PostgreSQL refuses to be."""

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        assert found, "Debian's `postgresql` is not installed"
        self.bin = found[-1]
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-postgres-"))
        self.port = free_port()
        self.user = pwd.getpwnam("postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name)
        if os.getuid() == 0:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", f"{self.folder}/data", "-U", "postgres", "--auth=trust", "--encoding=UTF8")
        with open(self.folder / "data/postgresql.conf", "a") as conf:
            conf.write(
                f"port = {self.port}\nunix_socket_directories = '{self.folder}'\nlisten_addresses = '127.0.0.1'\n"
                "logging_collector = on\nlog_destination = 'csvlog'\nlog_directory = 'log'\nlog_statement = 'all'\n"
                "log_filename = 'all.log'\nlog_timezone = 'UTC'\nfsync = off\n"
            )
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-l", f"{self.folder}/start.log", "start")

    def run(self, name, *words):
        as_user = ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
        command = (as_user if os.getuid() == 0 else []) + [f"{self.bin}/{name}", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, f"{name}: {done.stdout[-1500:]} {done.stderr[-1500:]}"
        return done.stdout

    def psql(self, user, text, application="psql", database="shop"):
        environment = {**os.environ, "PGAPPNAME": application, "PGCONNECT_TIMEOUT": "10"}
        done = subprocess.run(
            [f"{self.bin}/psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", database,
             "-v", "ON_ERROR_STOP=1", "-c", text],
            capture_output=True, text=True, env=environment,
        )
        assert done.returncode == 0, f"{text}: {done.stderr}"

    @property
    def log(self):
        return self.folder / "data/log/all.csv"

    def lines_of(self, text):
        return self.log.read_text().count(text) if self.log.exists() else 0

    def wait_for(self, text, times=1):
        end = time.monotonic() + 20
        while self.lines_of(text) < times:
            assert time.monotonic() < end, f"`{text}` did not come to the log"
            time.sleep(0.05)

    def stop(self):
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


class Service(BaseHTTPRequestHandler):
    """What stands behind the route: it runs what it is sent, with the user that only it has."""

    postgres = None

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.postgres.psql("gateway", text, application="shop-service")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def audit(house, session, *words):
    environment = {**os.environ, "COUNTERSIGN_URL": house.url, "XDG_STATE_HOME": str(session),
                   "XDG_CONFIG_HOME": str(session), "XDG_DATA_HOME": str(session), "HOME": str(session)}
    return subprocess.run([house.binary, "audit", *words], capture_output=True, text=True, env=environment)


def sign_in(house, session):
    """The command line's session, as `countersign login` gets it: a code that a person types in the console."""
    environment = {**os.environ, "COUNTERSIGN_URL": house.url, "XDG_STATE_HOME": str(session),
                   "XDG_CONFIG_HOME": str(session), "XDG_DATA_HOME": str(session), "HOME": str(session)}
    login = subprocess.Popen([house.binary, "login", "--no-open"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, env=environment)
    said = ""
    for line in login.stdout:
        said += line
        found = re.search(r"type in this code: (\S+)", line)
        if found:
            house.admin.step_up()
            house.admin.call("POST", "/v1/cli-logins/confirm", {"code": found.group(1)}).expect(200, 201, 204)
            break
    said += login.stdout.read()
    assert login.wait(30) == 0, said


def main():
    postgres = Postgres()
    house = None
    try:
        for user in ("gateway", "mallory", "monitor"):
            postgres.psql("postgres", f"CREATE ROLE {user} LOGIN SUPERUSER", database="postgres")
        postgres.psql("postgres", "CREATE DATABASE shop", database="postgres")
        Service.postgres = postgres
        service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
        threading.Thread(target=service.serve_forever, daemon=True).start()

        house = House().start()
        house.bootstrap()
        agent = house.add_agent("shop-agent")
        house.apply_policy(POLICY)
        house.set_route("shop-db", {
            "name": "shop-db", "environment": "test", "upstream": f"http://127.0.0.1:{service.server_port}",
            "operations": [{"method": "POST", "path": "/run", "resource": "statements"}],
        })
        # Whoever sets a database up is not judged: the map leaves the server's own administrator out.
        map_file = house.folder / "map.toml"
        map_file.write_text('[[database]]\nname = "shop"\ntarget = "shop-db"\ngateway_users = ["gateway"]\n'
                            'ignore_users = ["monitor", "postgres"]\n')
        session = house.folder / "session"
        session.mkdir()
        sign_in(house, session)

        def reconcile(*more):
            return audit(house, session, "reconcile", "--postgres-csvlog", str(postgres.log), "--map", str(map_file), *more)

        def caught_up():
            end = time.monotonic() + 20
            while time.monotonic() < end:
                page = house.admin.call("GET", "/v1/search?target=shop-db&kind=outcome").expect(200).json()
                if len(page["results"]) >= 2 and page["indexed"]["entries"] == page["indexed"]["of"]:
                    return
                time.sleep(0.1)
            raise AssertionError("the index did not catch up")

        agent.call("POST", "/run", b"CREATE TABLE orders (id int, name text)").expect(204)
        agent.call("POST", "/run", b"INSERT INTO orders VALUES (1, 'jane')").expect(204)
        postgres.psql("monitor", "SELECT 1")
        postgres.wait_for("INSERT INTO orders")
        caught_up()
        clean = reconcile("--json")
        report = json.loads(clean.stdout)["report"] if clean.returncode in (0, 1, 2) else {}
        check("what passed the gateway is matched, and nothing is found", clean.returncode == 0
              and report.get("matched_by_time") == 2 and report.get("found") == 0, clean.stdout + clean.stderr)
        check("whom the map leaves out is counted", report.get("ignored", {}).get("monitor") == 1, clean.stdout)

        postgres.psql("mallory", "DELETE FROM orders WHERE name = 'jane doe 1985'", application="laptop")
        # Later than any action and the slack of the clocks.
        time.sleep(3)
        postgres.psql("gateway", "UPDATE orders SET name = 'secret'", application="stolen")
        postgres.wait_for("stolen")
        found = reconcile("--json")
        findings = json.loads(found.stdout)["report"]["findings"]
        told = [(one["user"], one["why"], one["statement"]) for one in findings]
        check("what did not pass is found, and the exit code says so", found.returncode == 1 and told == [
            ("mallory", "other-user", "DELETE FROM orders WHERE name = ?"),
            ("gateway", "no-action", "UPDATE orders SET name = ?"),
        ], found.stdout + found.stderr)
        check("no value stands in the report", "jane" not in found.stdout and "secret" not in found.stdout)

        rows = list(csv.DictReader(io.StringIO(reconcile("--csv").stdout)))
        check("the report is CSV too", [row["application"] for row in rows] == ["laptop", "stolen"], str(rows))
        table = reconcile()
        check("and a table for people", "mallory" in table.stdout and "no-action" in table.stdout, table.stdout)
        early = reconcile("--to", "2020-01-01", "--from", "2019-01-01")
        check("outside the time nothing is judged", early.returncode == 0, early.stdout + early.stderr)

        # A row that somebody took out of the log is missed by its number.
        lines = postgres.log.read_text().splitlines(keepends=True)
        at = next(n for n, line in enumerate(lines) if "DELETE FROM orders" in line)
        torn = house.folder / "torn.csv"
        session_of = lines[at].split(",")[5]
        mates = [n for n, line in enumerate(lines) if line.count(",") > 20 and line.split(",")[5] == session_of]
        gateways = [n for n, line in enumerate(lines) if "stolen" in line]
        gone = set(mates) | set(gateways)
        middle = next(n for n, line in enumerate(lines) if "INSERT INTO orders" in line)
        forged = lines[middle].split(",")
        forged[6] = str(int(forged[6]) + 5)
        torn.write_text("".join(",".join(forged) if n == middle else line for n, line in enumerate(lines) if n not in gone)
                        + lines[middle].replace(f",{lines[middle].split(',')[6]},", f",{int(forged[6]) + 3},", 1))
        holes = audit(house, session, "reconcile", "--postgres-csvlog", str(torn), "--map", str(map_file))
        check("a log with holes proves nothing", holes.returncode == 2 and "not whole" in holes.stderr,
              f"{holes.returncode} {holes.stdout} {holes.stderr}")
        nonsense = house.folder / "nonsense.csv"
        nonsense.write_text("a,b,c\n")
        refused = audit(house, session, "reconcile", "--postgres-csvlog", str(nonsense), "--map", str(map_file))
        check("what is no csvlog is refused with its row", refused.returncode == 1 and "row 1 has 3 columns" in refused.stderr,
              refused.stderr)

        search = audit(house, session, "search", "target:shop-db", "kind:decision", "--json")
        results = json.loads(search.stdout)["results"]
        check("the command line finds the actions", [one["verdict"] for one in results] == ["permit", "permit"], search.stdout)
        shown = audit(house, session, "search", "agent:shop-agent", "--counts")
        check("and shows them", "shop-agent" in shown.stdout and "permit" in shown.stdout, shown.stdout + shown.stderr)
    finally:
        if house is not None and house.process is not None:
            house.stop()
        postgres.stop()
    print(f"{len(PASSED)} passed, {len(FAILED)} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
