"""Bundles from a running gateway, before both verifiers.

People approve and deny what an agent asks for; the bundle of some requests, of a period and of all since a checkpoint is
fetched through the API and by the command line, and `countersign-verify` and `verifier/countersign_verify.py` say of each what
it is: valid, and the same states. What is cut or swapped is found; whoever is no administrator gets none.
"""

import base64
import http.server
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, ROOT, Tally  # noqa: E402

POLICY = """
@id("all") @why("everything may be asked")
permit (principal, action, resource);
@id("hold-removal") @hold("reviewers:1") @ttl("30m") @grant("10m") @why("removes something")
forbid (principal, action in Action::"destroy", resource);
"""
BINARIES = Path(os.environ.get("COUNTERSIGN_BIN", ROOT / "target/debug/countersign")).parent


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_DELETE(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Audit:
    """A folder with a trust file, and both verifiers."""

    def __init__(self, house):
        self.house = house
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-bundles-"))
        self.trust = self.folder / "trust.txt"
        self.trust.write_text(f"log {house.log_key()}\nquorum none\n")

    def fetch(self, name, **order):
        answer = self.house.admin.call("POST", "/v1/bundles", order).expect(200)
        assert answer.headers["content-type"] == "application/vnd.countersign.bundle+tar", answer.headers
        assert int(answer.headers["content-length"]) == len(answer.body)
        file = self.folder / name
        file.write_bytes(answer.body)
        return file

    def both(self, file, *more):
        """The verdict and the states that both verifiers say."""
        rust = [str(BINARIES / "countersign-verify"), str(file), "--trust", str(self.trust), "--json", *more]
        python = [sys.executable, str(ROOT / "verifier" / "countersign_verify.py"), *rust[1:]]
        told = []
        for command in (rust, python):
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            assert done.returncode in (0, 1, 2), done.stderr
            told.append(json.loads(done.stdout))
        verdict, cases = told[0]["bundle"]["verdict"], told[0].get("cases", [])
        states = {case["approval"]: case["summary"]["state"]["word"] for case in cases if case["summary"]}
        assert told[1]["verdict"] == verdict, (told[0]["bundle"]["reasons"], told[1]["reasons"])
        assert {case["approval"]: case["state"] for case in told[1]["cases"]} == states or verdict == "invalid"
        return verdict, states


def unpacked(line):
    """An entry's leaf, as text."""
    leaf = line["entry"]["leaf"]
    return base64.urlsafe_b64decode(leaf + "=" * (-len(leaf) % 4)).decode()


def ask(agent, name):
    """The agent asks for a removal in the background; the answer is waited for by who needs it."""

    def call():
        try:
            agent.call("DELETE", f"/things/{name}")
        except OSError:
            pass  # the last one still waits when the gateway stops

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def main():
    tally = Tally()
    target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    with House() as house:
        admin = house.bootstrap()
        reviewer = house.add_person("Rita Reviewer")
        agent = house.add_agent(sponsor=admin)
        house.apply_policy(POLICY, reviewer)
        house.set_route("things", {
            "name": "things", "environment": "prod", "upstream": f"http://127.0.0.1:{target.server_address[1]}",
            "run_when_gone": True, "operations": [{"method": "DELETE", "path": "/things/{name}", "resource": "things/{name}"}],
        }, reviewer)
        audit = Audit(house)
        waits = ask(agent, "one")
        first = reviewer.wait_for_pending()
        reviewer.approve(first).expect(200)
        waits.join(20)
        between = admin.call("GET", "/v1/log/checkpoint").expect(200).body.decode()
        waits = ask(agent, "two")
        second = reviewer.wait_for_pending(besides=(first,))
        reviewer.deny(second, "not today").expect(200)
        waits.join(20)
        ask(agent, "three")
        third = reviewer.wait_for_pending(besides=(first, second))
        settled = {first: "finished", second: "denied", third: "pending"}
        size = int(between.split("\n")[1])

        def of_cases():
            file = audit.fetch("cases.tar", approvals=[first, second, third])
            verdict, states = audit.both(file)
            # Beside them, the case in which the administrator signed for the reviewer's key; hers is the bootstrap key.
            keys = {case: state for case, state in states.items() if case not in settled}
            assert (verdict, list(keys.values())) == ("valid", ["finished"]), (verdict, states)
            assert settled.items() <= states.items(), states

        def whose_keys():
            done = subprocess.run([str(BINARIES / "countersign-verify"), str(audit.folder / "cases.tar"), "--trust",
                                   str(audit.trust), "--json"], capture_output=True, text=True, timeout=120)
            cases = {case["approval"]: case["summary"] for case in json.loads(done.stdout)["cases"]}
            signed = cases[first]["reviews"][0]["key"]
            (person,) = signed["countersigned"]["people"]
            assert signed["countersigned"]["word"] == "by" and signed["under"] in cases, signed
            of_the_key = cases[signed["under"]]["reviews"][0]
            assert of_the_key["person"] == person and of_the_key["group"] == "admins", of_the_key
            assert of_the_key["key"]["countersigned"] == {"word": "bootstrap", "separation": "none", "pinned": False}, of_the_key

        def of_a_period():
            file = audit.fetch("period.tar")
            verdict, states = audit.both(file)
            assert verdict == "valid" and settled.items() <= states.items(), (verdict, states)

        def since_a_checkpoint():
            file = audit.fetch("since.tar", checkpoint=between)
            verdict, states = audit.both(file)
            assert verdict == "valid" and states[second] == "denied" and first not in states, (verdict, states)

        def from_within_a_case():
            file = audit.fetch("within.tar", **{"from": str(size - 1)})
            verdict, states = audit.both(file)
            assert verdict == "valid" and states[first] == "finished", (verdict, states)

        def between_two_moments():
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
            file = audit.fetch("moments.tar", **{"from": "2020-01-01T00:00:00Z", "to": now})
            assert audit.both(file)[0] == "valid"
            house.admin.call("POST", "/v1/bundles", {"from": now}).expect(400, 422)

        def pinned():
            file = audit.folder / "cases.tar"
            assert audit.both(file, "--rp-id", "localhost", "--web-origin", house.url)[0] == "valid"
            assert audit.both(file, "--rp-id", "other.example")[0] == "invalid"

        def payloads():
            quiet = audit.fetch("quiet.tar", approvals=[first]).read_bytes()
            told = audit.fetch("told.tar", approvals=[first], payload=True)
            assert audit.both(told)[0] == "valid"
            # A key's change stands open in the directory's own entry too; nothing else is open without being asked for.
            shown, of_a_key = b'"payload":[{"open"', b'"payload":[{"open":{"path":"config.change"'
            assert quiet.count(shown) == quiet.count(of_a_key) == 1, quiet.count(shown)
            opened = told.read_bytes()
            assert opened.count(shown) - opened.count(of_a_key) == 1, opened.count(shown)
            kinds = audit.fetch("reveal.tar")
            done = subprocess.run([str(BINARIES / "countersign-verify"), str(kinds), "--trust", str(audit.trust), "--json"],
                                  capture_output=True, text=True, timeout=120)
            assert json.loads(done.stdout)["bundle"]["contents"]["entries"]["reveal/1"] >= 1

        def fields_by_name():
            file = audit.fetch("one-field.tar", approvals=[first], disclose=["http.target"])
            assert audit.both(file)[0] == "valid"
            with tarfile.open(file) as archive:
                lines = [json.loads(line) for line in archive.extractfile("entries.jsonl")]
            (payload,) = [line["payload"] for line in lines if f'"{first}"' in unpacked(line) and line.get("payload")]
            opened = [field["open"]["path"] for field in payload if "open" in field]
            assert opened == ["http.target"] and len(payload) > 1, payload
            # What was opened is on record, field by field; a path that nothing has opens nothing and logs nothing.
            before = reveals()
            none = audit.fetch("no-field.tar", approvals=[first], disclose=["http.nothing"])
            assert audit.both(none)[0] == "valid" and reveals() == before, (before, reveals())
            audit.fetch("again.tar", approvals=[first], disclose=["http.target", "http.nothing"])
            assert reveals() == before + 1, (before, reveals())
            admin.call("POST", "/v1/bundles", {"approvals": [first], "payload": True, "disclose": ["a"]}).expect(400, 422)
            admin.call("POST", "/v1/bundles", {"approvals": [first], "disclose": ["a"] * 65}).expect(400, 422)

        def reveals():
            done = subprocess.run([str(BINARIES / "countersign-verify"), str(audit.fetch("count.tar")), "--trust", str(audit.trust),
                                   "--json"], capture_output=True, text=True, timeout=120)
            return json.loads(done.stdout)["bundle"]["contents"]["entries"].get("reveal/1", 0)

        def the_bootstrap_key():
            done = subprocess.run([str(BINARIES / "countersign-verify"), str(audit.folder / "cases.tar"), "--trust", str(audit.trust)],
                                  capture_output=True, text=True, timeout=120)
            assert "TAKEN ON TRUST" in subprocess.run([*done.args, "--full"], capture_output=True, text=True).stdout, done.stdout
            other = "SHA256:" + "A" * 43
            assert audit.both(audit.folder / "cases.tar", "--bootstrap-key", other)[0] == "invalid"

        def a_byte_is_changed():
            data = bytearray((audit.folder / "period.tar").read_bytes())
            for at in range(700, len(data), max(1, len(data) // 12)):
                changed = bytearray(data)
                changed[at] ^= 4
                file = audit.folder / "changed.tar"
                file.write_bytes(changed)
                assert audit.both(file)[0] == "invalid", at

        def a_table():
            table = audit.folder / "population.csv"
            command = [str(BINARIES / "countersign-verify"), str(audit.folder / "period.tar"), "--trust", str(audit.trust),
                       "--csv", str(table)]
            subprocess.run(command, capture_output=True, check=True, timeout=120)
            rows = table.read_text().splitlines()
            assert rows[0].startswith('"approval","verdict","state"') and sum(first in row for row in rows) == 1, rows

        def nobody_else():
            order = {"approvals": [first]}
            reviewer.call("POST", "/v1/bundles", order).expect(403)
            agent.ask("POST", "/v1/bundles", order).expect(403)
            admin.call("POST", "/v1/bundles", {"approvals": []}).expect(400, 422)
            admin.call("POST", "/v1/bundles", {"approvals": [first], "from": "1"}).expect(400, 422)
            admin.call("POST", "/v1/bundles", {"approvals": ["0190abcd-0000-7000-8000-000000000000"]}).expect(404)

        def a_receipt():
            answer = admin.call("GET", f"/v1/approvals/{first}/receipt").expect(200)
            file = audit.folder / "receipt.json"
            file.write_bytes(answer.body)
            for command in ([str(BINARIES / "countersign-verify")],
                            [sys.executable, str(ROOT / "verifier" / "countersign_verify.py")]):
                done = subprocess.run([*command, str(file), "--trust", str(audit.trust)], capture_output=True, text=True)
                assert (done.returncode, done.stdout.split("\n")[0][:5]) == (0, "VALID"), done

        for name, work in (("a bundle of cases", of_cases), ("who signed for the keys", whose_keys),
                           ("a bundle of everything", of_a_period),
                           ("a bundle since a checkpoint", since_a_checkpoint),
                           ("a bundle that begins within a case", from_within_a_case),
                           ("a bundle between two moments", between_two_moments),
                           ("passkeys pinned", pinned), ("payloads", payloads), ("fields by name", fields_by_name),
                           ("the bootstrap key", the_bootstrap_key), ("a byte is changed", a_byte_is_changed),
                           ("the population as a table", a_table), ("nobody else", nobody_else),
                           ("a receipt", a_receipt)):
            tally.check(name, work)
    tally.close()


if __name__ == "__main__":
    main()
