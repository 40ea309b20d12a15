"""A PostgreSQL whose disk is full, and then fails, under a gateway: nothing runs that is not written down, and it heals by itself.

The server's folder is a small file system in memory; the failing sync comes from the shim of tests/faults.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

for room in ("support", "faults", "crash"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / room))
from faulty import shim  # noqa: E402
from house import House, Tally  # noqa: E402
from kill_loop import POLICY, Target  # noqa: E402
from postgres import Postgres  # noqa: E402

DISK_MEGABYTES = 220
# How long the gateway may take until it works again once the server does.
HEAL_SECONDS = 60


class Cramped(Postgres):
    """A server with little room, whose write-ahead log fails to sync for as long as `arm` is there."""

    def __init__(self):
        library = shim()
        library.parent.chmod(0o755)
        self.arm = library.parent / "armed"
        fails = {"LD_PRELOAD": str(library), "FAULT_KIND": "eio", "FAULT_OP": "sync", "FAULT_FILE": "pg_wal/*",
                 "FAULT_AT": "1", "FAULT_SPAN": "1000000", "FAULT_ARM": str(self.arm)}
        super().__init__(prepare=self.mount, env=fails)
        self.environment["FAULT_FOLDER"] = str(self.data)
        self.ballast = self.folder / "ballast"

    @staticmethod
    def mount(folder):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(folder)], check=True)

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
            try:
                while True:
                    file.write(b"\0")
            except OSError:
                pass

    def revive(self):
        """Whoever runs the server starts it again, if it has ended."""
        time.sleep(0.5)
        if self.process.poll() is not None:
            self.start()

    def stop(self):
        if self.process and self.process.poll() is None:
            self._end(2)
        subprocess.run(["umount", "-l", str(self.folder)])
        os.rmdir(self.folder)


class Story:
    def __init__(self, server):
        self.server, self.target, self.number = server, Target(), 0
        server.sql("CREATE DATABASE log")
        self.house = House(server.config("log"), env=server.env).start()
        admin = self.house.bootstrap()
        self.reviewer = self.house.add_person("Rita Reviewer")
        self.agent = self.house.add_agent(sponsor=admin)
        self.house.apply_policy(POLICY)
        self.house.set_route("target", {"name": "target", "upstream": self.target.url, "environment": "prod",
                                        "run_when_gone": True, "wait": "10s"})
        self.agent.token()
        self.acknowledged = []
        self.one_action()

    def ask(self):
        self.number += 1
        path, answers = f"/disk/{self.number}", []

        def call():
            try:
                answers.append(self.agent.call("DELETE", path).status)
            except OSError:
                answers.append(0)
        caller = threading.Thread(target=call, daemon=True)
        caller.start()
        return path, caller, answers

    def one_action(self):
        path, caller, answers = self.ask()
        held = self.reviewer.wait_for_pending(5)
        self.reviewer.approve(held).expect(200)
        self.acknowledged.append(held)
        caller.join(20)
        assert answers == [204], answers
        assert self.target.runs[path] == 1

    def heals(self):
        end = time.monotonic() + HEAL_SECONDS
        while True:
            try:
                # What was asked for meanwhile and stands all the same is nobody's to run.
                for row in self.reviewer.inbox():
                    self.reviewer.deny(row["id"]).expect(200)
                self.one_action()
                return
            except (OSError, AssertionError, KeyError):
                assert time.monotonic() < end, f"it does not work again: {(self.house.folder / 'stderr.log').read_text()[-800:]}"
                time.sleep(0.5)

    def refuses(self):
        for _ in range(3):
            path, caller, answers = self.ask()
            caller.join(40)
            assert answers and (answers[0] == 0 or answers[0] >= 500), f"it answered {answers}"
            assert path not in self.target.runs, "it ran, and nothing was written down"

    def a_full_disk_at_the_server(self):
        self.server.fill()
        try:
            self.refuses()
        finally:
            self.server.ballast.unlink()
        self.server.revive()
        self.heals()

    def a_failing_disk_at_the_server(self):
        self.server.arm.touch()
        try:
            self.refuses()
        finally:
            self.server.arm.unlink()
        self.server.revive()
        self.heals()

    def the_log_is_whole(self):
        for held in self.acknowledged:
            assert self.reviewer.approval(held)["state"] == "finished", held
        assert all(runs == 1 for runs in self.target.runs.values()), self.target.runs
        self.house.stop()
        checked = self.house.run("audit", "log")
        assert checked.returncode == 0, checked.stdout + checked.stderr


def main():
    tally, server = Tally(), Cramped()
    try:
        story = Story(server.start())
        try:
            for check in (story.a_full_disk_at_the_server, story.a_failing_disk_at_the_server, story.the_log_is_whole):
                tally.check(check.__name__.replace("_", " "), check)
        finally:
            story.house.stop()
    finally:
        server.stop()
    tally.close()


if __name__ == "__main__":
    main()
