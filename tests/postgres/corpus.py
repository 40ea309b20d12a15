"""PostgreSQL's own regression suite through the classifier: of the statements that a server accepts, 99.9 % are read.

The suite comes from Debian's source package, which is downloaded and never kept. A server of the same version runs it, file
by file in the order of its schedule, and logs each statement that it carried out. Each is then handed to
`cargo run --example corpus -p sql`; what is not read, or not understood, is printed.

    python3 tests/postgres/corpus.py sample|whole [FOLDER]    `sample` runs the suite's first files; FOLDER holds the
                                                              unpacked source already; CORPUS_EXAMPLE, in the
                                                              environment, is the example, built already
"""

import csv
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path("/usr/lib/postgresql/15/bin")
# The share of accepted statements that must be read.
SHARE = 0.999
# How many files of the schedule are run, and how many statements they give at least: fewer would mean that the suite
# did not run.
EXTENTS = {"sample": (60, 5_000), "whole": (None, 20_000)}
# The longest that one file of the suite may take, in seconds.
FILE_SECONDS = 120
# The longest that a download, or a build of the classifier, may take, in seconds.
LONG_SECONDS = 1500
# The opaque statements that are printed.
PRINTED = 40
# They wait for other sessions, or change the server under the others' feet.
LEFT_OUT = {"largeobject", "tablespace", "stats", "stats_import", "subscription"}


def source(folder):
    """The suite's source, from Debian's package of it. The list of sources is a copy of the machine's own with
    `deb-src`, so that the machine's stays as it is."""
    settings = folder / "apt"
    (settings / "lists" / "partial").mkdir(parents=True)
    (settings / "parts").mkdir()
    for path in Path("/etc/apt/sources.list.d").glob("*.sources"):
        text = path.read_text()
        if "debian" in text:
            (settings / "parts" / path.name).write_text(re.sub(r"(?m)^Types: .*$", "Types: deb-src", text))
    old = Path("/etc/apt/sources.list")
    lines = old.read_text().splitlines() if old.exists() else []
    lines = [re.sub(r"^deb ", "deb-src ", line) for line in lines if re.match(r"deb .*debian", line)]
    (settings / "list").write_text("\n".join(lines) + "\n")
    apt = ["apt-get", "-o", f"Dir::State::lists={settings}/lists", "-o", f"Dir::Etc::sourcelist={settings}/list",
           "-o", f"Dir::Etc::sourceparts={settings}/parts"]
    subprocess.run([*apt, "update"], check=True, timeout=LONG_SECONDS, stdout=subprocess.DEVNULL)
    shown = subprocess.run(["apt-cache", *apt[1:], "showsrc", "postgresql-15"], check=True, capture_output=True, text=True)
    # The newest is not everywhere yet.
    for version in sorted(set(re.findall(r"(?m)^Version: (.+)$", shown.stdout)), reverse=True):
        command = [*apt, "source", "--download-only", f"postgresql-15={version}"]
        if subprocess.run(command, cwd=folder, timeout=LONG_SECONDS, stdout=subprocess.DEVNULL).returncode == 0:
            break
    archive = next(folder.glob("postgresql-15_*.orig.tar.*"))
    subprocess.run(["tar", "-xf", archive, "-C", folder, "--wildcards", "*/src/test/regress/*"], check=True)
    return next(path for path in folder.iterdir() if (path / "src/test/regress").is_dir())


