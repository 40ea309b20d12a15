"""The PostgreSQL gate against PgBouncer (session mode), Pgpool-II and the server itself, in one run of pgbench.

Rounds are interleaved, so that a slow moment of the machine falls on everybody. Beside the rate stands what a proxy's
processes took of the processor for one transaction, which other work on the machine changes less. Then: the memory of an idle
connection.
"""

import json
import os
import pwd
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[1]
# Benchmarks measure the optimised binaries, whatever the tests use.
os.environ["COUNTERSIGN_BIN"] = str(ROOT / "target" / "release" / "countersign")
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "postgres")]
from house import House, free_port  # noqa: E402
from postgres import Postgres  # noqa: E402
from harness import TOKEN, gate_binary, make_certificate, until  # noqa: E402

SECONDS = int(os.environ.get("BENCH_SECONDS", "6"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
IDLE = int(os.environ.get("BENCH_IDLE", "500"))
# A million accounts: all of it fits into the server's memory.
SCALE = 10
# The runs: what pgbench is told, and with how many clients.
RUNS = {
    "select, simple": (["-S", "-M", "simple"], (1, 8, 64)),
    "select, prepared": (["-S", "-M", "prepared"], (1, 8, 64)),
    "TPC-B, simple": (["-M", "simple"], (8,)),
    "TPC-B, prepared": (["-M", "prepared"], (8,)),
}
USER, DATABASE = "bench", "bench"
# The sessions of one agent among those that are idle.
EACH = 100
TICK = os.sysconf("SC_CLK_TCK")


class Direct:
    """The server, and what every peer has: a port, and the password that it asks for."""

    name, processes = "direct", ()

    def __init__(self, server):
        self.port, self.password = server.port, server.password

    def stop(self):
        pass


class Peer:
    """A proxy in a folder of its own, which the server's user may read: neither PgBouncer nor Pgpool-II runs as root."""

    def __init__(self, server, tls=None):
        self.server, self.tls, self.port, self.password = server, tls, free_port(), server.password
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-bench-"))
        command = self.command()
        self.user = pwd.getpwnam("postgres")
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.folder)
        until(f"{self.name} listens", self.listens)

    def listens(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        ask = [str(self.server.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ask).returncode == 0

    def token(self, _number):
        return self.password

    def as_server(self):
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []

    @property
    def processes(self):
        """Its processes: the one that we began, and its children."""
        own = str(self.process.pid)
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [own, *children]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class PgBouncer(Peer):
    name = "PgBouncer"

    def command(self):
        (self.folder / "users").write_text(f'"{USER}" "{self.server.password}"\n')
        tls = ""
        if self.tls:
            for source, name in zip(self.tls, ("certificate.pem", "key.pem")):
                shutil.copy(source, self.folder / name)
            tls = (f"client_tls_sslmode = require\nclient_tls_cert_file = {self.folder}/certificate.pem\n"
                   f"client_tls_key_file = {self.folder}/key.pem\n")
        (self.folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {self.folder}/users\n"
            f"pool_mode = session\nmax_client_conn = 2000\ndefault_pool_size = 1000\nlog_connections = 0\n"
            f"log_disconnections = 0\n{tls}")
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        return [*self.as_server(), program, str(self.folder / "pgbouncer.ini")]


class Pgpool(Peer):
    """Pgpool-II before one server, without balancing: it reads every statement with PostgreSQL's grammar too."""

    name = "Pgpool-II"

    def command(self):
        (self.folder / "pgpool.conf").write_text(
            f"backend_clustering_mode = 'raw'\nlisten_addresses = '127.0.0.1'\nport = {self.port}\n"
            f"socket_dir = '{self.folder}'\npcp_socket_dir = '{self.folder}'\npcp_port = {free_port()}\n"
            f"pid_file_name = '{self.folder}/pid'\nlogdir = '{self.folder}'\nbackend_hostname0 = '127.0.0.1'\n"
            f"backend_port0 = {self.server.port}\nnum_init_children = 70\nmax_pool = 1\nload_balance_mode = off\n"
            f"enable_pool_hba = off\nallow_clear_text_frontend_auth = on\nhealth_check_period = 0\nsr_check_period = 0\n")
        # Each of these is looked for, and may be empty.
        for name in ("pool_hba.conf", "pcp.conf"):
            (self.folder / name).write_text("")
        program = shutil.which("pgpool") or "/usr/sbin/pgpool"
        return [*self.as_server(), program, "-n", "-f", str(self.folder / "pgpool.conf"), "-a",
                str(self.folder / "pool_hba.conf"), "-F", str(self.folder / "pcp.conf")]


class Wire(Peer):
    """The gate's wire alone: everything is permitted, and nothing is looked at or logged."""

    name = "our wire, permitting all"

    def command(self):
        self.password = TOKEN
        tls = ["--tls", *map(str, self.tls)] if self.tls else []
        return [gate_binary(), f"127.0.0.1:{self.port}", f"127.0.0.1:{self.server.port}", USER, self.server.password, TOKEN,
                "--connections", "2000", "--each", "2000", *tls]


class Gateway:
    """The program: every statement is parsed, decided by the starter pack and logged, before and after it ran.

    The database is not in production, where the pack lets a statement write that a condition narrows."""

    name = "Countersign"

    def __init__(self, server, tls=None):
        self.server, self.tls, self.port = server, tls, free_port()
        secured = f'tls = {{ certificate = "{tls[0]}", key = "{tls[1]}" }}\n' if tls else ""
        self.house = House(f'[log]\nlevel = "warn"\n[postgres]\nlisten = "127.0.0.1:{self.port}"\nconnections = 2000\n{secured}'
                           '[secrets]\nbench = { env = "BENCH_PASSWORD" }\n', env={"BENCH_PASSWORD": server.password}).start()
        self.house.bootstrap()
        self.house.set_route("bench", {
            "point": "postgres", "name": DATABASE, "server": f"127.0.0.1:{server.port}", "user": USER,
            "credential": {"secret": "bench"}, "tls": "loopback", "environment": "staging"})
        self.house.apply_policy((ROOT / "policies" / "postgres.cedar").read_text())
        # Nobody has more than 128 sessions.
        self.agents = [self.house.add_agent(f"agent {number}") for number in range(-(-IDLE // EACH))]
        self.password = self.agents[0].token()
        # The catalog is read, and pgbench's tables are known, before anything is measured.
        ask = [str(server.binaries / "psql"), "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", DATABASE,
               "-c", "SELECT abalance FROM pgbench_accounts WHERE aid = 1"]
        until("it knows the catalog", lambda: subprocess.run(
            ask, env={**os.environ, "PGPASSWORD": self.password}, capture_output=True, timeout=60).returncode == 0)

    def token(self, number):
        return self.agents[number // EACH].token()

    @property
    def processes(self):
        return [str(self.house.process.pid)]

    def stop(self):
        self.house.stop()


def seconds(process):
    """What a process has taken of the processor, in seconds."""
    words = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICK


def pgbench(peer, server, how, clients):
    """Transactions a second, the mean latency in ms, and the proxy's µs of processor for one."""
    command = [str(server.binaries / "pgbench"), "-n", *how, "-c", str(clients), "-j", str(min(2, clients)), "-T", str(SECONDS),
               "-h", "127.0.0.1", "-p", str(peer.port), "-U", USER, DATABASE]
    before = {process: seconds(process) for process in peer.processes}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PGPASSWORD": peer.password})
    assert done.returncode == 0, f"{peer.name}: {done.stderr[-2000:]}"
    used = sum(seconds(process) - before.get(process, 0) for process in peer.processes)
    count = int(re.search(r"transactions actually processed: (\d+)", done.stdout)[1])
    assert count, f"{peer.name}: nothing ran: {done.stdout}"
    rate = float(re.search(r"tps = ([\d.]+) ", done.stdout)[1])
    return rate, float(re.search(r"latency average = ([\d.]+) ms", done.stdout)[1]), used / count * 1e6


def rates(server):
    """A row for each run, number of clients, and peer."""
    peers, rows = [Direct(server)], []
    try:
        for kind in (PgBouncer, Pgpool, Wire, Gateway):
            peers.append(kind(server))
        for run, (how, numbers) in RUNS.items():
            for clients in numbers:
                found = {peer.name: [] for peer in peers}
                for _ in range(ROUNDS):
                    for peer in peers:
                        found[peer.name].append(pgbench(peer, server, how, clients))
                medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in found.items()}
                for name, (rate, latency, used) in medians.items():
                    rows.append({"run": run, "clients": clients, "peer": name, "rate": rate, "latency": latency, "used": used,
                                 "share": rate / medians["PgBouncer"][0]})
                    print("        {run}, {clients}: {peer}: {rate:,.0f}/s, {used:.0f} µs each".format(**rows[-1]), flush=True)
    finally:
        for peer in peers:
            peer.stop()
    return rows


def held_by(peer):
    """The memory that a proxy's processes have for themselves, in bytes."""
    total = 0
    for process in peer.processes:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    return total * 1024


def idle(kind, server, tls):
    """The bytes of one idle connection."""
    peer, clients = kind(server, tls), []

    def connect(number):
        mode = {"sslmode": "require"} if tls else {"sslmode": "disable"}
        client = psycopg.connect(host="127.0.0.1", port=peer.port, user=USER, password=peer.token(number),
                                 dbname=DATABASE, autocommit=True, **mode)
        client.execute("SELECT abalance FROM pgbench_accounts WHERE aid = 1")
        return client

    try:
        # What the first ones bring along is no connection's own.
        for _ in range(20):
            connect(0).close()
        time.sleep(1)
        before = held_by(peer)
        for number in range(IDLE):
            clients.append(connect(number))
        time.sleep(2)
        return (held_by(peer) - before) / IDLE
    finally:
        for client in clients:
            client.close()
        peer.stop()


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = Postgres(settings=("max_connections=1100", "shared_buffers=512MB"))
    try:
        server.start()
        server.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{server.password}'")
        server.sql(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        made = subprocess.run([str(server.binaries / "pgbench"), "-i", "-q", "-s", str(SCALE), "-h", "127.0.0.1", "-p",
                               str(server.port), "-U", USER, DATABASE], capture_output=True, text=True,
                              env={**os.environ, "PGPASSWORD": server.password})
        assert made.returncode == 0, made.stderr[-2000:]
        rows = rates(server)
        with tempfile.TemporaryDirectory(prefix="countersign-bench-tls-") as folder:
            tls = make_certificate(Path(folder))
            memory = {(kind.name, name): idle(kind, server, files)
                      for kind in (PgBouncer, Wire, Gateway) for name, files in (("without TLS", None), ("with TLS", tls))}
    finally:
        server.stop()
    print("| run | clients | through | transactions/s | of PgBouncer | mean ms | proxy's CPU, µs each |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print("| {run} | {clients} | {peer} | {rate:,.0f} | {share:.2f} | {latency:.2f} | {used:.0f} |".format(**row))
    print(f"\n| memory of one of {IDLE} idle connections | without TLS | with TLS |\n|---|---|---|")
    for name in dict.fromkeys(name for name, _ in memory):
        print(f"| {name} | " + " | ".join(f"{memory[name, how] / 1024:.1f} KiB" for how in ("without TLS", "with TLS")) + " |")
    found = {"rates": rows, "memory": [[*key, value] for key, value in memory.items()]}
    if "BENCH_OUT" in os.environ:
        Path(os.environ["BENCH_OUT"]).write_text(json.dumps(found))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
