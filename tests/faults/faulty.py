"""A gateway over a disk that fails at a point of one's choice, and over a clock that is wrong (shim.c)."""

import collections
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, call  # noqa: E402

KINDS = ("enospc", "eio", "cut")
# What the test's own redirections write.
NOT_OURS = "std*.log"


def shim():
    """Builds the library once, in a folder of its own."""
    library = Path(tempfile.mkdtemp(prefix="countersign-shim-")) / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl",
                    "-lpthread"], check=True)
    return library


class Point(collections.namedtuple("Point", "operation file number")):
    """The nth operation of a kind on a file, or on a family of files whose names grow with the log."""

    def __str__(self):
        return f"{self.operation} {self.number} of {self.file}"


def family(path):
    """Names that differ from run to run, by the size of the log or by chance, are one family."""
    path = re.sub(r"(public/tile/).*", r"\1*", path)
    path = re.sub(r"(activity/).*", r"\1*", path)
    return re.sub(r"(records/)[0-9a-f]{64}", r"\1*", path)


def points_of(trace):
    """Every point that a traced run made: each file's operations, counted."""
    seen = collections.Counter()
    for line in trace.read_text().splitlines():
        operation, path = line.split(" ", 1)
        seen[(operation, family(path))] += 1
    return [Point(operation, file, number) for (operation, file), count in sorted(seen.items())
            for number in range(1, count + 1)]


class Disk:
    """The environment in which a program sees a failing disk."""

    def __init__(self, library, folder):
        self.library, self.folder = library, Path(folder)
        self.hit, self.trace = self.beside(".hit"), self.beside(".trace")

    def beside(self, ending):
        return self.folder.with_name(self.folder.name + ending)

    def tracing(self):
        self.trace.unlink(missing_ok=True)
        return {**self._ours(), "FAULT_TRACE": str(self.trace)}

    def failing(self, kind, point, seed, span=1, keep=1):
        self.hit.unlink(missing_ok=True)
        return {**self._ours(), "FAULT_KIND": kind, "FAULT_OP": point.operation, "FAULT_FILE": point.file,
                "FAULT_AT": str(point.number), "FAULT_SPAN": str(span), "FAULT_SEED": str(seed),
                "FAULT_KEEP": str(keep), "FAULT_HIT": str(self.hit)}

    def was_hit(self):
        return self.hit.exists()

    def tidy(self):
        """Mapped memory is gone with the power; so is what the shim kept to give back."""
        for path in self.folder.rglob("*-shm"):
            path.unlink()
        for path in self.folder.parent.glob(self.folder.name + ".kept-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _ours(self):
        return {"LD_PRELOAD": str(self.library), "FAULT_FOLDER": str(self.folder), "FAULT_EXCEPT": NOT_OURS}


class Faulty(House):
    """A gateway whose disk can be made to fail; its folder can be set back to how it stood."""

    def __init__(self, library, config, clock=None):
        super().__init__(config)
        self.disk, self.sound = Disk(library, self.folder), dict(self.env)
        if clock:
            self.sound.update({"LD_PRELOAD": str(library), "CLOCK_FILE": str(clock)})
            self.env = dict(self.sound)
        self.kept = self.disk.beside(".snapshot")

    def snapshot(self):
        """How its folder stands, with nobody at work in it."""
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.folder, self.kept)

    def set_back(self):
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder)

    def seen_by(self, environment):
        self.env = {**self.sound, **environment}
        return self

    def start_sound(self):
        self.disk.tidy()
        return self.seen_by({}).start()

    def is_up(self):
        return self.process is not None and self.process.poll() is None

    def end(self):
        """Gone at once, if it is not gone already."""
        if self.is_up():
            self.kill()

    def size(self):
        return int(call("GET", f"{self.url}/readyz").expect(200).body.rsplit(b" ", 1)[1])

    def published(self):
        """The size of the published tree; nothing before the first."""
        path = self.folder / "public" / "checkpoint"
        return int(path.read_text().splitlines()[1]) if path.exists() else None

    def wait_published(self, seconds):
        """Until everything is published. The publisher holds what it finds against the log's consistency proof."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            wanted = self.size()
            if self.published() == wanted:
                return
            time.sleep(0.05)
        raise AssertionError(f"the log has {wanted} entries, published are {self.published()}: "
                             f"{(self.folder / 'stderr.log').read_text()[-600:]}")


class WrongClock:
    """By how much the wall clock of whoever has this file is wrong; it can be turned while they run."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="countersign-clock-")) / "offset"
        self.turn(0)

    def turn(self, seconds):
        # Written in place: it is mapped.
        if not self.path.exists():
            self.path.write_bytes(struct.pack("<q", seconds))
            return
        with open(self.path, "r+b") as file:
            os.pwrite(file.fileno(), struct.pack("<q", seconds), 0)
