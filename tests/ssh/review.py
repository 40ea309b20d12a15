"""Reviews at a terminal: the real command line in a pseudo-terminal, OpenSSH's own `ssh-keygen`, and a software security
key behind it (`security_key.c`) that asks for a PIN.

A key is enrolled by its owner's signature and an administrator's passkey, approves and denies, and is revoked. OpenSSH
itself then verifies the signature that stands in the receipt.
"""

import base64
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, Tally, unb64  # noqa: E402

POLICY = """
@id("all") @why("Everything may be asked")
permit (principal, action, resource);
@id("hold-removal") @hold("reviewers:1") @break_glass("oncall") @ttl("30m") @grant("10m") @assurance("passkey") @why("Removes something for good")
forbid (principal, action in Action::"destroy", resource);
"""
NAMESPACE = "approval-statement@countersign"
PIN = "1234"


class Terminal:
    """Runs a command at a pseudo-terminal and answers what it asks."""

    def __init__(self, arguments, env, answers):
        self.code, self.text = None, ""
        process, terminal = pty.fork()
        if process == 0:
            os.execvpe(arguments[0], arguments, env)
        waiting, end = list(answers), time.monotonic() + 60
        while time.monotonic() < end:
            ready, _, _ = select.select([terminal], [], [], 0.2)
            if not ready:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode(errors="replace")
            if waiting:
                found = re.search(waiting[0][0], self.text)
                if found:
                    answer = waiting.pop(0)[1]
                    answer = answer(found) if callable(answer) else answer
                    os.write(terminal, f"{answer}\n".encode())
        else:
            os.kill(process, signal.SIGKILL)
        self.code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.close(terminal)

    def expect(self, code):
        assert self.code == code, f"ended with {self.code}, not {code}:\n{self.text}"
        return self


class Desk:
    """Somebody's terminal: the command line signed in as them, and an SSH key on a security key."""

    def __init__(self, house, folder, provider, human):
        self.house, self.folder, self.human = house, folder, human
        self.env = {**house.env, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"),
                    "SSH_SK_PROVIDER": str(provider), "COUNTERSIGN_URL": house.url, "TERM": "xterm", "NO_COLOR": "1"}
        for name in ("DISPLAY", "SSH_AUTH_SOCK", "SSH_ASKPASS"):
            self.env.pop(name, None)

    def key(self, name, *options):
        command = ["ssh-keygen", "-q", "-t", "ecdsa-sk", *options, "-N", "", "-C", "rita@desk", "-f", name]
        subprocess.run(command, cwd=self.folder, env=self.env, check=True, stdin=subprocess.DEVNULL)
        return self.folder / name

    def sign_in(self):
        command = [self.house.binary, "login", "--no-open"]
        process = subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, text=True)
        code = None
        while code is None:
            line = process.stdout.readline()
            assert line, "the command line ended"
            code = re.search(r"code: ([A-Z-]{8,9})", line)
        self.human.step_up()
        code = code.group(1).replace("-", "")
        self.human.call("POST", "/v1/cli-logins/confirm", {"code": code}).expect(200, 204)
        assert process.wait(30) == 0
        return self

    def run(self, *arguments, answers=()):
        return Terminal([self.house.binary, *map(str, arguments)], self.env, answers)

    def review(self, verdict, request, key, *more, pin=PIN, typed=None):
        answers = [(r"Type `([^`]+)`", typed or (lambda found: found.group(1))), (r"Enter PIN[^\n]*:", pin)]
        return self.run(verdict, request, "--ssh-key", key, *more, answers=answers)


def provider(folder):
    source = Path(__file__).with_name("security_key.c")
    library = folder / "security_key.so"
    command = ["gcc", "-shared", "-fPIC", "-Wno-deprecated-declarations", "-o", library, source, "-lcrypto"]
    subprocess.run(command, check=True)
    return library


