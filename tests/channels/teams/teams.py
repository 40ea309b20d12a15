"""Microsoft Teams, end to end: held actions before Microsoft's Agents Playground, decided by a person at its page.

The harness is first proven by Microsoft's own bot library (`proof.py`). Here the real gateway posts its cards into the
Playground, with its token checks on, and whoever may not decide tries to. With SCREENSHOTS=DIR the page is saved there.
"""

import http.server
import json
import os
import re
import sys
import threading
import time
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "support"), str(HERE)]
from house import House, Tally  # noqa: E402
from playground import (  # noqa: E402
    GROUP, PEOPLE, PERSONAL, TENANT, Authority, Gate, Key, Person, Playground, Signer, activity, chat, request,
)
from setup import config  # noqa: E402

SHOTS = os.environ.get("SCREENSHOTS")
POLICY = """
@id("all") @why("Everything may be asked")
permit (principal, action, resource);
@id("change") @hold("reviewers:1") @assurance("chat") @ttl("30m") @grant("10m") @why("Changes what customers see")
forbid (principal, action in Action::"write", resource);
@id("removal") @hold("reviewers:1") @assurance("chat") @ttl("30m") @grant("10m") @why("Removes something for good")
forbid (principal, action in Action::"destroy", resource);
"""
ROUTES = f"""
[[channels.routes]]
channel = "teams"
to = "{GROUP}"
shows = "command"
[[channels.routes]]
channel = "teams"
to = "people"
shows = "command"
"""


