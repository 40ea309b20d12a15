"""Two gateways over one PostgreSQL: they share holds, outlive each other, and the server, and a network that is cut."""

import http.server
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import Agent, House, Human, Tally  # noqa: E402
from postgres import Postgres  # noqa: E402

POLICY = """
@id("all") @why("everything may be asked")
permit (principal, action, resource);
@id("hold-removal") @hold("reviewers:1") @ttl("30m") @grant("10m") @why("removes something")
forbid (principal, action in Action::"destroy", resource);
"""

# How long a gateway that died counts as alive, in seconds, and some more for the sweep.
GONE_SECONDS = 40


class Target(http.server.ThreadingHTTPServer):
    """A service that remembers how often each thing was removed, and can be made to dwell."""

    daemon_threads = True

    def __init__(self):
        # Reached from the namespace too.
        super().__init__((Network.FRONT[0], 0), Handler)
        self.runs, self.lock = {}, threading.Lock()
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, path):
        with self.lock:
            return self.runs.get(path, 0)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_DELETE(self):
        target = self.server
        with target.lock:
            target.runs[self.path] = target.runs.get(self.path, 0) + 1
        target.reached.set()
        target.go_on.wait(60)
        try:
            self.send_response(200)
            body = f"removed {self.path}".encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_):
        pass


def at(house, who):
    """The same person or agent, at another gateway."""
    if isinstance(who, Agent):
        other = Agent(house)
        other.id, other.key, other._token = who.id, who.key, who._token
        return other
    other = Human(house)
    other.passkey, other.cookie = who.passkey, who.cookie
    return other


class Call(threading.Thread):
    """A call that waits for people."""

    def __init__(self, agent, path):
        super().__init__(daemon=True)
        self.agent, self.path, self.answer = agent, path, None
        self.start()

    def run(self):
        try:
            self.answer = self.agent.call("DELETE", self.path)
        except OSError as error:
            self.answer = error

    def heard(self, seconds=30):
        self.join(seconds)
        assert self.answer is not None, "the caller was not released"
        return self.answer


def until(what, seconds, look):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if look():
                return
        except (OSError, AssertionError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"in {seconds} s not: {what}")


class Story:
    """One deployment of two gateways, and the people and agents in it."""

    def __init__(self, server):
        self.server, self.target = server, Target()
        server.sql("CREATE DATABASE log")
        self.one = House(server.config("log"), env=server.env).start()
        admin = self.one.bootstrap()
        self.reviewer = self.one.add_person("Rita Reviewer")
        self.agent = self.one.add_agent(sponsor=admin)
        self.one.apply_policy(POLICY)
        route = {"name": "target", "upstream": f"http://{Network.FRONT[0]}:{self.target.server_address[1]}",
                 "environment": "prod", "run_when_gone": True, "wait": "50s"}
        self.one.set_route("target", route)
        self.two = House(server.config("log"), env=server.env, beside=self.one).start()

    def approved_at_one_released_at_the_other(self):
        for call_at, approve_at, path in [(self.one, self.two, "/items/1"), (self.two, self.one, "/items/2")]:
            call = Call(at(call_at, self.agent), path)
            reviewer = at(approve_at, self.reviewer)
            held = reviewer.wait_for_pending()
            reviewer.approve(held).expect(200)
            answer = call.heard().expect(200)
            assert answer.body == f"removed {path}".encode(), answer.body
            assert self.target.of(path) == 1, "it ran once, whoever ran it"

    def denied_at_one_refused_at_the_other(self):
        call = Call(at(self.one, self.agent), "/items/3")
        reviewer = at(self.two, self.reviewer)
        reviewer.deny(reviewer.wait_for_pending(), "not today").expect(200)
        call.heard().expect(403)
        assert self.target.of("/items/3") == 0

    def one_that_is_killed_loses_nothing(self):
        """Killed while it holds, and while it runs; the other carries on."""
        call = Call(at(self.one, self.agent), "/items/4")
        reviewer = at(self.two, self.reviewer)
        held = reviewer.wait_for_pending()
        self.one.kill()
        call.join(10)
        assert reviewer.approval(held)["state"] == "pending", "what was held is held still"
        reviewer.approve(held).expect(200)
        until("it ran at the other", 20, lambda: reviewer.approval(held)["state"] == "finished")
        assert self.target.of("/items/4") == 1
        self.one.start()

    def what_a_killed_one_ran_is_unknown(self):
        self.target.reached.clear()
        self.target.go_on.clear()
        call = Call(at(self.one, self.agent), "/items/5")
        here, there = at(self.one, self.reviewer), at(self.two, self.reviewer)
        held = here.wait_for_pending()
        here.approve(held).expect(200)
        assert self.target.reached.wait(20), "it never ran"
        # The caller waits at the first, so that one runs it.
        time.sleep(1)
        assert there.approval(held)["state"] == "executing", "a gateway that lives is left to run"
        self.one.kill()
        call.join(10)
        until("a lost run is told", GONE_SECONDS, lambda: there.approval(held)["state"] == "finished")
        self.target.go_on.set()
        assert there.approval(held)["outcome"]["ending"] == "unknown"
        assert self.target.of("/items/5") == 1, "and nobody runs it again"
        self.one.start()

    def a_server_that_crashes_is_waited_for(self):
        call = Call(at(self.one, self.agent), "/items/6")
        reviewer = at(self.two, self.reviewer)
        held = reviewer.wait_for_pending()
        other = at(self.two, self.agent)
        other.token()
        self.server.crash()
        try:
            refused = other.call("DELETE", "/items/7")
        finally:
            self.server.start()
        assert refused.status >= 500 and self.target.of("/items/7") == 0, "nothing runs that is not written down"
        until("the reviewer is heard", 30, lambda: reviewer.approve(held).status == 200)
        until("it ran", 30, lambda: reviewer.approval(held)["state"] == "finished")
        call.join(60)
        assert self.target.of("/items/6") == 1

    def the_log_is_whole(self):
        self.two.stop()
        log = self.two.run("audit", "log")
        assert log.returncode == 0, log.stdout + log.stderr
        doctor = self.two.run("doctor")
        assert "entries hash to what was signed" in doctor.stdout, doctor.stdout + doctor.stderr
        for house in (self.one, self.two):
            for said in ("stdout.log", "stderr.log"):
                assert self.server.password not in (house.folder / said).read_text(), "a password was printed"
        backup = self.two.run("backup", "create", str(self.two.folder / "copy"))
        assert backup.returncode != 0 and "pg_dump" in backup.stderr, backup.stderr
        self.two.start()
        done = at(self.two, self.reviewer).inbox("finished")[0]["id"]
        receipt = self.two.folder / "receipt.json"
        reviewer = at(self.two, self.reviewer)
        receipt.write_bytes(reviewer.call("GET", f"/v1/approvals/{done}/receipt").expect(200).body)
        checked = self.two.run("audit", "verify", str(receipt), "--log-key", self.two.log_key())
        assert checked.returncode == 0, checked.stdout + checked.stderr

    def end(self):
        self.one.stop()
        self.two.stop()


