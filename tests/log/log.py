#!/usr/bin/env python3
"""The log against programs that we did not write.

Differential: our tree, proofs, tiles, notes, cosignatures, policies and proof files against golang.org/x/mod/sumdb,
transparency-dev/merkle and torchwood (Go) and pymerkle (Python), at the sizes where shapes change and at random ones,
both ways, good and spoiled. Live: torchwood's litewitness cosigns our log, a Go client is cosigned by our witness, and
logs that show two histories are refused by both."""

import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import ROOT, House, Tally, call, free_port  # noqa: E402

HERE = Path(__file__).resolve().parent
WORK = Path(tempfile.mkdtemp(prefix="countersign-log-"))
WAIT_SECONDS = 20
BUILD_SECONDS = 1000
EMPTY_ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

BINARY = Path(os.environ.get("COUNTERSIGN_BIN") or ROOT / "target/debug/countersign")
EXAMPLES = BINARY.parent / "examples"


def run(*command, seconds=300, well=True, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds, **more)
    if well and done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise AssertionError(f"{Path(str(command[0])).name} {command[1]} failed:\n{said}")
    return done


def build():
    run("cargo", "build", "-p", "audit", "--example", "log_vectors", cwd=ROOT, seconds=BUILD_SECONDS)
    run("cargo", "build", "-p", "transparency", "--example", "cosign", cwd=ROOT, seconds=BUILD_SECONDS)
    run("cargo", "build", "-p", "verify", "--bin", "countersign-verify", cwd=ROOT, seconds=BUILD_SECONDS)
    run("go", "build", "-o", WORK / "log-tests", ".", cwd=HERE / "go", seconds=BUILD_SECONDS)
    run("go", "build", "-o", WORK / "litewitness", "filippo.io/torchwood/cmd/litewitness", cwd=HERE / "go",
        seconds=BUILD_SECONDS)


def until(what, ready):
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        try:
            found = ready()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} was not there in {WAIT_SECONDS} s")


class Daemon:
    """A program that runs until the end of the tests."""

    running = []

    def __init__(self, folder, *command):
        self.log = folder / f"{Path(str(command[0])).name}.log"
        self.process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT)
        Daemon.running.append(self)

    def says(self, pattern):
        def look():
            assert self.process.poll() is None, f"it ended: {self.log.read_text()[-2000:]}"
            return re.search(pattern, self.log.read_text())
        return until(f"`{pattern}`", look).group(1)

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(WAIT_SECONDS)


class LiteWitness:
    """torchwood's witness, with its key in an ssh-agent as it wants it."""

    def __init__(self, name):
        self.folder = Path(tempfile.mkdtemp(dir=WORK))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "key")
        # A socket's path has room for about a hundred bytes.
        self.socket = Path(tempfile.mkdtemp(prefix="cs")) / "agent"
        self.agent = Daemon(self.folder, "ssh-agent", "-D", "-a", self.socket)
        until("the ssh-agent", self.socket.exists)
        run("ssh-add", "-q", self.folder / "key", env={**os.environ, "SSH_AUTH_SOCK": str(self.socket)})
        fingerprint = run("ssh-keygen", "-l", "-f", self.folder / "key.pub").stdout.split()[1]
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = Daemon(
            self.folder, WORK / "litewitness", "-name", name, "-db", self.folder / "db", "-ssh-agent", self.socket,
            "-listen", self.url.removeprefix("http://"), "-key", fingerprint)
        self.key = self.process.says(r"vkey=(\S+)")
        until("litewitness", lambda: call("GET", self.url + "/").status == 200)

    def trust(self, origin, key):
        """What `witnessctl add-log` and `add-key` do; it does not build without modules that are not to be had."""
        with sqlite3.connect(self.folder / "db", timeout=WAIT_SECONDS) as db:
            db.execute("INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", (origin, EMPTY_ROOT))
            db.execute("INSERT INTO key (origin, key) VALUES (?, ?)", (origin, key))
        db.close()


