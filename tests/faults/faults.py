"""Write errors and power cuts at every write point of keys, database, anchor, published log, activity, and a witness's memory.

A preloaded library (shim.c) stands between a program and its folder. Each script (a first start, an action on its way, a
change of the log's key, a pruning, a witness at work) is run once to count its write points, file by file and operation by
operation. Then it is run once for each point and each kind of failure: the disk is full, fails, or loses its power there;
syncs that were acknowledged stand, everything else may be gone in part. After each the program starts again on a sound disk
from what is left. No acknowledged decision may be lost, nothing may run twice, the whole log must read back, and what was
published must still be its beginning.

    faults.py                   a sample: SAMPLE points of each script, and SAMPLE_ROUNDS rounds
    faults.py all [WORKERS]     every point with every kind of failure, and ALL_ROUNDS rounds
    faults.py NAME              every point of one script

In a round several calls in a row fail, from a point drawn by chance on.
"""

import functools
import queue
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "crash"))
from faulty import KINDS, Faulty, Point, WrongClock, points_of, shim  # noqa: E402
from house import Tally  # noqa: E402
from kill_loop import POLICY, Target  # noqa: E402
from witness import Witness  # noqa: E402

CONFIG = '[transparency]\nfolder = "public"\n'
DAY = 24 * 3600
# How many points of each script a sample takes, and how many rounds.
SAMPLE, SAMPLE_ROUNDS, ALL_ROUNDS = 4, 3, 60
# How long the whole way of one action may take over a failing disk, and what is published after it, in seconds.
PLAY_SECONDS, PUBLISH_SECONDS = 4, 6
# The search index is rebuilt at will and decides nothing; its files are under way in rounds alone.
PASSED_OVER = "search"


class Script:
    """Something that a program does to its folder. One instance a worker."""

    def __init__(self, library):
        self.library = library

    def prepare(self):
        """Brings the folder to where the script begins, and keeps it so."""
        raise NotImplementedError

    def run(self, environment):
        """Does it, under this environment; whatever fails is no failure of the test."""
        raise NotImplementedError

    def judge(self):
        """What must hold after a start on a sound disk."""
        raise NotImplementedError

    @property
    def disk(self):
        return self.house.disk

    def once(self, environment):
        self.house.set_back()
        self.run(environment)
        self.house.end()
        self.disk.tidy()
        self.judge()
        self.house.end()

    def trace(self):
        """Every write point of a run on a sound disk."""
        self.once(self.disk.tracing())
        return [point for point in points_of(self.disk.trace) if PASSED_OVER not in point.file]

    def close(self):
        self.house.end()

    def reads_back(self):
        """The whole log, from its files, once nobody is at work."""
        self.house.wait_published(20)
        self.house.end()
        self.disk.tidy()
        checked = self.house.seen_by({}).run("audit", "log")
        assert checked.returncode == 0, checked.stdout + checked.stderr


class FirstStart(Script):
    """The keys are made, and a log begins."""

    name = "a first start"

    def prepare(self):
        self.house = Faulty(self.library, CONFIG)
        self.house.snapshot()
        return self

    def run(self, environment):
        try:
            self.house.seen_by(environment).start()
            self.house.wait_published(PUBLISH_SECONDS)
        except (AssertionError, OSError):
            pass  # it did not start, or not for long

    def judge(self):
        before = self.house.published()
        self.house.start_sound()
        assert self.house.size() >= (before or 1), "entries were published, and are gone"
        self.reads_back()


