"""A wall clock that is a day wrong, forward and back, under a running gateway and between two starts of it.

The clock of the gateway alone is wrong; whoever calls it has the right one. No entry may be older than the one before it, time may
not stand still (or nothing would lapse), nothing may run twice or unasked, and the log must read back.
"""

import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "crash"))
from faulty import Faulty, WrongClock, shim  # noqa: E402
from house import Tally, call  # noqa: E402
from kill_loop import Target  # noqa: E402

DAY = 24 * 3600
CONFIG = '[transparency]\nfolder = "public"\n'
POLICY = """
@id("all") @why("everything may be asked")
permit (principal, action, resource);
@id("hold-removal") @hold("reviewers:1") @ttl("20s") @grant("20s") @why("removes something")
forbid (principal, action in Action::"destroy", resource);
"""


class Story:
    def __init__(self):
        self.clock, self.target, self.number = WrongClock(), Target(), 0
        self.house = Faulty(shim(), CONFIG, self.clock.path).start()
        self.admin = self.house.bootstrap()
        self.reviewer = self.house.add_person("Rita Reviewer")
        self.agent = self.house.add_agent(sponsor=self.admin)
        self.house.apply_policy(POLICY)
        self.house.set_route("target", {"name": "target", "upstream": self.target.url, "environment": "prod",
                                        "run_when_gone": True, "wait": "20s"})
        self.agent.token()

    def leaves(self):
        """Every leaf that is published, from its bundles."""
        self.house.wait_published(20)
        found, size = [], self.house.published()
        for path in sorted((self.house.folder / "public" / "tile" / "entries").rglob("*")):
            if path.is_dir() or path.suffix == ".draft" or (".p" in str(path) and path.name != str(size % 256)):
                continue
            data = path.read_bytes()
            while data:
                length = int.from_bytes(data[:2], "big")
                found.append(json.loads(data[2:2 + length]))
                data = data[2 + length:]
        assert len(found) == size, f"{len(found)} leaves of {size}"
        return found

    def times(self):
        """The entries' times in seconds, which never fall."""
        times = [leaf["time"] for leaf in self.leaves()]
        assert all(isinstance(when, int) for when in times), times[:3]
        assert times == sorted(times), "an entry is older than the one before it"
        return [when / 1e6 for when in times]

    def change(self):
        """Something that enters the log at once."""
        self.admin.call("PUT", f"/v1/groups/some/members/{self.admin.id}", {}).expect(200)
        self.admin.call("DELETE", f"/v1/groups/some/members/{self.admin.id}", {}).expect(200)

    def one_action(self):
        self.number += 1
        path, answers = f"/clock/{self.number}", []
        caller = threading.Thread(target=lambda: answers.append(self.agent.call("DELETE", path)), daemon=True)
        caller.start()
        held = self.reviewer.wait_for_pending()
        self.reviewer.approve(held).expect(200)
        caller.join(20)
        assert answers and answers[0].status == 204, answers
        assert self.target.runs[path] == 1
        return held

    def restart(self, wrong_by):
        self.house.stop()
        self.clock.turn(wrong_by)
        self.house.start_sound()

    def turned_while_it_runs(self):
        for wrong_by in (DAY, -DAY, 0):
            before = self.times()[-1]
            self.clock.turn(wrong_by)
            self.one_action()
            assert abs(self.times()[-1] - before) < 60, "an hour hand was turned, and the log's time jumped"

    def a_day_forward_at_a_start(self):
        now = time.time()
        self.restart(DAY)
        # A session does not outlive its day.
        self.admin.call("GET", "/v1/people").expect(401)
        self.admin.login()
        self.change()
        assert abs(self.times()[-1] - now - DAY) < 120, "it takes the machine's word at a start"
        # To that clock, an assertion of an agent whose clock is right is long over.
        self.agent._token = None
        try:
            self.agent.token()
        except AssertionError as refused:
            assert "got 4" in str(refused), refused
        else:
            raise AssertionError("an assertion was taken that was over a day ago")

    def back_again_at_the_next(self):
        """The log is a day ahead. It neither goes back nor stands still."""
        for wrong_by in (0, -DAY):
            self.restart(wrong_by)
            self.change()
            before, start = self.times()[-1], time.monotonic()
            time.sleep(4)
            self.change()
            gone, most = self.times()[-1] - before, time.monotonic() - start
            assert 1.5 < gone < most, f"in {most:.1f} s the log's time went on by {gone:.1f} s"

    def what_is_granted_lapses(self):
        """A request that nobody answers is over after its 20 seconds, at half speed after 40 at the latest."""
        self.reviewer.login()
        # The agent's clock is as wrong as the log's.
        ahead = self.times()[-1] - time.time()
        now = int(time.time() + ahead)
        body = self.agent.assertion(iat=now, exp=now + 120)
        form = ("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=" + body).encode()
        answer = call("POST", f"{self.house.url}/v1/token", form, {"Content-Type": "application/x-www-form-urlencoded"})
        self.agent._token = answer.expect(200).json()["access_token"]
        threading.Thread(target=lambda: self.agent.call("DELETE", "/clock/never"), daemon=True).start()
        held = self.reviewer.wait_for_pending()
        end = time.monotonic() + 80
        while self.reviewer.approval(held)["state"] == "pending":
            assert time.monotonic() < end, "it waits for as long as the clock is behind"
            time.sleep(1)
        assert self.reviewer.approval(held)["state"] == "expired"
        assert "/clock/never" not in self.target.runs

    def the_log_is_whole(self):
        self.house.stop()
        checked = self.house.run("audit", "log")
        assert checked.returncode == 0, checked.stdout + checked.stderr


def main():
    tally = Tally()
    story = Story()
    try:
        for check in (story.turned_while_it_runs, story.a_day_forward_at_a_start, story.back_again_at_the_next,
                      story.what_is_granted_lapses, story.the_log_is_whole):
            tally.check(check.__name__.replace("_", " "), check)
    finally:
        story.house.stop()
    tally.close()


if __name__ == "__main__":
    main()