class OurWitness:
    """`countersign witness`."""

    def __init__(self, name, *logs):
        self.folder = Path(tempfile.mkdtemp(dir=WORK))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        keys = ", ".join(f'"{key}"' for key in logs)
        (self.folder / "witness.toml").write_text(
            f'name = "{name}"\nlisten = "127.0.0.1:{self.port}"\nfolder = "state"\nlogs = [{keys}]\n')
        self.start()

    def start(self):
        (self.folder / "countersign.log").unlink(missing_ok=True)
        self.process = Daemon(self.folder, BINARY, "witness", self.folder / "witness.toml")
        self.key = self.process.says(r"witness key\s+(\S+)")
        self.process.says(r"(listening on)")


def policy(log, quorum, **witnesses):
    """A policy file over witnesses by name."""
    path = WORK / f"policy-{secrets.token_hex(4)}"
    lines = [f"log {log}"] + [f"witness {name} {witness.key} {witness.url}/" for name, witness in witnesses.items()]
    path.write_text("\n".join([*lines, *quorum]) + "\n")
    return path


def judged(verdict, policy_file, note, origin):
    """Ours and torchwood's verdict on a checkpoint under a policy; they must agree."""
    folder = Path(tempfile.mkdtemp(dir=WORK))
    (folder / "policy").write_text(policy_file.read_text())
    (folder / "note").write_text(note)
    (folder / "cases").write_text(f"{verdict} policy policy note {origin}\n")
    run(EXAMPLES / "log_vectors", "check", folder)
    run(WORK / "log-tests", "check", folder)


def without_cosignatures(note):
    body, lines = note.rsplit("\n\n", 1)
    return f"{body}\n\n{lines.splitlines()[0]}\n"


# --- Differential -----------------------------------------------------------------------------------------------

def differential(tally, seed):
    ours, theirs = EXAMPLES / "log_vectors", WORK / "log-tests"
    python = [sys.executable, HERE / "pymerkle_vectors.py"]

    def counted(*command):
        print(f"        {run(*command).stdout.splitlines()[-1]}", flush=True)

    counted(ours, "write", WORK / "rust", seed)
    counted(theirs, "write", WORK / "go", seed)
    counted(*python, "write", WORK / "python", seed)
    tally.check("Go's verdicts on what ours wrote", lambda: counted(theirs, "check", WORK / "rust"))
    tally.check("Python's verdicts on what ours wrote", lambda: counted(*python, "check", WORK / "rust"))
    tally.check("our verdicts on what Go wrote", lambda: counted(ours, "check", WORK / "go"))
    tally.check("our verdicts on what Python wrote", lambda: counted(ours, "check", WORK / "python"))
    tally.check("Go's verdicts on what Python wrote", lambda: counted(theirs, "check", WORK / "python"))

    def a_wrong_verdict_is_seen():
        for folder, judge in (("rust", theirs), ("go", ours)):
            cases = WORK / folder / "cases"
            text = cases.read_text()
            cases.write_text(text.replace("good", "bad", 1))
            done = run(judge, "check", WORK / folder, well=False)
            cases.write_text(text)
            assert done.returncode != 0 and ", 1 failed" in done.stdout, done.stdout
    tally.check("a wrong verdict would be seen", a_wrong_verdict_is_seen)


# --- A third party's witness --------------------------------------------------------------------------------------

def their_witness(tally, lite):
    origin = "log.example/made-by-ours"
    key = run(EXAMPLES / "cosign", "key", origin).stdout.strip()
    lite.trust(origin, key)
    needs_it = policy(key, ["quorum lite"], lite=lite)
    kept = {}

    def cosign(size, *fork, well=True):
        return run(EXAMPLES / "cosign", needs_it, origin, size, *fork, well=well)

    def cosigned():
        for size in (1, 2, 100, 100, 200):
            note = kept["note"] = cosign(size).stdout
            assert note.splitlines()[1] == str(size) and len(note.rsplit("\n\n", 1)[1].splitlines()) == 2, note
            judged("good", needs_it, note, origin)
    tally.check("litewitness cosigns our log as it grows, and the quorum of one is met", cosigned)

    def refused():
        bare = without_cosignatures(kept["note"])
        judged("bad", needs_it, bare, origin)
        judged("good", policy(key, ["quorum none"], lite=lite), bare, origin)
        judged("bad", needs_it, kept["note"].replace("\n200\n", "\n199\n"), origin)
    tally.check("without its cosignature the policy refuses", refused)

    def behind():
        done = cosign(90, well=False)
        assert done.returncode != 0 and "size 200, and the log has 90 entries" in done.stderr, done
    tally.check("a restored backup finds the witness ahead, and says so", behind)

    def forked():
        for size, fork in ((200, 199), (255, 100), (255, 0)):
            done = cosign(size, fork, well=False)
            assert done.returncode != 0 and "another history" in done.stderr, done
    tally.check("litewitness refuses another history, and our client says so", forked)


