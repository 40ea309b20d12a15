"""PostgreSQL's own regression suite through the gate with everything permitted, against the same server directly.

The suite comes from Debian's source package, which is downloaded and never kept. Through the gate it may differ only in the
files of DIFFERS, each for the reason that stands there.

    python3 tests/postgres/regress.py [FOLDER]    FOLDER holds the unpacked source already
"""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from corpus import source
from harness import TOKEN, gate_binary, until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import Tally, free_port  # noqa: E402

BIN = Path("/usr/lib/postgresql/15/bin")
DRIVER = BIN.parent / "lib/pgxs/src/test/regress/pg_regress"
# The longest that one run of the suite may take, in seconds.
RUN_SECONDS = 900
# Fewer files would mean that the suite did not run.
FEWEST = 200
DIFFERS = {
    "strings": "sets standard_conforming_strings off, and the gate ends a session that would be misread",
    "plpgsql": "sets standard_conforming_strings off, and the gate ends a session that would be misread",
    "largeobject": "psql's \\lo_ commands call functions without SQL, which the gate refuses",
}


class Suite:
    def __init__(self, folder):
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-regress-"))
        self.folder.chmod(0o755)
        self.user, self.port, self.gate = pwd.getpwnam("postgres"), free_port(), None
        self.tests = self.folder / "regress"
        shutil.copytree(folder / "src/test/regress", self.tests)
        for name in ("refint.so", "autoinc.so"):
            shutil.copy(BIN.parent / "lib" / name, self.tests)
        self.build()
        # The driver asks for an interval style by `options`, which the gate refuses: the server has it instead.
        psql = self.folder / "bin" / "psql"
        psql.parent.mkdir()
        psql.write_text(f'#!/bin/sh\nunset PGOPTIONS\nPGPASSWORD="{TOKEN}" exec {BIN}/psql "$@"\n')
        psql.chmod(0o755)
        subprocess.run(["chown", "-R", "postgres", str(self.folder)], check=True)
        self.run("initdb", "-D", self.folder / "data", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale",
                 "--no-sync")
        with open(self.folder / "data/postgresql.conf", "a") as config:
            config.write(f"\nport = {self.port}\nlisten_addresses = '127.0.0.1'\nfsync = off\n"
                         f"unix_socket_directories = '{self.folder}'\nintervalstyle = 'postgres_verbose'\n")
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "start.log", "start")

    def build(self):
        """The suite's functions in C, against the server's own headers: taken out of Debian's package, not installed."""
        asked = ["dpkg-query", "--show", "--showformat", "${Version}", "postgresql-15"]
        version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
        subprocess.run(["apt-get", "download", f"postgresql-server-dev-15={version}"], check=True, cwd=self.folder,
                       stdout=subprocess.DEVNULL)
        package, = self.folder.glob("*.deb")
        headers = self.folder / "headers"
        subprocess.run(["dpkg", "--extract", package, headers], check=True)
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", f"-I{headers}/usr/include/postgresql/15/server", "-I.", "regress.c",
                        "-o", "regress.so"], check=True, cwd=self.tests, stderr=subprocess.DEVNULL)

    def run(self, name, *arguments):
        subprocess.run([*self.as_server(), str(BIN / name), *map(str, arguments)], check=True, cwd=self.folder,
                       stdout=subprocess.DEVNULL)

    def as_server(self):
        if os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]

    def start_gate(self):
        port = free_port()
        command = [gate_binary(), f"127.0.0.1:{port}", f"127.0.0.1:{self.port}", "", "", TOKEN, "--trust"]
        self.gate = subprocess.Popen(command)
        ask = [str(BIN / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        until("the gate listens", lambda: subprocess.run(ask).returncode == 0)
        return port

    def regress(self, name, port):
        """Every file's verdict."""
        out = self.folder / name
        command = [str(DRIVER), f"--inputdir={self.tests}", f"--outputdir={out}", f"--dlpath={self.tests}",
                   f"--bindir={self.folder}/bin", "--host=127.0.0.1", f"--port={port}", "--user=postgres",
                   "--max-concurrent-tests=20", f"--schedule={self.tests}/parallel_schedule"]
        out.mkdir()
        subprocess.run(["chown", "postgres", str(out)], check=True)
        done = subprocess.run([*self.as_server(), *command], capture_output=True, text=True, timeout=RUN_SECONDS,
                              cwd=self.folder)
        verdicts = dict(re.findall(r"(?m)^(?:test| {4}) (\w[\w.]*) +\.\.\. (ok|FAILED)", done.stdout))
        assert len(verdicts) >= FEWEST, done.stdout[-2000:] + done.stderr[-2000:]
        return verdicts

    def stop(self):
        if self.gate:
            self.gate.kill()
            self.gate.wait()
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="countersign-source-") as scratch:
        suite = Suite(Path(sys.argv[1]) if len(sys.argv) > 1 else source(Path(scratch)))
    try:
        direct = suite.regress("direct", suite.port)
        gate = suite.regress("gate", suite.start_gate())
    finally:
        suite.stop()
    for name, verdict in sorted(gate.items()):
        if name in DIFFERS:
            print(f"differs {name}: {DIFFERS[name]}", flush=True)
            continue

        def equal(name=name, verdict=verdict):
            assert verdict == direct.get(name), f"directly {direct.get(name)}, through the gate {verdict}"

        tally.check(name, equal)
    tally.close()


if __name__ == "__main__":
    main()
