"""A house that was pruned: what was asked for since then stays as well proven as before, before both verifiers.

People come, an administrator signs for their keys and groups, and much is done; then everything that is old enough goes,
values first and leaves later. What somebody approves afterwards with a key from before verifies all the same, as a receipt, as a
bundle of cases and as a period, since the cases in which the keys were signed for were kept. Of both stores.
"""

import datetime
import http.server
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from bundles import BINARIES, POLICY, Audit, ask  # noqa: E402
from house import House, ROOT, Tally  # noqa: E402
from postgres import Postgres  # noqa: E402

# More than a tile of entries, each permit of which is recorded before it runs.
CALLS = 600


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.send_response(204)
        self.end_headers()

    do_DELETE = do_GET = answer

    def log_message(self, *_):
        pass


class Story:
    def __init__(self, house, target):
        self.house = house
        admin = house.bootstrap()
        self.reviewer = house.add_person("Rita Reviewer")
        self.agent = house.add_agent(sponsor=admin)
        house.apply_policy(POLICY, self.reviewer)
        house.set_route("things", {
            "name": "things", "environment": "prod", "upstream": f"http://127.0.0.1:{target.server_address[1]}",
            "run_when_gone": True, "record": "before-run",
            "operations": [{"method": method, "path": "/things/{name}", "resource": "things/{name}"} for method in ("GET", "DELETE")],
        }, self.reviewer)
        self.old = self.approved("old")
        for n in range(CALLS):
            self.agent.call("GET", f"/things/{n}").expect(204)
        self.audit = Audit(house)

    def approved(self, name, besides=()):
        waits = ask(self.agent, name)
        request = self.reviewer.wait_for_pending(besides=besides)
        self.reviewer.approve(request).expect(200)
        waits.join(20)
        return request

    def prune(self, *more):
        self.house.stop()
        tomorrow = datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(days=1)
        done = self.house.run("audit", "prune", "--before", str(tomorrow), *more)
        assert done.returncode == 0 and "dropped the values of" in done.stdout, (done.stdout, done.stderr)
        audited = self.house.run("audit", "log")
        assert audited.returncode == 0, (audited.stdout, audited.stderr)
        self.house.start()
        self.house.admin.login()
        self.reviewer.login()

    def states(self, name, **order):
        return self.audit.both(self.audit.fetch(name, **order))

    def is_proven(self, request):
        """As a bundle of cases and as a receipt, by both verifiers."""
        verdict, states = self.states("cases.tar", approvals=[request])
        assert verdict == "valid" and states[request] == "finished", (verdict, states)
        # Beside it the case of the reviewer's key, from before.
        assert len(states) == 2, states
        receipt = self.audit.folder / "receipt.json"
        receipt.write_bytes(self.house.admin.call("GET", f"/v1/approvals/{request}/receipt").expect(200).body)
        for command in ([str(BINARIES / "countersign-verify")], [sys.executable, str(ROOT / "verifier" / "countersign_verify.py")]):
            done = subprocess.run([*command, str(receipt), "--trust", str(self.audit.trust)], capture_output=True, text=True)
            assert (done.returncode, done.stdout.split("\n")[0][:5]) == (0, "VALID"), done

    def approves_after(self, *more):
        size = int(self.house.admin.call("GET", "/v1/log/checkpoint").expect(200).body.split(b"\n")[1])
        self.prune(*more)
        self.house.admin.call("GET", f"/v1/approvals/{self.old}").expect(404)
        request = self.approved(f"new-{len(more)}")
        self.is_proven(request)
        verdict, states = self.states("since.tar", **{"from": str(size)})
        assert verdict == "valid" and states[request] == "finished", (verdict, states)

    def all_from_the_beginning(self):
        """What is gone is not shown, and nothing contradicts it."""
        assert self.states("all.tar")[0] == "indeterminate"

    def revoked_later(self):
        """The end of a key is signed for, and told with every review that it signed."""
        admin, person = self.house.admin, self.reviewer.id
        request = self.approved("last")
        row = next(row for row in admin.call("GET", "/v1/people").expect(200).json()["people"] if row["id"] == person)
        admin.step_up()
        held = admin.call("DELETE", f"/v1/people/{person}/keys/{row['keys'][0]['credential']}", {}).expect(202).json()["id"]
        self.house.sign_for(held, admin)
        file = self.audit.fetch("revoked.tar", approvals=[request])
        verdict, states = self.audit.both(file)
        assert verdict == "valid" and states[held] == "finished", (verdict, states)
        receipt = self.audit.folder / "revoked.json"
        receipt.write_bytes(admin.call("GET", f"/v1/approvals/{request}/receipt").expect(200).body)
        told = []
        for command in ([str(BINARIES / "countersign-verify")], [sys.executable, str(ROOT / "verifier" / "countersign_verify.py")]):
            done = subprocess.run([*command, str(receipt), "--trust", str(self.audit.trust)], capture_output=True, text=True, check=True)
            told += [line for line in done.stdout.splitlines() if "revoked" in line and held in line]
        assert len(told) == 2 and all("countersigned by" in line and "separation: none" in line for line in told), told


def told(tally, store, house, target):
    with house:
        story = Story(house, target)
        for name, work in (("approved after values went", story.approves_after),
                           ("approved after leaves went", lambda: story.approves_after("--leaves")),
                           ("everything from the beginning", story.all_from_the_beginning),
                           ("a key whose end is signed for", story.revoked_later)):
            tally.check(f"{store}: {name}", work)


def main():
    tally = Tally()
    target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    told(tally, "embedded", House(), target)
    server = Postgres().start()
    try:
        server.sql("CREATE DATABASE pruned")
        told(tally, "PostgreSQL", House(server.config("pruned"), env=server.env), target)
    finally:
        server.stop()
    tally.close()


if __name__ == "__main__":
    main()