def our_witness(tally):
    origin = "log.example/made-by-go"
    key = run(WORK / "log-tests", "key", origin).stdout.strip()
    witness = OurWitness("witness.example/ours", key)
    counted = lambda *words: print(f"        {run(WORK / 'log-tests', *words).stdout.splitlines()[-1]}", flush=True)
    tally.check("a Go log is cosigned by our witness, and its lies refused",
                lambda: counted("submit", witness.url, witness.key, origin))

    def restarted():
        known = witness.key
        witness.process.end(signal.SIGKILL)
        witness.start()
        assert witness.key == known
        counted("resume", witness.url, witness.key, origin)
    tally.check("our witness remembers after a kill", restarted)

    def alone():
        second = run(BINARY, "witness", witness.folder / "witness.toml", well=False, seconds=20)
        assert second.returncode != 0, second
        text = (witness.folder / "witness.toml").read_text().replace(str(witness.port), str(free_port()))
        (witness.folder / "second.toml").write_text(text)
        second = run(BINARY, "witness", witness.folder / "second.toml", well=False, seconds=20)
        assert second.returncode != 0 and "in use by another witness" in second.stderr, second
        mode = (witness.folder / "state/witness.key").stat().st_mode & 0o777
        assert mode == 0o600, oct(mode)
    tally.check("a second witness on the same folder does not start, and the key is private", alone)


def two_witnesses(tally, lite):
    origin = "log.example/two-faced"
    key = run(EXAMPLES / "cosign", "key", origin).stdout.strip()
    lite.trust(origin, key)
    ours = OurWitness("witness.example/second", key)
    both = policy(key, ["group both all lite ours", "quorum both"], lite=lite, ours=ours)
    either = policy(key, ["group either any lite ours", "quorum either"], lite=lite, ours=ours)
    only_ours = policy(key, ["quorum ours"], ours=ours)
    only_lite = policy(key, ["quorum lite"], lite=lite)

    def honest():
        note = run(EXAMPLES / "cosign", both, origin, 50).stdout
        judged("good", both, note, origin)
    tally.check("both witnesses cosign one history", honest)

    def equivocating():
        # One history for the one, another of the same size for the other.
        for face, fork in ((only_ours, ()), (only_lite, (60,))):
            run(EXAMPLES / "cosign", face, origin, 80, *fork)
        for fork in ((), (60,)):
            done = run(EXAMPLES / "cosign", both, origin, 80, *fork, well=False)
            assert done.returncode != 0 and "another history" in done.stderr, done
        # Growing further helps neither face, and one witness's consent does not drown the other's alarm.
        done = run(EXAMPLES / "cosign", either, origin, 90, well=False)
        assert done.returncode != 0 and "another history" in done.stderr, done
    tally.check("a log with two faces gets no quorum from two witnesses", equivocating)


# --- A real gateway -----------------------------------------------------------------------------------------------

def submit(witness, old, proof, note):
    body = f"old {old}\n" + "".join(f"{line}\n" for line in proof) + "\n" + note
    return call("POST", f"{witness.url}/add-checkpoint", body.encode())


