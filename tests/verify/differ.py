"""The two verifiers before what an attacker makes up, who holds the log's key and cannot sign as others: stories of people,
keys, groups and cases in any order, with a record or two bent on its way into the log (`forge.py`). Both say the same
verdict and the same states, and neither crashes or hangs; and whatever was bent, no case ran for which nobody signed.

    python3 differ.py [DRAWS] [FIRST]

Draws are numbered, and a number always makes the same file: a failure names its own.
"""

import io
import json
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
sys.path.insert(0, str(ROOT / "verifier"))
from countersign_verify import Trust, state_of, verify  # noqa: E402
from forge import ORIGIN, Bender, Log, Passkey, SshKey, b64, dump, fields_root, purpose, sha, uid  # noqa: E402
from house import Tally  # noqa: E402

BINARIES = Path(os.environ.get("COUNTERSIGN_BIN", ROOT / "target/debug/countersign")).parent
WORKERS = 2  # the processor's cores
HANG = 30  # seconds
ADA, SAM, ALICE, BOB, EVE = 9, 0, 1, 2, 5
AGENT = uid(2, 0)


def person(n):
    return uid(1, n)


class Case:
    """One action, from its request on."""

    def __init__(self, story, n, verb, chain, payload, requirement, point="http", environment="prod"):
        self.story, self.log, self.bender, self.id = story, story.log, story.log.bender, uid(0, n)
        self.nonce, self.requirement = 0, requirement
        record = {
            "v": 1, "id": self.id, "point": point, "level": "enforced", "chain": chain, "verb": verb,
            "resource": {"name": "queues/1", "environment": environment, "labels": {}},
            "target": {"name": "rabbit", "definition": b64(sha(b"a route"))}, "credential": None, "session": {}, "run": None,
            "reason": "because", "payload": b64(fields_root(payload))}
        self.chain = chain
        self.record = self.bender.bytes("an action", record)
        self.digest = b64(purpose("action", self.record))
        self.standing = self.evaluation("needs-review")
        event = {"type": "requested", "id": self.id, "action": self.digest, "chain": chain, "evaluation": self.standing}
        self.log.append("request/1", self.id, {"action": self.record, "event": self.bender.bytes("an event", event)},
                        (self.id, payload, point == "config"))

    def evaluation(self, effect):
        decision = {"effect": effect} | ({"requirement": self.requirement} if effect == "needs-review" else {})
        return self.bender.value("an evaluation", {
            "v": 1, "action": self.digest, "policy": b64(sha(b"policy")), "directory": 8, "facts": {"rows": 3, "matched": True},
            "decision": decision, "rules": [{"id": "hold", "why": "it removes"}], "shadow": []})

    def event(self, kind, event):
        self.log.append(kind, self.id, {"event": self.bender.bytes("an event", event)})

    def signed(self, who, key, verdict, group, **more):
        self.nonce += 1
        statement = {
            "v": 1, "origin": ORIGIN, "approval": self.id, "action": self.digest,
            "evaluation": {"digest": b64(purpose("evaluation", dump(self.standing))), "policy": b64(sha(b"policy")),
                           "requirement": self.requirement},
            "verdict": verdict, "note": "why" if verdict != "approve" else None, "group": group if verdict == "approve" else None,
            "grant": {"uses": 1, "seconds": 300}, "effects": {}, "reviewer": person(who), "assurance": "passkey",
            "nonce": b64(sha(bytes([self.nonce]))), "expires": self.log.time + 600_000_000, "displayed": b64(sha(b"a card")), **more}
        statement = self.bender.bytes("a statement", statement)
        return {"statement": b64(statement), "proof": key.sign(statement, self.bender)}

    def review(self, who, verdict="approve", group="dba", key=None):
        review = self.signed(who, key or self.story.keys[who], verdict, group)
        if verdict == "ask":
            self.event("question/1", {"type": "asked", "question": uid(3, 0), "review": review})
        else:
            self.event("review/1", {"type": "reviewed", "review": review})

    def redeem(self, *counted):
        self.event("execution/1", {"type": "redeemed", "grant": uid(4, 0), "evaluation": self.standing,
                                   "counted": sorted(map(person, counted))})

    def finish(self):
        self.event("outcome/1", {"type": "finished", "outcome": {
            "ending": "succeeded", "witnessed": "observed", "detail": "204", "result": None, "bytes": 0}})

    def reevaluate(self, effect):
        self.standing = self.evaluation(effect)
        self.event("reevaluation/1", {"type": "reevaluated", "evaluation": self.standing})