class Network:
    """A namespace with two cables to this machine: one for callers, and one to the database, which can be cut."""

    NAME, FRONT, BACK = "countersign", ("10.213.1.1", "10.213.1.2"), ("10.213.2.1", "10.213.2.2")

    def __init__(self):
        self.remove()
        self.ip("netns", "add", self.NAME)
        for cable, (ours, theirs) in (("csfront", self.FRONT), ("csback", self.BACK)):
            self.ip("link", "add", cable, "type", "veth", "peer", "name", cable + "0", "netns", self.NAME)
            self.ip("addr", "add", f"{ours}/30", "dev", cable)
            self.ip("link", "set", cable, "up")
            self.ip("-n", self.NAME, "addr", "add", f"{theirs}/30", "dev", cable + "0")
            self.ip("-n", self.NAME, "link", "set", cable + "0", "up")
        self.ip("-n", self.NAME, "link", "set", "lo", "up")

    def cut(self, cut):
        self.ip("link", "set", "csback", "down" if cut else "up")

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.NAME], capture_output=True)
        for cable in ("csfront", "csback"):
            subprocess.run(["ip", "link", "del", cable], capture_output=True)

    @staticmethod
    def ip(*words):
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr} (this suite makes network namespaces: root)"


def a_cut_network_fails_closed_and_heals(story, network):
    server = story.server
    far = House(server.config("log", Network.BACK[0]), env=server.env, beside=story.one, within=Network.NAME,
                address=Network.FRONT[1]).start()
    try:
        near, there = at(story.one, story.reviewer), at(far, story.agent)
        call = Call(there, "/items/8")
        held = near.wait_for_pending()
        network.cut(True)
        time.sleep(1)
        refused = there.call("DELETE", "/items/9")
        assert refused.status >= 500, refused.status
        # Its own clients are told; those of the other gateway do not notice, once the server has given it up.
        near.approve(held).expect(200)
        until("the other gateway runs it", 40, lambda: near.approval(held)["state"] == "finished")
        assert story.target.of("/items/8") == 1 and story.target.of("/items/9") == 0
        network.cut(False)

        tries = iter(range(10, 100))

        def healed():
            again = Call(there, f"/items/{next(tries)}")
            held = near.wait_for_pending(5)
            near.approve(held).expect(200)
            return again.heard(20).status == 200

        until("the far gateway works again", 90, healed)
        call.join(60)
    finally:
        far.stop()


def main():
    tally = Tally()
    network = Network()
    server = Postgres(Network.BACK[0]).start()
    try:
        story = Story(server)
        try:
            for check in (story.approved_at_one_released_at_the_other, story.denied_at_one_refused_at_the_other,
                          story.one_that_is_killed_loses_nothing, story.what_a_killed_one_ran_is_unknown,
                          story.a_server_that_crashes_is_waited_for, story.the_log_is_whole):
                tally.check(check.__name__.replace("_", " "), check)
            tally.check("a cut network fails closed and heals",
                        lambda: a_cut_network_fails_closed_and_heals(story, network))
        finally:
            story.end()
    finally:
        server.stop()
        network.remove()
    tally.close()


if __name__ == "__main__":
    main()