def gateway(tally, lite):
    with House() as house:
        house.bootstrap()
        key = house.log_key()
        origin = key.split("+", 1)[0]
        lite.trust(origin, key)
        ours = OurWitness("witness.example/gateway", key)
        both = policy(key, ["group both all lite ours", "quorum both"], lite=lite, ours=ours)
        seen = {}

        def head():
            note = house.admin.call("GET", "/v1/log/checkpoint").expect(200).body.decode()
            return note, int(note.splitlines()[1])

        def cosigned(old, proof):
            note, size = seen["note"], seen["size"]
            for witness in (lite, ours):
                note += submit(witness, old, proof, seen["note"]).expect(200).body.decode()
            judged("good", both, note, origin)
            judged("bad", both, without_cosignatures(note), origin)
            return size

        def first():
            seen["note"], seen["size"] = head()
            seen["old"] = cosigned(0, [])
        tally.check("litewitness and ours cosign a gateway's log", first)

        def grown():
            house.add_agent()
            seen["note"], seen["size"] = head()
            assert seen["size"] > seen["old"]
            path = f"/v1/log/consistency?old={seen['old']}&new={seen['size']}"
            cosigned(seen["old"], consistency_hashes(house.admin.call("GET", path).expect(200).json()))
        tally.check("and its growth, by the gateway's own proof", grown)


def watched_gateway(tally, lite):
    """A gateway whose bootstrap file names its witnesses."""
    house = House().start()
    try:
        house.bootstrap()
        key = house.log_key()
        origin = key.split("+", 1)[0]
        lite.trust(origin, key)
        ours = OurWitness("witness.example/watching", key)
        both = policy(key, ["group both all lite ours", "quorum both"], lite=lite, ours=ours)
        house.stop()
        file, old = house.folder / "countersign.toml", house.folder.with_name(house.folder.name + "-old")
        file.write_text(file.read_text() + f'[transparency]\nwitnesses = "{both}"\nfolder = "public"\nserve = true\n')
        shutil.copytree(house.folder, old)
        house.start()

        def published(size):
            def look():
                path = house.folder / "public" / "checkpoint"
                note = path.read_text() if path.exists() else "\n0\n"
                return note if int(note.splitlines()[1]) >= size else None
            return until(f"a published checkpoint of {size} entries", look)

        def size():
            return int(house.admin.call("GET", "/v1/log/checkpoint").expect(200).body.decode().splitlines()[1])

        def cosigned():
            house.add_agent()
            note = published(size())
            judged("good", both, note, origin)
            judged("bad", both, without_cosignatures(note), origin)
            served = call("GET", f"{house.url}/log/checkpoint").expect(200).body.decode()
            judged("good", both, served, origin)
        tally.check("a gateway that names its witnesses publishes and serves only what they cosigned", cosigned)

        def bundled():
            house.admin.call("PUT", f"/v1/groups/some/members/{house.admin.id}", {}).expect(200)
            published(size())
            bundle = house.admin.call("POST", "/v1/bundles", {}).expect(200).body
            path = WORK / "period.bundle"
            path.write_bytes(bundle)
            run(BINARY.parent / "countersign-verify", path, "--trust", both)
            alone = policy(key, ["quorum lite"], lite=OurWitness("witness.example/stranger", key))
            stranger = run(BINARY.parent / "countersign-verify", path, "--trust", alone, well=False)
            assert stranger.returncode != 0, stranger.stdout
        tally.check("its bundles carry the cosignatures, and fail without the quorum", bundled)

        def behind():
            house.stop()
            shutil.rmtree(house.folder)
            shutil.copytree(old, house.folder)
            try:
                house.start()
            except AssertionError as refused:
                assert "has cosigned this log at size" in str(refused), refused
            else:
                raise AssertionError("an old copy of the whole store started, anchor and all")
        tally.check("an old copy of everything it has does not start: a witness remembers", behind)
    finally:
        house.stop()


def consistency_hashes(answer):
    """The proof's hashes in standard base64, however the API spells them."""
    hashes = answer["proof"] if isinstance(answer, dict) else answer
    return [text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4) for text in hashes]


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else secrets.randbits(32)
    print(f"seed {seed}", flush=True)
    tally = Tally()
    try:
        build()
        differential(tally, seed)
        lite = LiteWitness("witness.example/lite")
        their_witness(tally, lite)
        our_witness(tally)
        two_witnesses(tally, lite)
        gateway(tally, lite)
        watched_gateway(tally, lite)
    finally:
        for daemon in reversed(Daemon.running):
            daemon.end()
    if not tally.failed:
        shutil.rmtree(WORK)
    tally.close()


if __name__ == "__main__":
    main()
