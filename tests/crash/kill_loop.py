"""kill -9 at every step between hold and seal, in a loop.

After each kill the gateway starts again over the same folder. No acknowledged decision may be lost, nothing may run
twice, and what was in flight reads `unknown`. The number of rounds is the first argument (default: a short sample).
"""

import http.server
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, Tally  # noqa: E402

POLICY = """
@id("all") @why("everything may be asked")
permit (principal, action, resource);
@id("hold-removal") @hold("reviewers:1") @ttl("30m") @grant("10m") @why("removes something")
forbid (principal, action in Action::"destroy", resource);
"""

# Where in the way the kill falls. A number is a pause in seconds before it, drawn anew each round.
STEPS = ["asking", "held", "reviewing", "approved", "running", "answered", "sealed"]


class Target(http.server.ThreadingHTTPServer):
    """A service that remembers how often each thing was removed, and can be made to dwell."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs, self.lock = {}, threading.Lock()
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_DELETE(self):
        target = self.server
        with target.lock:
            target.runs[self.path] = target.runs.get(self.path, 0) + 1
        target.reached.set()
        target.go_on.wait(20)
        try:
            self.send_response(204)
            self.end_headers()
        except OSError:
            pass

    def log_message(self, *_):
        pass


class Round:
    """One action on its way, and one kill."""

    def __init__(self, house, target, reviewer, agent, number, step, dice):
        self.house, self.target, self.reviewer, self.agent = house, target, reviewer, agent
        self.path, self.step, self.dice = f"/items/{number}", step, dice
        self.acknowledged = False

    def call_in_background(self):
        def work():
            try:
                self.agent.call("DELETE", self.path)
            except OSError:
                pass  # the gateway was killed under us
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def review(self, held):
        try:
            answer = self.reviewer.approve(held)
            self.acknowledged = answer.status == 200
        except (OSError, ValueError):
            pass

    def play(self, known):
        self.target.reached.clear()
        if self.step in ("running",):
            self.target.go_on.clear()
        self.call_in_background()
        if self.step == "asking":
            time.sleep(self.dice.uniform(0, 0.02))
            return None
        held = self.reviewer.wait_for_pending(besides=known)
        if self.step == "held":
            return held
        reviewing = threading.Thread(target=self.review, args=(held,), daemon=True)
        reviewing.start()
        if self.step == "reviewing":
            time.sleep(self.dice.uniform(0, 0.03))
        elif self.step == "approved":
            reviewing.join(20)
            time.sleep(self.dice.uniform(0, 0.01))
        elif self.step == "running":
            assert self.target.reached.wait(20), "it never ran"
        elif self.step == "answered":
            assert self.target.reached.wait(20), "it never ran"
            time.sleep(self.dice.uniform(0, 0.01))
        else:
            reviewing.join(20)
            self.wait_for(held, ("finished",))
        return held

    def wait_for(self, held, states, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            view = self.reviewer.approval(held)
            if view["state"] in states:
                return view
            time.sleep(0.02)
        raise AssertionError(f"{held} is {view['state']}, expected one of {states}")

    def judge(self, held):
        """What must hold after the restart."""
        if held is None:
            # Killed while asking: held or not, it never ran.
            assert self.runs() == 0, "it ran without anybody being asked"
            return
        view = self.reviewer.approval(held)
        if view["state"] == "pending":
            assert not self.acknowledged, "an acknowledged approval was lost"
            assert self.runs() == 0, "it ran unapproved"
            self.reviewer.approve(held).expect(200)
        view = self.wait_for(held, ("finished",))
        ending = view["outcome"]["ending"]
        assert self.runs() <= 1, f"it ran {self.runs()} times"
        if ending == "succeeded":
            assert self.runs() == 1, "it is said to have run, and did not"
        else:
            assert ending == "unknown", ending
        if self.step == "running":
            assert ending == "unknown", "what was in flight must read unknown"

    def runs(self):
        with self.target.lock:
            return self.target.runs.get(self.path, 0)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2 * len(STEPS)
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"{rounds} rounds, seed {seed}", flush=True)
    dice, tally, target = random.Random(seed), Tally(), Target()
    house = House().start()
    try:
        admin = house.bootstrap()
        reviewer = house.add_person("Rita Reviewer")
        agent = house.add_agent(sponsor=admin)
        house.apply_policy(POLICY)
        house.set_route("target", {"name": "target", "upstream": target.url, "environment": "prod",
                                   "run_when_gone": True, "wait": "50s"})
        known = set()
        for number in range(rounds):
            step = STEPS[number % len(STEPS)]

            def one(number=number, step=step):
                play = Round(house, target, reviewer, agent, number, step, dice)
                held = play.play(known)
                house.kill()
                target.go_on.set()
                house.start()
                play.judge(held)
                known.update(row["id"] for row in reviewer.inbox())

            tally.check(f"round {number}: killed while {step}", one)
            if house.process.poll() is not None:
                house.start()

        def the_log_is_whole():
            house.stop()
            house.start()
            done = reviewer.inbox("finished")[0]["id"]
            path = house.folder / "receipt.json"
            path.write_bytes(reviewer.call("GET", f"/v1/approvals/{done}/receipt").expect(200).body)
            checked = house.run("audit", "verify", str(path), "--log-key", house.log_key())
            assert checked.returncode == 0, checked.stdout + checked.stderr

        tally.check("the log is whole after all kills", the_log_is_whole)
    finally:
        house.stop()
    tally.close()


if __name__ == "__main__":
    main()