class Story:
    """A log of a deployment. `odd` is how often what should not be is done all the same."""

    def __init__(self, draw, turns, odd):
        self.draw, self.odd = draw, odd
        self.log = Log(Bender(draw, turns))
        self.keys, self.cases, self.signed_for = {}, 0, 0

    def oddly(self):
        return self.draw.random() < self.odd

    def requirement(self, group="dba", count=1, separation="full"):
        value = {"holds": [{"rule": "hold", "why": "it removes", "any_of": [{"group": group, "count": count}]}], "ttl": 1800,
                 "grant": 300, "assurance": self.draw.choice(["passkey", "chat"]), "separation": separation}
        return self.log.bender.value("a requirement", value)

    def approved(self, event, by=ADA):
        """A case in which an administrator signs for a change; at times somebody else, or for another change."""
        self.signed_for += 1
        asker = event["person"] if event["person"] != person(by) else person(SAM)
        payload = [("config.change", sha(bytes([self.signed_for])), dump(
            {**event, "person": person(SAM)} if self.oddly() else event))]
        verb = "config.group" if event["type"].startswith("group") != self.oddly() else "config.key"
        case = Case(self, 100 + self.signed_for, verb, {"caller": f"person:{asker}", "behind": []}, payload,
                    self.requirement("admins"), "config", "control")
        case.review(EVE if self.oddly() and EVE in self.keys else by, group="dba" if self.oddly() else "admins")
        if not self.oddly():
            case.redeem(by)
        if self.oddly():
            case.finish()
        return case.id

    def change(self, event, signed=True):
        if signed and not self.oddly():
            self.log.change(event, f"person:{event['person']}", self.approved(event))
        else:
            self.log.change(event, f"person:{person(ADA)}", None)

    def enrol(self, who, key, signed=True):
        self.keys.setdefault(who, key)
        event = key.enrolment(person(who), self.log.bender)
        if who == ADA:
            self.log.change(event, None, None)
        else:
            self.change(event, signed)

    def join(self, who, group, signed=False):
        event = {"type": "group-joined", "group": group, "person": person(who)}
        if who == ADA:
            self.log.change(event, None, None)
        else:
            self.change(event, signed)

    def told(self):
        """Ada, whose key begins it; Sam's agent; Alice and Bob, who review; then some cases."""
        draw = self.draw
        self.log.change({"type": "person-added", "id": person(ADA), "name": "Ada"}, None, None)
        self.join(ADA, "admins")
        self.enrol(ADA, Passkey(ADA))
        self.log.change({"type": "agent-added", "id": AGENT, "name": "janitor", "sponsor": person(SAM), "key": b64(bytes(32))},
                        f"person:{person(ADA)}", None)
        self.enrol(ALICE, draw.choice([Passkey(ALICE), Passkey(ALICE, eddsa=True), SshKey(ALICE)]))
        self.join(ALICE, "dba")
        if draw.random() < 0.3:
            self.join(ALICE, "admins")
        if draw.random() < 0.6:
            self.enrol(BOB, Passkey(BOB))
            self.join(BOB, "dba", signed=draw.random() < 0.5)
        if draw.random() < 0.3:
            self.enrol(EVE, draw.choice([Passkey(EVE), self.keys[ALICE]]))
            self.join(EVE, "dba")
        for _ in range(draw.choice([1, 1, 2])):
            self.case()
        return self.log

    def between(self):
        """Something that may take the ground from under a review."""
        draw, log = self.draw, self.log
        who, by = draw.choice(list(self.keys)), f"person:{person(ADA)}"
        revoked = {"type": "key-revoked", "person": person(who), "credential_id": b64(getattr(self.keys[who], "id", b"x"))}
        draw.choice([
            lambda: log.change(revoked, by, None),
            lambda: self.change(revoked, signed=True),
            lambda: log.change({"type": "group-left", "group": "dba", "person": person(who)}, by, None),
            lambda: log.change({"type": "person-deactivated", "id": person(who)}, by, None),
            lambda: log.change({"type": "agent-sponsor-changed", "id": AGENT, "sponsor": person(who)}, by, None),
            lambda: self.join(draw.choice([ALICE, BOB, EVE]), draw.choice(["dba", "admins"]), signed=draw.random() < 0.5),
            lambda: self.enrol(draw.choice([ALICE, BOB, EVE, SAM]), draw.choice(list(self.keys.values()))),
            lambda: log.append("heartbeat/1", None, {}),
        ])()

    def case(self):
        draw = self.draw
        self.cases += 1
        self.first = uid(0, self.cases) if self.cases == 1 else self.first
        chain = {"caller": f"agent:{AGENT}", "behind": [{"party": f"person:{person(SAM)}", "role": "sponsor"}]}
        payload = [("http.body", sha(b"1"), b"purge"), ("http.query", sha(b"2"), b"a=b")]
        both = BOB in self.keys and draw.random() < 0.5
        case = Case(self, self.cases, "http.delete", chain, payload, self.requirement(count=2 if both else 1),
                    environment=draw.choice(["prod", "staging"]))
        if draw.random() < 0.3:
            self.between()
        if draw.random() < 0.3:
            case.review(ALICE, "ask")
            case.event("answer/1", {"type": "answered", "question": uid(3, 0), "by": f"agent:{AGENT}", "text": "so"})
        if draw.random() < 0.15:
            case.reevaluate(draw.choice(["needs-review", "permit", "deny"]))
        approving = [ALICE, BOB] if both else [EVE if EVE in self.keys and self.oddly() else ALICE]
        for who in approving:
            case.review(who, draw.choices(["approve", "deny"], [9, 1])[0])
        if draw.random() < 0.3:
            self.between()
        if draw.random() < 0.1:
            self.log.time += 2_000_000_000
            case.event("end/1", {"type": "expired"})
        elif draw.random() < 0.1:
            case.event("end/1", {"type": "cancelled", "by": f"agent:{AGENT}", "reason": "no need"})
        else:
            case.redeem(*approving)
            if draw.random() < 0.8:
                case.finish()