class Target(http.server.ThreadingHTTPServer):
    """A service that remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _take(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_PUT = do_DELETE = do_GET = _take

    def log_message(self, *_):
        pass


def wait_for(look, what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {what} in {seconds} s")


class Scene:
    """A gateway, its people with accounts in the tenant, an agent, a service behind, and Alex at the page."""

    def __enter__(self):
        self.authority = Authority()
        self.gate = Gate(self.authority)
        self.target, self.asked = Target(), 0
        self.house = house = House(config(self.authority, self.gate, ROUTES)).start()
        self.endpoint = f"{house.url}/channels/teams/messages"
        self.ada = house.bootstrap()
        self.rita = house.add_person("Rita Reviewer")
        self.mia = house.add_person("Mia Outside", groups=("elsewhere",))
        self.agent = house.add_agent("deploy-bot", sponsor=self.ada)
        house.apply_policy(POLICY)
        upstream = f"http://127.0.0.1:{self.target.server_address[1]}"
        rows = [{"method": method, "path": "/{thing}/{name}", "resource": "{thing}/{name}"}
                for method in ("GET", "PUT", "DELETE")]
        for name, environment, more in (("shop", "staging", {}), ("till", "prod", {"prefix": "/till"})):
            house.set_route(name, {"name": name, "upstream": upstream, "environment": environment, "operations": rows,
                                   "wait": "60s", "run_when_gone": True, **more})
        self.signer = Signer(self.authority, self.endpoint)
        self.playground = Playground(self.signer, self.gate, me="alex").__enter__()
        self.person = Person(self.playground.url).__enter__()
        return self

    def __exit__(self, *_):
        self.person.__exit__()
        self.playground.__exit__()
        self.house.stop()
        self.target.shutdown()

    # What the bot sent.

    def sent(self, conversation, since=0):
        """Cards that were posted or replaced in a conversation, oldest first: message id and card."""
        cards = []
        for seen in self.gate.seen[since:]:
            match = re.fullmatch(r"/_connector/v3/conversations/([^/]+)/activities(?:/([^/]+))?", seen["path"])
            if match and match.group(1) == conversation and seen["status"] < 300 and seen["body"]:
                for attached in seen["body"].get("attachments", []):
                    message = match.group(2) or json.loads(seen["answer"])["id"]
                    cards.append((message, attached["content"]))
        return cards

    def card(self, conversation, held, look=lambda card: True):
        """The last card of a request in a conversation that is as wanted."""
        def found():
            cards = [(message, card) for message, card in self.sent(conversation)
                     if held in json.dumps(card) and look(card)]
            return cards[-1] if cards else None
        return wait_for(found, f"card of {held} in {conversation}")

    # What people do.

    def send(self, sent, token=None):
        """An activity with a token, as the Bot Connector sends it."""
        token = token or self.authority.token(sent["serviceUrl"])
        status, _, body = request("POST", self.endpoint, sent, {"Authorization": f"Bearer {token}"})
        return status, json.loads(body) if body else None

    def invoke(self, who, held, press, conversation=PERSONAL, message=None, version=None, words=None, **changes):
        """A press of a button by whoever, made by hand."""
        message = message or self.card(conversation, held)[0]
        version = version if version is not None else self.rita.approval(held).get("version", 1)
        data = {"v": 1, "press": press, "approval": held, "version": version}
        if words is not None:
            data["question" if press == "ask" else "reason"] = words
        sent = activity(self.gate.url, who, conversation, type="invoke", name="adaptiveCard/action", replyToId=message,
                        value={"action": {"type": "Action.Execute", "verb": press, "data": data},
                               "trigger": "manual"})
        sent.pop("text")
        for name, value in changes.items():
            sent[name] = {**sent[name], **value} if isinstance(value, dict) else value
        return sent

    def link(self, who, human, page=False):
        """Both sides of a link: the account asks, the console confirms with a passkey, the account brings the code."""
        def write(text, look):
            before = len(self.gate.seen)
            if page:
                self.person.do("say", text=text)
            else:
                assert self.send(activity(self.gate.url, who, chat(who), text=text))[0] == 200

            def found():
                cards = "".join(json.dumps(card) for _, card in self.sent(chat(who), before))
                return re.search(look, cards)
            return wait_for(found, f"answer to `{text}`")
        token = write("link", r"/link#([^\"]+)").group(1)
        human.step_up()
        looked = human.call("POST", "/v1/links/look", {"token": token}).expect(200).json()
        assert looked["account"] == {"provider": "teams", "team": TENANT, "user": PEOPLE[who][2]}, looked
        code = human.call("POST", "/v1/links", {"token": token}).expect(200).json()["code"]
        write(f"link {code}", "stands for")

    def ask(self, path=None, method="PUT"):
        """An action that is held: its approval, and its caller's answer to come."""
        self.asked += 1
        path = path or f"/things/{self.asked}"
        box, before = {}, {row["id"] for row in self.rita.inbox()}

        def call_it():
            try:
                box["answer"] = self.agent.call(method, path, b'{"price":5}')
            except OSError as gone:  # the gateway was stopped
                box["gone"] = gone
        work = threading.Thread(target=call_it, daemon=True)
        work.start()
        held = self.rita.wait_for_pending(besides=before)

        def answer():
            work.join(40)
            return box["answer"]
        return held, path, answer

    def state(self, held, word):
        wait_for(lambda: self.rita.approval(held)["state"] == word, f"state {word} of {held}")

    def shot(self, name):
        if SHOTS:
            self.person.do("shot", file=f"{SHOTS}/{name}.png", width=1100, height=1500)

    def refusals(self, held):
        trail = self.ada.call("GET", "/v1/trail?format=jsonl").expect(200).body.decode()
        return len([line for line in trail.splitlines() if held in line and "refus" in line])


def told(answer):
    """What whoever clicked is shown: all words of the card that answers."""
    status, body = answer
    assert status == 200, (status, body)
    assert body["statusCode"] == 200 and body["type"] == "application/vnd.microsoft.card.adaptive", body
    return json.dumps(body["value"], ensure_ascii=False)