class Server:
    """A server of its own, which logs what it carried out as CSV."""

    def __init__(self, folder):
        self.folder, self.user = folder, pwd.getpwnam("postgres")
        os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        folder.chmod(0o755)
        self.run("initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale",
                 "--no-sync")
        with open(folder / "data/postgresql.conf", "a") as config:
            config.write(
                f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nfsync = off\n"
                "log_destination = csvlog\nlogging_collector = on\nlog_filename = 'all.log'\nlog_rotation_size = 0\n"
                # A statement is logged with its time only when it was carried out.
                "log_min_duration_statement = 0\nlog_min_messages = log\nmax_prepared_transactions = 2\n"
            )
        self.run("pg_ctl", "-D", folder / "data", "-l", folder / "start.log", "-w", "start")

    def command(self, name, *arguments):
        as_user = ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
        return [*as_user, str(BIN / name), *map(str, arguments)]

    def run(self, name, *arguments):
        subprocess.run(self.command(name, *arguments), check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def feed(self, path, env):
        """Runs a file of the suite; errors in it are the suite's own business."""
        command = self.command("psql", "-X", "-q", "-h", self.folder, "-U", "postgres", "-d", "regression",
                               "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on", "-f", path)
        try:
            subprocess.run(command, env={**os.environ, **env}, cwd=self.folder, timeout=FILE_SECONDS,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            print(f"{path.name} took longer than {FILE_SECONDS} s and was stopped")

    def stop(self):
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "fast", "-w", "stop")

    def accepted(self):
        """The statements that were carried out, each once."""
        csv.field_size_limit(1 << 30)
        found = {}
        with open(next((self.folder / "data/log").glob("*.csv")), newline="", encoding="utf-8", errors="strict") as log:
            for row in csv.reader(log):
                match = re.match(r"duration: [0-9.]+ ms  (?:statement|(?:execute|parse) [^:]*): (.*)", row[13], re.S)
                if match and "\0" not in match[1]:
                    found[match[1]] = None
        return list(found)


def scheduled(suite, files):
    """The first files of the schedule, in its order; later ones use what earlier ones have made."""
    names = []
    for line in (suite / "parallel_schedule").read_text().splitlines():
        names += line.removeprefix("test:").split() if line.startswith("test:") else []
    paths = [suite / "sql" / f"{name}.sql" for name in names if name not in LEFT_OUT]
    return [path for path in paths if path.exists()][:files]


def accepted(folder, suite, files):
    server = Server(folder / "server")
    try:
        server.run("createdb", "-h", server.folder, "-U", "postgres", "--template=template0", "regression")
        (server.folder / "results").mkdir(mode=0o777)
        env = {"PG_ABS_SRCDIR": str(suite), "PG_ABS_BUILDDIR": str(server.folder), "PG_LIBDIR": "/nowhere",
               "PG_DLSUFFIX": ".so", "PGTZ": "PST8PDT", "PGDATESTYLE": "Postgres, MDY"}
        for path in scheduled(suite, files):
            server.feed(path, env)
    finally:
        server.stop()
    return server.accepted()


def classified(statements):
    """What the classifier says of each."""
    built = os.environ.get("CORPUS_EXAMPLE")
    command = [built] if built else ["cargo", "run", "--quiet", "--package", "sql", "--example", "corpus"]
    text = "\0".join(statements).encode()
    done = subprocess.run(command, cwd=ROOT, input=text, check=True, capture_output=True, timeout=LONG_SECONDS)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    files, fewest = EXTENTS[sys.argv[1]]
    work = Path(tempfile.mkdtemp(prefix="countersign-corpus-"))
    work.chmod(0o755)
    try:
        tree = Path(sys.argv[2]) if len(sys.argv) > 2 else source(work)
        (work / "server").mkdir()
        # The server's user reads the suite's files.
        suite = work / "regress"
        shutil.copytree(tree / "src/test/regress", suite)
        statements = accepted(work, suite, files)
        answers = classified(statements)
    finally:
        shutil.rmtree(work, ignore_errors=True)

    unread = [(statements[answer["number"]], answer["unread"]) for answer in answers if answer["unread"]]
    opaque = [(statements[answer["number"]], answer["opaque"]) for answer in answers
              if answer["opaque"] and not answer["unread"]]
    for text, why in unread:
        print(f"not read: {why}: {text[:200]!r}")
    # DO, and EXECUTE of what another session kept, are opaque by what they are.
    odd = [(text, why) for text, why in opaque if not re.search("DO runs code|kept statement", " ".join(why))]
    for text, why in odd[:PRINTED]:
        print(f"opaque: {why}: {text[:160]!r}")
    read = len(statements) - len(unread)
    share = read / len(statements) if statements else 0
    print(f"{len(statements)} statements accepted by the server, {read} read ({share:.4%}), {len(opaque)} opaque by "
          f"what they are, {len(odd)} of them neither DO nor EXECUTE")
    checks = {"the suite ran": len(statements) >= fewest, f"{SHARE:.1%} are read": share >= SHARE,
              "every answer came": len(answers) == len(statements), "no kind of node is unknown": not odd}
    for name, passed in checks.items():
        print(f"{'ok' if passed else 'FAILED'}: {name}")
    failed = sum(not passed for passed in checks.values())
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