def file_of(number):
    """The file of a draw, its log's key, and what was bent."""
    shape = random.Random(number)
    bends, odd = shape.choice([0, 1, 1, 1, 1, 2]), shape.choice([0, 0, 0.05, 0.15])
    kind = shape.choice(["receipt", "receipt", "cases", "period"])

    def made(turns):
        story = Story(random.Random(number), turns, odd)
        log = story.told()
        data = log.receipt(story.first) if kind == "receipt" else log.bundle(kind == "period")
        return data, log

    _, log = made(())
    turns = shape.sample(range(1, log.bender.seen + 1), bends)
    data, log = made(turns)
    return data, log.verifier, log.bender.told


def by_rust(data, trust):
    with tempfile.NamedTemporaryFile() as file, tempfile.NamedTemporaryFile() as key:
        file.write(data), file.flush(), key.write(trust), key.flush()
        command = [str(BINARIES / "countersign-verify"), file.name, "--trust", key.name, "--json"]
        done = subprocess.run(command, capture_output=True, timeout=HANG)
    assert done.returncode in (0, 1, 2), f"it ended with {done.returncode}: {done.stderr[-300:]}"
    report = json.loads(done.stdout)
    whole = report.get("bundle") or report["receipt"]
    cases = report.get("cases", [])
    if "receipt" in report and whole["summary"]:
        cases = [{"approval": whole["summary"]["approval"], "summary": whole["summary"]}]
    states = {case["approval"]: case["summary"]["state"]["word"] for case in cases if case["summary"]}
    return whole["verdict"], states, whole["reasons"]


def by_python(data, trust):
    verdict, reasons, report = verify(io.BytesIO(data), Trust(trust))
    states = {approval: state_of(case) for approval, case, _ in report.cases if case is not None}
    return verdict, states, reasons


def differ(number):
    """What is wrong with a draw, or None; and its verdict."""
    data, verifier, bent = file_of(number)
    trust = verifier.encode() + b"\n"
    try:
        rust, python = by_rust(data, trust), by_python(data, trust)
    except Exception as error:  # whatever it is, it is a finding
        return f"draw {number}, bent {bent}: {type(error).__name__}: {error}", None
    same = rust[0] == python[0] and (rust[0] == "invalid" or known(rust[1]) == known(python[1]))
    return None if same else f"draw {number}, bent {bent}: Rust says {rust}, Python {python}", rust[0]


def known(states):
    return {approval: state for approval, state in states.items() if state != "undetermined"}


def main():
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    first = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 40)
    print(f"draws from {first}", flush=True)
    tally, found = Tally(), []
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(differ, range(first, first + draws)))
    wrong = [why for why, _ in found if why]
    verdicts = {word: sum(verdict == word for _, verdict in found) for word in ("valid", "invalid", "indeterminate")}
    print(verdicts, flush=True)

    def agree():
        assert not wrong, "\n".join(wrong[:20])

    def all_kinds():
        assert all(verdicts.values()) or draws < 100, verdicts

    tally.check(f"both verifiers agree on {draws} draws", agree)
    tally.check("the draws come to every verdict", all_kinds)
    tally.close()


if __name__ == "__main__":
    main()
