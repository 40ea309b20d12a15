"""`countersign witness` over a failing disk, and a small log of our own for it to cosign."""

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from faulty import Disk  # noqa: E402
from house import ROOT, call, free_port  # noqa: E402

START_SECONDS = 20


def b64(data):
    return base64.b64encode(data).decode()


class Log:
    """A log of a few entries, whole in memory, with a second history that parts from the first at its first entry."""

    ORIGIN = "log.example/faults"

    def __init__(self):
        self.key = ed25519.Ed25519PrivateKey.generate()
        public = b"\x01" + self.key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.id = hashlib.sha256(self.ORIGIN.encode() + b"\n" + public).digest()[:4]
        self.vkey = f"{self.ORIGIN}+{self.id.hex()}+{b64(public)}"

    @staticmethod
    def leaf(index, forked):
        return hashlib.sha256(b"\x00" + f"{'forked' if forked else 'entry'} {index}".encode()).digest()

    @classmethod
    def root(cls, first, past, forked):
        """RFC 6962's tree hash of the entries from one index to another."""
        size = past - first
        if size == 1:
            return cls.leaf(first, forked)
        split = 1 << ((size - 1).bit_length() - 1)
        left, right = cls.root(first, first + split, forked), cls.root(first + split, past, forked)
        return hashlib.sha256(b"\x01" + left + right).digest()

    @classmethod
    def proof(cls, old, first, past, forked, whole=True):
        """RFC 6962's consistency proof, as its section 2.1.2 has it."""
        size = past - first
        if old == size:
            return [] if whole else [cls.root(first, past, forked)]
        split = 1 << ((size - 1).bit_length() - 1)
        if old <= split:
            return [*cls.proof(old, first, first + split, forked, whole), cls.root(first + split, past, forked)]
        rest = cls.proof(old - split, first + split, past, forked, False)
        return [*rest, cls.root(first, first + split, forked)]

    def request(self, old, size, forked):
        body = f"{self.ORIGIN}\n{size}\n{b64(self.root(0, size, forked))}\n"
        signature = b64(self.id + self.key.sign(body.encode()))
        proof = self.proof(old, 0, size, forked) if 0 < old <= size else []
        lines = "".join(f"{b64(line)}\n" for line in proof)
        return f"old {old}\n{lines}\n{body}\n— {self.ORIGIN} {signature}\n".encode()


class Witness:
    """One witness in a folder of its own, whose disk can be made to fail."""

    def __init__(self, library=None, log_key=None):
        self.folder, self.log = Path(tempfile.mkdtemp(prefix="countersign-witness-")), Log()
        self.port, self.key, self.process, self.env = free_port(), None, None, dict(os.environ)
        self.disk = Disk(library, self.folder)
        (self.folder / "witness.toml").write_text(
            f'name = "witness.example/faults"\nlisten = "127.0.0.1:{self.port}"\nfolder = "state"\n'
            f'logs = ["{log_key or self.log.vkey}"]\n')

    @property
    def binary(self):
        return os.environ.get("COUNTERSIGN_BIN") or str(ROOT / "target" / "debug" / "countersign")

    def snapshot(self):
        shutil.copytree(self.folder, self.disk.beside(".snapshot"), dirs_exist_ok=True)

    def set_back(self):
        shutil.rmtree(self.folder)
        shutil.copytree(self.disk.beside(".snapshot"), self.folder)
        self.key = None

    def seen_by(self, environment):
        self.env = {**os.environ, **environment}
        return self

    def start(self):
        out = self.folder / "stdout.log"
        out.unlink(missing_ok=True)
        self.process = subprocess.Popen([self.binary, "witness", str(self.folder / "witness.toml")], env=self.env,
                                        stdout=open(out, "wb"), stderr=open(self.folder / "stderr.log", "ab"))
        end = time.monotonic() + START_SECONDS
        while "logs " not in out.read_text():
            assert self.process.poll() is None, f"the witness ended: {(self.folder / 'stderr.log').read_text()[-800:]}"
            assert time.monotonic() < end, "the witness was not ready in time"
            time.sleep(0.01)
        self.key = out.read_text().split()[2]
        return self

    def start_sound(self):
        self.disk.tidy()
        return self.seen_by({}).start()

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def ask(self, old, size, forked=False):
        return call("POST", f"http://127.0.0.1:{self.port}/add-checkpoint", self.log.request(old, size, forked), timeout=30)

    def cosigns(self, old, size, forked=False):
        return self.ask(old, size, forked).status == 200

    def latest(self):
        """The size of the tree that it cosigned last; 0 for none."""
        name = hashlib.sha256(Log.ORIGIN.encode()).hexdigest()
        answer = call("GET", f"http://127.0.0.1:{self.port}/{name}/checkpoint")
        return int(answer.body.splitlines()[1]) if answer.status == 200 else 0

    def follows(self, size):
        """It goes on from wherever it is."""
        self.ask(self.latest(), size).expect(200)