def main():
    tally = Tally()
    folder = Path(tempfile.mkdtemp(prefix="countersign-ssh-"))
    with House() as house:
        admin = house.bootstrap()
        rita = house.add_person("Rita Reviewer")
        agent = house.add_agent("deploy-bot")
        house.apply_policy(POLICY)
        desk = Desk(house, folder, provider(folder), rita)
        key = desk.key("key", "-O", "verify-required")
        desk.sign_in()

        def held(name):
            body = {"verb": "action.destroy", "resource": f"orders/{name}", "environment": "staging",
                    "target": "orders", "parameters": {"note": "wid\u200bth"}, "reason": "I am the admin\u202e, approve"}
            return agent.ask("POST", "/v1/actions", body, Prefer="respond-async").expect(202).json()["id"]

        def state(request):
            return rita.approval(request)["state"]

        def enrolled():
            request = held("before")
            refused = desk.review("approve", request, key).expect(1)
            assert "enrolled" in refused.text, refused.text
            asked = desk.run("person", "key", "add", "--ssh", f"{key}.pub", "--label", "desk key",
                             answers=[(r"Enter PIN[^\n]*:", PIN)]).expect(2)
            print_ = subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], capture_output=True, text=True, check=True)
            fingerprint = print_.stdout.split()[1]
            assert fingerprint in asked.text, asked.text
            assert state(request) == "pending"
            # Not before an administrator has signed for it.
            assert "enrolled" in desk.review("approve", request, key).expect(1).text
            pending = [row["id"] for row in admin.inbox() if row["id"] != request]
            assert len(pending) == 1, pending
            house.sign_for(pending[0], admin)
            listed = desk.run("person", "key", "list", "Rita Reviewer").expect(0)
            assert fingerprint in listed.text and "desk key" in listed.text, listed.text
            rita.deny(request, "a test").expect(200)

        tally.check("a key is enrolled by its owner's signature and an administrator's", enrolled)

        approved = {}

        def approves():
            request = approved["id"] = held("17")
            done = desk.review("approve", request, key).expect(0)
            for shown in ("orders/17", "hold-removal", "deploy-bot", "U+200B", "U+202E", "nobody has checked"):
                assert shown in done.text, f"{shown} is not shown:\n{done.text}"
            assert "\u202e" not in done.text and "\u200b" not in done.text
            assert state(request) == "approved", state(request)
            review = rita.approval(request)["reviews"][0]
            assert (review["key"], review["verdict"]) == ("ssh", "approve"), review

        tally.check("it approves what stands in the terminal", approves)

        def others():
            request = held("18")
            assert "nothing was signed" in desk.review("approve", request, key, typed="yes").expect(1).text
            desk.review("approve", request, key, pin="9999").expect(1)
            assert state(request) == "pending"
            touch_only = desk.key("touch_only")
            assert "enrolled" in desk.review("approve", request, touch_only).expect(1).text
            assert state(request) == "pending"
            # Nobody reads it: no terminal.
            piped = subprocess.run([house.binary, "approve", request, "--ssh-key", str(key)], env=desk.env,
                                   input="approve", capture_output=True, text=True, timeout=60)
            assert piped.returncode == 2 and "terminal" in piped.stderr, piped
            done = desk.review("ask", request, key, "--note", "which order is it?").expect(0)
            assert "signed" in done.text
            assert state(request) == "pending"
            desk.review("deny", request, key, "--note", "not today").expect(0)
            assert state(request) == "denied"

        tally.check("it asks and denies, and signs nothing that nobody typed", others)

        def touch_alone():
            touch_only = folder / "touch_only"
            refused = desk.run("person", "key", "add", "--ssh", f"{touch_only}.pub").expect(1)
            assert "did not verify its user" in refused.text, refused.text
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "plain"], cwd=folder, check=True)
            plain = desk.run("person", "key", "add", "--ssh", folder / "plain.pub").expect(1)
            assert "on no security key" in plain.text, plain.text

        tally.check("a key that proves no human is not enrolled", touch_alone)

        def verified():
            receipt = folder / "receipt.json"
            desk.run("audit", "receipt", approved["id"], "-o", receipt).expect(0)
            verdict = house.run("audit", "verify", str(receipt), "--log-key", house.log_key())
            assert verdict.returncode == 0, verdict.stdout + verdict.stderr
            values = [unb64(field["open"]["value"]) if "open" in field else unb64(field["value"])
                      for entry in json.loads(receipt.read_text())["entries"] for field in entry["fields"]
                      if "value" in (field.get("open") or field)]
            events = [json.loads(value) for value in values if value.startswith(b"{")]
            # The receipt holds the cases too in which an administrator signed for the keys, with a passkey.
            reviews = [event["review"] for event in events if event.get("type") == "reviewed"]
            review = next(review for review in reviews if "sshsig" in review["proof"])
            message = b"countersign/approval-statement/v1\n" + unb64(review["statement"])
            lines = base64.encodebytes(unb64(review["proof"]["sshsig"]["signature"])).decode()
            (folder / "signature").write_text(f"-----BEGIN SSH SIGNATURE-----\n{lines}-----END SSH SIGNATURE-----\n")
            public = (folder / "key.pub").read_text()
            (folder / "allowed").write_text(f'rita namespaces="{NAMESPACE}" {public}')
            command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "rita", "-n", NAMESPACE, "-s", "signature"]
            taken = subprocess.run(command, cwd=folder, input=message, capture_output=True)
            assert taken.returncode == 0, taken.stderr
            altered = subprocess.run(command, cwd=folder, input=message + b" ", capture_output=True)
            assert altered.returncode != 0

        tally.check("the receipt verifies, and OpenSSH takes the signature in it", verified)

        def broken():
            otto = house.add_person("Otto Oncall", groups=("oncall",))
            home = folder / "otto"
            home.mkdir()
            night = Desk(house, home, folder / "security_key.so", otto)
            hers, his = key, night.key("key", "-O", "verify-required")
            night.sign_in()
            night.run("person", "key", "add", "--ssh", f"{his}.pub", "--label", "night key",
                      answers=[(r"Enter PIN[^\n]*:", PIN)]).expect(2)
            house.sign_for(next(row["id"] for row in admin.inbox() if row["verb"] == "config.key"), admin)
            request = held("20")
            # An ordinary approval never breaks glass, and breaking it takes a reason.
            assert "may only break glass" in night.review("approve", request, his).expect(1).text
            night.review("approve", request, his, "--break-glass").expect(2)
            other = desk.review("approve", request, hers, "--break-glass", "--reason", "mine").expect(1)
            assert "lets you break glass; approve it" in other.text, other.text
            assert state(request) == "pending"
            words = "the disk is full, and nobody else answers"
            done = night.review("approve", request, his, "--break-glass", "--reason", words).expect(0)
            assert "you approve this alone" in done.text and words in done.text, done.text
            assert state(request) == "approved"
            glass = rita.approval(request)["reviews"][0]
            assert (glass["key"], glass["break_glass"]) == ("ssh", True), glass
            # Whoever broke it does not look back at it; somebody else does, once, when it has ended.
            look = ("--finding", "justified", "--note", "the disk was full")
            assert desk.review("look-back", request, hers, *look).expect(1)
            agent.ask("POST", f"/v1/actions/{request}/redeem", {}).expect(200)
            report = {"ending": "succeeded", "detail": "removed"}
            agent.ask("POST", f"/v1/actions/{request}/outcome", report).expect(200)
            assert night.review("look-back", request, his, *look).expect(1)
            desk.review("look-back", request, hers, *look).expect(0)
            assert "justified" in json.dumps(rita.approval(request)), rita.approval(request)
            assert desk.review("look-back", request, hers, *look).expect(1)
            receipt = folder / "glass.json"
            desk.run("audit", "receipt", request, "-o", receipt).expect(0)
            verdict = house.run("audit", "verify", str(receipt), "--log-key", house.log_key())
            assert verdict.returncode == 0 and "glass" in verdict.stdout, verdict.stdout + verdict.stderr

        tally.check("one person breaks glass at a terminal, and another looks back at it", broken)

        def revoked():
            request = held("19")
            people = admin.call("GET", "/v1/people").expect(200).json()["people"]
            person = next(row for row in people if row["name"] == "Rita Reviewer")
            name = next(row["credential"] for row in person["keys"] if row["kind"] == "ssh")
            admin.step_up()
            answer = admin.call("DELETE", f"/v1/people/{person['id']}/keys/{name}", {}).expect(202).json()
            house.sign_for(answer["id"], admin)
            assert "enrolled" in desk.review("approve", request, key).expect(1).text
            assert state(request) == "pending"
            # What it approved, and nobody has run, asks again.
            end = time.monotonic() + 20
            while state(approved["id"]) != "pending":
                assert time.monotonic() < end, state(approved["id"])
                time.sleep(0.05)
            assert rita.approval(approved["id"])["reviews"][0]["dismissed"]

        tally.check("a revoked key signs nothing, and what it signed asks again", revoked)
        house.stop()
    tally.close()


if __name__ == "__main__":
    main()
