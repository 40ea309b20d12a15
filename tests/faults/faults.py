"""Write errors and power cuts at every write point of the database, the anchor, the published log and the activity.

A preloaded library (shim.c) stands between the gateway and its folder. In each round one action goes its way (asked, held,
approved, run, sealed) while the disk is full, fails, or loses its power at one write point; syncs that were acknowledged
stand, everything else may be gone in part. Then the gateway starts again on a sound disk. No acknowledged decision may be
lost, nothing may run twice, the whole log must read back, and what was published must still be its beginning.

Arguments: rounds (default: a short sample) and a seed.
"""

import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "crash"))
from house import House, Tally, call  # noqa: E402
from kill_loop import POLICY, Target  # noqa: E402

CONFIG = '[transparency]\nfolder = "countersign-data/public"\n'
KINDS = ("cut", "enospc", "eio")
# One action makes some forty write points; later ones fall on heartbeats and on nothing.
POINTS = 60


def shim(folder):
    library = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl",
                    "-lpthread"], check=True)
    return library


class Faulty(House):
    """A gateway whose disk can be made to fail."""

    def __init__(self, library, config):
        super().__init__(config)
        self.library, self.arm = library, self.folder / "faults-are-armed"
        self.sound = dict(self.env)

    def start_faulty(self, kind, point, span, seed):
        self.env = {**self.sound, "LD_PRELOAD": str(self.library), "FAULT_FOLDER": str(self.folder / "countersign-data"),
                    "FAULT_ARM": str(self.arm), "FAULT_KIND": kind, "FAULT_AT": str(point), "FAULT_SPAN": str(span),
                    "FAULT_SEED": str(seed)}
        return self.start()

    def start_sound(self):
        self.arm.unlink(missing_ok=True)
        self.env = dict(self.sound)
        # Mapped memory is gone with the power.
        for path in (self.folder / "countersign-data").glob("*-shm"):
            path.unlink()
        return self.start()


class Round:
    """One action on its way over a failing disk."""

    def __init__(self, house, target, reviewer, agent, number):
        self.house, self.target, self.reviewer, self.agent = house, target, reviewer, agent
        self.path, self.held, self.acknowledged, self.answered = f"/faulty/{number}", None, False, None

    def play(self, known):
        def ask():
            try:
                self.answered = self.agent.call("DELETE", self.path).status
            except OSError:
                pass  # the power went
        threading.Thread(target=ask, daemon=True).start()
        try:
            end = time.monotonic() + 3
            while self.held is None and time.monotonic() < end:
                rows = [row["id"] for row in self.reviewer.inbox() if row["id"] not in known]
                self.held = rows[0] if rows else None
                if self.held is None and self.answered is not None:
                    return  # refused: it could not be recorded
                time.sleep(0.02)
            if self.held:
                self.acknowledged = self.reviewer.approve(self.held).status == 200
                end = time.monotonic() + 3
                while self.answered is None and time.monotonic() < end and self.house.process.poll() is None:
                    time.sleep(0.02)
        except (OSError, ValueError, AssertionError):
            pass  # the power went, or the gateway said that it cannot

    def runs(self):
        with self.target.lock:
            return self.target.runs.get(self.path, 0)

    def judge(self):
        runs = self.runs()
        assert runs <= 1, f"it ran {runs} times"
        if self.held is None:
            assert runs == 0, "it ran without anybody being asked"
            return
        view = self.reviewer.approval(self.held)
        if self.acknowledged:
            assert view["state"] in ("approved", "executing", "finished"), f"an acknowledged approval is {view['state']}"
        if view["state"] == "pending":
            assert runs == 0, "it ran unapproved"
            self.reviewer.approve(self.held).expect(200)
        end = time.monotonic() + 20
        while view["state"] != "finished":
            assert time.monotonic() < end, f"still {view['state']}"
            time.sleep(0.02)
            view = self.reviewer.approval(self.held)
        ending, runs = view["outcome"]["ending"], self.runs()
        assert runs <= 1, f"it ran {runs} times"
        assert ending == "unknown" or runs == 1, f"it is said to have {ending}, and ran {runs} times"


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"{rounds} rounds, seed {seed}", flush=True)
    dice, tally, target = random.Random(seed), Tally(), Target()
    library = shim(Path(tempfile.mkdtemp(prefix="countersign-shim-")))
    house = Faulty(library, CONFIG).start()
    try:
        admin = house.bootstrap()
        reviewer = house.add_person("Rita Reviewer")
        agent = house.add_agent(sponsor=admin)
        house.apply_policy(POLICY)
        house.set_route("target", {"name": "target", "upstream": target.url, "environment": "prod", "run_when_gone": True,
                                   "wait": "5s"})
        agent.token()
        known, cuts, refusals = set(), 0, 0
        for number in range(rounds):
            kind = KINDS[number % len(KINDS)]
            point, span = dice.randrange(1, POINTS), dice.choice((1, 1, 2, 1000))

            def one(number=number, kind=kind, point=point, span=span):
                nonlocal cuts, refusals
                house.stop()
                house.start_faulty(kind, point, span, dice.randrange(1 << 31))
                house.arm.touch()
                play = Round(house, target, reviewer, agent, number)
                play.play(known)
                died = house.process.poll() is not None
                cuts += died
                refusals += not died and not play.acknowledged
                house.arm.unlink()
                if not died:
                    house.kill()
                house.start_sound()
                play.judge()
                known.update(row["id"] for row in reviewer.inbox())

            tally.check(f"round {number}: {kind} at write point {point} for {span}", one)
            if house.process.poll() is not None:
                house.start_sound()

        def some_rounds_lost_their_power():
            assert cuts > 0, "no power cut ever fell: the shim does not see the gateway's writes"

        def what_was_published_is_the_logs_beginning():
            # The publisher holds what it finds against the log's consistency proof, and goes on only from there.
            public, end = house.folder / "countersign-data" / "public" / "checkpoint", time.monotonic() + 20
            wanted = None
            while time.monotonic() < end:
                wanted = int(call("GET", f"{house.url}/readyz").body.rsplit(b" ", 1)[1])
                if public.exists() and int(public.read_text().splitlines()[1]) == wanted:
                    return
                time.sleep(0.2)
            raise AssertionError(f"the log has {wanted} entries, published is: {public.exists() and public.read_text()}")

        def the_whole_log_reads_back():
            house.stop()
            checked = house.run("audit", "log")
            assert checked.returncode == 0, checked.stdout + checked.stderr
            house.start_sound()

        tally.check("some rounds lost their power", some_rounds_lost_their_power)
        tally.check("what was published is the log's beginning", what_was_published_is_the_logs_beginning)
        tally.check("the whole log reads back", the_whole_log_reads_back)
        print(f"{cuts} rounds lost their power, {refusals} ended unapproved", flush=True)
    finally:
        house.stop()
    tally.close()


if __name__ == "__main__":
    main()
