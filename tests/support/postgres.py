"""A real PostgreSQL in a folder of its own, as Debian's package brings it. It refuses to run as root."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from house import free_port

READY_SECONDS = 60


def binaries():
    """The newest release's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        raise SystemExit("this suite needs a PostgreSQL server: install Debian's package `postgresql`")
    return found[-1].parent


class Postgres:
    """One server, durable as a deployment's is."""

    def __init__(self, address="127.0.0.1", prepare=None, env=None, settings=(), programs=None):
        """`prepare` is given the folder while it is empty; `env` is what the server finds in its environment; `settings`,
        such as `jit=off`, go before ours; `programs` are another release's than the newest installed."""
        self.binaries, self.address, self.port = programs or binaries(), address, free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-postgres-"))
        self.process, self.environment, self.settings = None, {**os.environ, **(env or {})}, settings
        if prepare:
            prepare(self.folder)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.data = self.folder / "data"
        made = ["initdb", "--no-sync", "--auth=scram-sha-256", "--username=countersign", "--encoding=UTF8",
                "--locale=C.UTF-8", "--pgdata", str(self.data), "--pwfile"]
        self.password = "a password that is printed nowhere"
        secret = self.folder / "password"
        secret.write_text(self.password + "\n")
        secret.chmod(0o644)
        subprocess.run([*self._as_server(), *self._program(made), str(secret)], check=True, capture_output=True,
                       cwd=self.folder)
        with open(self.data / "pg_hba.conf", "a") as allowed:
            allowed.write("host all all 10.0.0.0/8 scram-sha-256\n")

    def start(self):
        settings = [f"listen_addresses=127.0.0.1,{self.address}", f"port={self.port}", "log_min_messages=fatal",
                    f"unix_socket_directories={self.folder}", "max_connections=100", *self.settings]
        options = [part for setting in settings for part in ("-c", setting)]
        self.process = subprocess.Popen(
            [*self._as_server(), str(self.binaries / "postgres"), "-D", str(self.data), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, env=self.environment,
        )
        end = time.monotonic() + READY_SECONDS
        ask = self._program(["pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(self.port)])
        while subprocess.run(ask).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < end, "the server did not begin"
            time.sleep(0.05)
        return self

    def crash(self):
        """Ends it in the midst of whatever it does: no checkpoint, no goodbye."""
        self._end(signal.SIGQUIT)

    def stop(self):
        if self.process:
            self._end(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, statement, database="postgres"):
        command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1",
                   "--host", "127.0.0.1", "--port", str(self.port), "--username", "countersign", "--dbname", database,
                   "--command", statement]
        answer = subprocess.run(self._program(command), capture_output=True, text=True,
                                env={**os.environ, "PGPASSWORD": self.password})
        if answer.returncode:
            raise AssertionError(f"{statement}: {answer.stderr}")
        return answer.stdout.strip()

    def config(self, database, address=None):
        """The bootstrap file's part; the password comes from the environment."""
        place = f"{address or '127.0.0.1'}:{self.port}"
        mode = "?sslmode=disable" if address else ""
        return (f'[store]\npostgres = "postgres://countersign@{place}/{database}{mode}"\n'
                f'password = {{ env = "STORE_PASSWORD" }}\n')

    @property
    def env(self):
        return {"STORE_PASSWORD": self.password}

    def _program(self, command):
        folder = self.binaries if (self.binaries / command[0]).exists() else binaries()
        return [str(folder / command[0]), *command[1:]]

    def _as_server(self):
        command = ["setpriv", "--pdeathsig", "INT"]
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            command += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        return command

    def _end(self, how):
        self.process.send_signal(how)
        try:
            self.process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