class Action(Script):
    """One action is asked for, held, approved, run, sealed, and published."""

    name = "an action"

    def prepare(self):
        self.house, self.target = Faulty(self.library, CONFIG).start(), Target()
        admin = self.house.bootstrap()
        self.reviewer = self.house.add_person("Rita Reviewer")
        self.agent = self.house.add_agent(sponsor=admin)
        self.house.apply_policy(POLICY)
        self.house.set_route("target", {"name": "target", "upstream": self.target.url, "environment": "prod",
                                        "run_when_gone": True, "wait": "5s"})
        self.house.stop()
        self.house.snapshot()
        self.number = 0
        return self

    def run(self, environment):
        self.number += 1
        self.path, self.held, self.acknowledged, self.answered = f"/faulty/{self.number}", None, False, None
        self.agent._token = None
        try:
            self.house.seen_by(environment).start()
            self.agent.token()
        except (AssertionError, OSError):
            return  # it did not start, or lost its power at once
        threading.Thread(target=self.ask, daemon=True).start()
        try:
            self.approve()
            if self.house.is_up():
                self.house.wait_published(PUBLISH_SECONDS)
        except (OSError, ValueError, AssertionError, IndexError):
            pass  # the power went, or the gateway said that it cannot

    def ask(self):
        try:
            self.answered = self.agent.call("DELETE", self.path).status
        except (OSError, AssertionError):
            pass  # the power went

    def approve(self):
        end = time.monotonic() + PLAY_SECONDS
        while self.held is None and self.answered is None and self.house.is_up() and time.monotonic() < end:
            rows = self.reviewer.inbox()
            self.held = rows[0]["id"] if rows else None
            time.sleep(0.01)
        if not self.held:
            return  # refused: it could not be recorded
        self.acknowledged = self.reviewer.approve(self.held).status == 200
        while self.answered is None and self.house.is_up() and time.monotonic() < end:
            time.sleep(0.01)

    def runs(self):
        with self.target.lock:
            return self.target.runs.get(self.path, 0)

    def judge(self):
        before = self.house.published() or 0
        self.house.start_sound()
        assert self.house.size() >= before, "entries were published, and are gone"
        assert self.runs() <= 1, f"it ran {self.runs()} times"
        if self.held is None:
            assert self.runs() == 0, "it ran without anybody being asked"
        else:
            self.judge_held()
        self.reads_back()

    def judge_held(self):
        view = self.reviewer.approval(self.held)
        if self.acknowledged:
            assert view["state"] in ("approved", "executing", "finished"), f"an acknowledged approval is {view['state']}"
        if view["state"] == "pending":
            assert self.runs() == 0, "it ran unapproved"
            self.reviewer.approve(self.held).expect(200)
        end = time.monotonic() + 20
        while view["state"] != "finished":
            assert time.monotonic() < end, f"still {view['state']}"
            time.sleep(0.02)
            view = self.reviewer.approval(self.held)
        ending, runs = view["outcome"]["ending"], self.runs()
        assert runs <= 1, f"it ran {runs} times"
        assert ending == "unknown" or runs == 1, f"it is said to have {ending}, and ran {runs} times"


class Offline(Script):
    """Something that an operator does while the gateway is stopped."""

    def run(self, environment):
        self.done = self.house.seen_by(environment).run(*self.words)

    def judge(self):
        before = self.house.published() or 0
        self.house.start_sound()
        assert self.house.size() >= before, "entries were published, and are gone"
        self.holds()
        self.reads_back()


class Rotation(Offline):
    name = "a change of the log's key"
    words = ("keys", "rotate", "--reason", "once a year")

    def prepare(self):
        self.house = Faulty(self.library, CONFIG).start()
        self.house.bootstrap()
        self.old = self.house.log_key()
        self.house.wait_published(20)
        self.house.stop()
        self.house.snapshot()
        return self

    def holds(self):
        changed = self.house.log_key() != self.old
        assert changed or self.done.returncode != 0, "it is said to be changed, and is not"
        again = self.house.admin.call("GET", "/v1/log/rotations").expect(200).json()
        count = len(again["rotations"] if isinstance(again, dict) else again)
        assert count == (1 if changed else 0), f"the log tells of {count} changes, and its key is {self.house.log_key()}"


class Pruning(Offline):
    """Entries of the day before yesterday lose their values and their leaves."""

    name = "a pruning"

    def prepare(self):
        self.clock = WrongClock()
        self.clock.turn(-2 * DAY)
        self.house, target = Faulty(self.library, CONFIG, self.clock.path).start(), Target()
        admin = self.house.bootstrap()
        reviewer, agent = self.house.add_person("Rita Reviewer"), self.house.add_agent(sponsor=admin)
        self.house.apply_policy(POLICY)
        self.house.set_route("target", {"name": "target", "upstream": target.url, "environment": "prod"})
        # The agent's clock is the gateway's.
        now = int(time.time()) - 2 * DAY
        agent.assertion = functools.partial(agent.assertion, iat=now, exp=now + 120)
        agent.token()
        number = 0
        # What a pruning can drop comes with requests that are over.
        while self.house.size() < 300:
            number += 1
            threading.Thread(target=agent.call, args=("DELETE", f"/many/{number}"), daemon=True).start()
            reviewer.deny(reviewer.wait_for_pending()).expect(200)
        self.house.wait_published(20)
        self.house.stop()
        self.clock.turn(0)
        self.house.snapshot()
        today = time.strftime("%Y-%m-%d", time.gmtime())
        self.words = ("audit", "prune", "--leaves", "--before", today)
        return self

    def holds(self):
        said = self.done.stdout
        if self.done.returncode == 0:
            assert "dropped the values" in said, said