def main():
    tally = Tally()
    with Scene() as scene:
        person, invoke, send = scene.person, scene.invoke, scene.send

        def linked_at_the_page():
            scene.link("alex", scene.rita, page=True)
            person.do("see", text="stands for Rita Reviewer")

        def approved_by_a_click():
            held, path, answer = scene.ask()
            scene.card(PERSONAL, held)
            person.do("see", text="Review wanted")
            scene.shot("teams-waits")
            person.do("press", name="Approve")
            got = answer()
            assert got.status == 200 and scene.target.calls.count(path) == 1, got
            scene.state(held, "finished")
            for conversation in (PERSONAL, GROUP):
                card = scene.card(conversation, held, lambda card: "Approved, and ran" in json.dumps(card))[1]
                assert "Action.Execute" not in json.dumps(card)
            person.do("see", text="Approved, and ran")
            scene.shot("teams-ran")

        def denied_with_words():
            held, path, answer = scene.ask()
            scene.card(PERSONAL, held)
            person.do("see", text=path.strip("/"))
            person.do("press", name="Deny")
            person.do("write", text="not on a Friday")
            scene.shot("teams-deny")
            person.do("press", name="Deny it")
            assert answer().status == 403
            scene.state(held, "denied")
            card = scene.card(GROUP, held, lambda card: "Denied" in json.dumps(card))[1]
            assert "not on a Friday" in json.dumps(card)
            assert path not in scene.target.calls

        def asked_and_answered():
            held, path, answer = scene.ask()
            scene.card(PERSONAL, held)
            person.do("see", text=path.strip("/"))
            person.do("press", name="Ask")
            person.do("write", text="Who uses it?")
            person.do("press", name="Send the question")
            asked = wait_for(lambda: scene.rita.approval(held)["card"]["questions"], "question")
            scene.agent.ask("POST", f"/v1/approvals/{held}/answers",
                            {"question": asked[0]["id"], "text": "Nobody since May."}).expect(200)
            scene.card(PERSONAL, held, lambda card: "Nobody since May." in json.dumps(card))
            assert "Approved." in told(send(invoke("alex", held, "approve", version=latest(PERSONAL, held))))
            assert answer().status == 200

        def latest(conversation, held):
            card = json.dumps(scene.card(conversation, held)[1])
            return max(int(version) for version in re.findall(r'"version": (\d+)', card))

        def review_among_others():
            held, path, answer = scene.ask()
            message, card = scene.card(GROUP, held)
            text = json.dumps(card)
            assert '"verb": "approve"' not in text and '"verb": "view"' in text
            view = told(send(invoke("alex", held, "view", GROUP, message, latest(GROUP, held))))
            assert '"verb": "approve"' in view and '"userIds": ["29:alex"]' in view and '\\"price\\":5' in view, view[:1500]
            approved = told(send(invoke("alex", held, "approve", GROUP, message, latest(GROUP, held))))
            assert "Approved." in approved, approved[:600]
            assert answer().status == 200 and scene.target.calls.count(path) == 1

        def confirmed_at_medium_risk():
            held, path, answer = scene.ask(method="DELETE", path="/things/medium")
            card = json.dumps(scene.card(PERSONAL, held)[1])
            assert '"verb": "confirm"' in card and '"verb": "approve"' not in card, card[:900]
            once = told(send(invoke("alex", held, "approve", version=latest(PERSONAL, held))))
            assert "second click" in once, once[:600]
            person.do("see", text="things/medium")
            person.do("press", name="Approve")
            scene.shot("teams-confirm")
            person.do("press", name="Yes, approve")
            assert answer().status == 200

        tally.check("an account is linked at the page, and confirmed with a passkey in the console", linked_at_the_page)
        tally.check("a click at the page approves a held action, and every card says so", approved_by_a_click)
        tally.check("a denial takes words at the page, and every card says them", denied_with_words)
        tally.check("a question goes to the agent, and its answer comes to the card", asked_and_answered)
        tally.check("among others nobody decides but in their own view", review_among_others)
        def high_risk_goes_to_the_console():
            held, path, answer = scene.ask(method="DELETE", path="/till/things/high")
            text = json.dumps(scene.card(PERSONAL, held)[1])
            assert '"verb": "approve"' not in text and '"verb": "confirm"' not in text and '"verb": "deny"' in text
            assert "Review in console" in text
            for press in ("approve", "confirm"):
                said = told(send(invoke("alex", held, press, version=latest(PERSONAL, held))))
                assert "in the console" in said, said[:600]
            person.do("see", text="things/high")
            scene.shot("teams-high")
            scene.rita.deny(held, "no").expect(200)
            assert answer().status == 403

        tally.check("a medium risk is confirmed by a second click", confirmed_at_medium_risk)

        tally.check("a high risk is approved in the console only", high_risk_goes_to_the_console)

        # Whoever may not.
        held, path, answer = scene.ask()
        version = latest(PERSONAL, held)
        message, group_message = scene.card(PERSONAL, held)[0], scene.card(GROUP, held)[0]
        scene.link("megan", scene.ada)
        scene.link("adele", scene.mia)

        def refused(name, words, who="alex", conversation=GROUP, on=None, at=None, press="approve", change=None):
            def work():
                before = scene.refusals(held)
                sent = invoke(who, held, press, conversation, on or group_message, at or version)
                said = told(send(change(sent) if change else sent))
                assert words in said, said[:900]
                assert scene.rita.approval(held)["state"] == "pending"
                wait_for(lambda: scene.refusals(held) > before, "record of the refusal", 10)
            tally.check(f"refused, on record and told: {name}", work)

        def unsigned(name, token, **changes):
            def work():
                sent = invoke("alex", held, "approve", GROUP, group_message, version, **changes)
                status, body = send(sent, token)
                assert status == 401, (status, body)
                assert scene.rita.approval(held)["state"] == "pending"
            tally.check(f"refused without a word: {name}", work)

        now = int(time.time())
        forger, sign = Authority(), scene.authority.token
        unsigned("a forged token", forger.token(scene.gate.url))
        unsigned("a token that is over", sign(scene.gate.url, exp=now - 400))
        unsigned("a token for another app", sign(scene.gate.url, aud=str(uuid.uuid4())))
        unsigned("a token for another service URL", sign("https://smba.trafficmanager.net/teams/"))
        unsigned("another service URL under a good token", sign(scene.gate.url), serviceUrl="https://evil.example/")

        def strange_host():
            url = f"http://127.0.0.1:{forger.server.server_port}/"
            status, body = send(invoke("alex", held, "approve", GROUP, group_message, version, serviceUrl=url))
            assert status == 400 and "service hosts" in body["error"]["message"], (status, body)
            assert not forger.asked

        tally.check("no access token goes to a host that is not on the list", strange_host)
        other = "7a9c1b2e-0000-4000-8000-00000000ffff"

        def of_tenant(sent):
            sent["conversation"]["tenantId"] = sent["channelData"]["tenant"]["id"] = other
            return sent

        def as_bot(sent):
            sent["from"]["role"] = "bot"
            return sent

        def nobody(sent):
            del sent["from"]["aadObjectId"]
            return sent

        def somebody_else(sent):
            sent["from"]["aadObjectId"] = PEOPLE["alex"][2]
            return sent

        refused("somebody of another tenant", "its own organisation only", change=of_tenant)
        refused("a bot", "which person", change=as_bot)
        refused("somebody without an object id", "which person", change=nobody)
        refused("an object id that Teams gives to somebody else", "which person", who="patti", change=somebody_else)
        refused("an account that is linked to nobody", "linked to nobody", who="isaiah")
        refused("a member of another group", "no approval with this id", who="adele")
        refused("whoever stands behind the agent", "somebody else must review", who="megan")
        refused("a message that is not ours", "no message of Countersign", on="1700000000000")
        refused("our message of another conversation", "no message of Countersign", on=message)
        refused("a version that was never shown", "has moved", at=version + 7)

        def guests():
            for change in ({"userRole": "guest"}, {"userRole": None}, {"tenantId": other},
                           {"userPrincipalName": "alex_b.example#EXT#@acme.example"}):
                def member(method, path):
                    if method == "GET" and "/members/" in path:
                        mri, name, oid = PEOPLE["alex"]
                        fields = {"id": mri, "name": name, "aadObjectId": oid, "tenantId": TENANT, "userRole": "user",
                                  "userPrincipalName": "alex@example.com", **change}
                        return 200, {key: value for key, value in fields.items() if value is not None}
                    return None
                scene.gate.fault = member
                before = scene.refusals(held)
                said = told(send(invoke("alex", held, "approve", GROUP, group_message, version)))
                scene.gate.fault = None
                assert "Nothing was done" in said, (change, said[:900])
                wait_for(lambda: scene.refusals(held) > before, f"record of {change}", 10)
            assert scene.rita.approval(held)["state"] == "pending"

        tally.check("refused, on record and told: guests, by each of Teams' signs", guests)

        def nobody_known():
            scene.gate.fault = lambda method, path: (503, {}) if "/members/" in path else None
            said = told(send(invoke("alex", held, "approve", GROUP, group_message, version)))
            scene.gate.fault = None
            assert "could not be asked" in said and scene.rita.approval(held)["state"] == "pending", said[:900]

        tally.check("where Teams cannot be asked who clicked, nothing is done", nobody_known)

        def looks_by_itself():
            sent = invoke("isaiah", held, "view", GROUP, group_message, version)
            sent["value"]["trigger"] = "automatic"
            status, body = send(sent)
            assert status == 200 and body["statusCode"] == 403, body
            sent = invoke("isaiah", held, "approve", GROUP, group_message, version)
            sent["value"]["trigger"] = "automatic"
            assert send(sent)[0] == 400

        tally.check("a client that looks by itself keeps the card, and decides nothing", looks_by_itself)

        def a_click_counts_once():
            sent = invoke("alex", held, "approve", GROUP, group_message, version)
            assert "Approved." in told(send(sent))
            again = told(send(sent))
            assert "counts once" in again, again[:600]
            assert answer().status == 200 and scene.target.calls.count(path) == 1

        tally.check("a click that is sent again counts once", a_click_counts_once)

        def rate_limited():
            faults = []

            def once(method, path):
                if method == "POST" and path.endswith("/activities") and not faults:
                    faults.append(path)
                    return 429, {"error": {"code": "TooManyRequests"}}, {"Retry-After": "1", "Content-Type": "application/json"}
                return None
            scene.gate.fault = once
            held, path, answer = scene.ask()
            for conversation in (GROUP, PERSONAL):
                scene.card(conversation, held)
            scene.gate.fault = None
            assert faults
            told(send(invoke("alex", held, "deny", version=latest(PERSONAL, held), words="no")))
            assert answer().status == 403

        def another_access_token():
            scene.authority.issued.clear()
            held, path, answer = scene.ask()
            for conversation in (GROUP, PERSONAL):
                scene.card(conversation, held)
            told(send(invoke("alex", held, "deny", version=latest(PERSONAL, held), words="no")))
            assert answer().status == 403

        def another_key():
            fresh = Key()
            scene.authority.keys.append(fresh)
            sent = activity(scene.gate.url, type="typing")
            token = fresh.sign(scene.authority.claims(scene.gate.url))

            def taken():
                return send(sent, token)[0] == 200
            wait_for(taken, "look for the new key", 75)

        def restarted():
            held, path, answer = scene.ask()
            message = scene.card(GROUP, held)[0]
            version = latest(GROUP, held)

            # Teams knows no key of ours for a message: a card whose place was not noted before a kill is posted again.
            def noted():
                answer = scene.house.admin.call("GET", f"/v1/deliveries?approval={held}").expect(200).json()
                rows = [row for row in answer["deliveries"] if row["channel"] == "teams"]
                return rows and all(row["state"] == "delivered" for row in rows)
            wait_for(noted, "places noted")
            scene.house.kill()
            scene.house.start()
            said = told(send(invoke("alex", held, "approve", GROUP, message, version)))
            assert "Approved." in said, said[:600]
            wait_for(lambda: scene.target.calls.count(path) == 1, "run after a restart")
            scene.card(GROUP, held, lambda card: "Approved, and ran" in json.dumps(card))
            # What was learned is forgotten: the chat is found by the person's object id.
            held, path, answer = scene.ask()
            told(send(invoke("alex", held, "deny", version=latest(PERSONAL, held), words="no")))
            assert answer().status == 403

        tally.check("a limit on rates is waited for", rate_limited)
        tally.check("an access token that is taken back is asked for anew", another_access_token)
        tally.check("a new signing key is found", another_key)
        tally.check("a click after a restart counts", restarted)
        tally.close()


if __name__ == "__main__":
    main()