class Witnessing(Script):
    """A witness's first start, and a log that it cosigns three times."""

    name = "a witness"

    def prepare(self):
        self.house = Witness(self.library)
        self.house.snapshot()
        return self

    def run(self, environment):
        self.cosigned = 0
        try:
            self.house.seen_by(environment).start()
            for size in (1, 2, 3):
                if self.house.cosigns(size - 1, size):
                    self.cosigned = size
        except (AssertionError, OSError):
            pass

    def judge(self):
        known = self.house.key
        self.house.start_sound()
        if self.cosigned:
            assert self.house.key == known, "it has another key than it cosigned with"
            size = self.house.latest()
            assert size >= self.cosigned, f"it cosigned {self.cosigned} entries, and remembers {size}"
            for old in range(self.cosigned + 1):
                assert not self.house.cosigns(old, 4, forked=True), f"it cosigned two histories, from {old}"
        self.house.follows(4)


SCRIPTS = (FirstStart, Action, Rotation, Pruning, Witnessing)


def with_kinds(points):
    return [(point, kind) for point in points for kind in KINDS]


def at_points(script, chosen, dice, workers, library, tally):
    """Runs one script at these points, several at a time; answers how many were hit and how many lost their power."""
    waiting, hits, lock = queue.Queue(), [0], threading.Lock()
    for one in chosen:
        waiting.put((*one, dice.randrange(1 << 31), dice.choice((0, 1, 2))))

    def work(own):
        while True:
            try:
                point, kind, seed, keep = waiting.get_nowait()
            except queue.Empty:
                return

            def failing():
                own.once(own.disk.failing(kind, point, seed, keep=keep))

            with_name = f"{script.name}: {kind} at {point} (seed {seed}, keep {keep})"
            tally.check(with_name, failing)
            own.close()
            with lock:
                hits[0] += own.disk.was_hit()

    others = [script(library).prepare() for _ in range(workers)]
    threads = [threading.Thread(target=work, args=(own,)) for own in others]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    def most_were_hit():
        # What waits for its turn between tasks moves a call from one run to the next; of a few points more may be missed.
        percent = 80 if len(chosen) >= 50 else 50
        assert hits[0] * 100 >= len(chosen) * percent, f"only {hits[0]} of {len(chosen)} points were hit"

    tally.check(f"{script.name}: {hits[0]} of {len(chosen)} chosen points were hit", most_were_hit)


def rounds(count, dice, library, tally):
    """From a point drawn by chance on, several calls in a row fail, whatever they are."""
    own = Action(library).prepare()
    try:
        for number in range(count):
            kind, span = KINDS[number % len(KINDS)], dice.choice((1, 2, 5, 1000))
            point, seed = Point("*", "*", dice.randrange(1, 120)), dice.randrange(1 << 31)
            environment = own.disk.failing(kind, point, seed, span)
            del environment["FAULT_OP"], environment["FAULT_FILE"]
            tally.check(f"round {number}: {kind} at write point {point.number} for {span} (seed {seed})",
                        lambda environment=environment: own.once(environment))
            own.close()
    finally:
        own.close()


class Counted(Tally):
    """Several workers count at once."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def check(self, name, work):
        one = Tally()
        one.check(name, work)
        with self.lock:
            self.passed += one.passed
            self.failed += one.failed


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else "sample"
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    print(f"{what}, {workers} workers, seed {seed}", flush=True)
    dice, tally, library = random.Random(seed), Counted(), shim()
    for script in SCRIPTS:
        if what not in ("sample", "all", script.name):
            continue
        own = script(library).prepare()
        try:
            chosen = with_kinds(own.trace())
        finally:
            own.close()
        print(f"{script.name}: {len(chosen) // len(KINDS)} write points, each to fail in {len(KINDS)} ways", flush=True)
        if what == "sample":
            chosen = dice.sample(chosen, min(SAMPLE, len(chosen)))
        at_points(script, chosen, dice, workers, library, tally)
    if what in ("sample", "all"):
        rounds(SAMPLE_ROUNDS if what == "sample" else ALL_ROUNDS, dice, library, tally)
    tally.close()


if __name__ == "__main__":
    main()
