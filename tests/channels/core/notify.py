"""Requests brought to people by signed webhooks and by mail: the reference library checks each webhook, and a mail server
of Debian's takes each mail. Neither decides anything; what fails is tried again, and everybody can see what arrived.
"""

import html.parser
import http.server
import json
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "streams"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from house import House, Tally, call  # noqa: E402
from mail import MailServer  # noqa: E402
from receivers import SECRET, Quiet, Upstream, eventually  # noqa: E402
from standardwebhooks import Webhook  # noqa: E402

POLICY = """
@id("all") @why("everything may be asked")
permit (principal, action, resource);
@id("hold-removal") @hold("reviewers:1") @ttl("30m") @grant("10m") @why("removes something")
forbid (principal, action in Action::"destroy", resource);
"""

# What a gateway had in hand when it was killed is another's to take after a minute.
LEASE = 120


class Desk:
    """A customer's own surface: it knows each state of each request once, and remembers in which order it heard of them."""

    def __init__(self):
        self.heard, self.ids, self.bad, self.status, self.arrived = {}, [], [], 204, {}
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with outer.lock:
                    status = outer.take(body, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def take(self, body, headers):
        try:
            payload = Webhook(SECRET).verify(body, headers)
        except Exception as error:
            self.bad.append(repr(error))
            return 400
        if self.status >= 300:
            return self.status
        if headers["webhook-id"] not in self.ids:
            self.ids.append(headers["webhook-id"])
            data = payload["data"]
            self.arrived.setdefault(data["id"], time.monotonic())
            self.heard.setdefault(data["id"], []).append((payload["type"], data))
        return self.status

    def of(self, held):
        with self.lock:
            return list(self.heard.get(held, []))

    def states(self, held):
        return [data["state"] for _, data in self.of(held)]


class Tags(html.parser.HTMLParser):
    """The elements of a document, and where its links lead."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name in ("href", "src", "action")]


def config(desk, mail, person=None):
    people = f'[channels.email.people]\n"{person}" = "rita@example.com"\n' if person else ""
    return f"""
[channels]
time_zone = "Europe/Berlin"
[channels.webhooks.desk]
url = "{desk.url}"
secret = {{ env = "HOOK_SECRET" }}
[channels.email]
host = "localhost"
port = {mail.port}
ca = "{mail.folder}/authority.pem"
from = "Countersign <countersign@example.com>"
{people}
[[channels.routes]]
channel = "desk"
shows = "command"
[[channels.routes]]
group = "reviewers"
channel = "email"
to = "reviewers@example.com"
[[channels.routes]]
channel = "email"
to = "people"
shows = "command"
[[channels.routes]]
target = "target"
channel = "email"
to = "boss@example.com"
after = 8
[[channels.routes]]
target = "target"
channel = "email"
to = "nobody@example.com"
"""


def main():
    tally, upstream, desk = Tally(), Upstream(), Desk()
    mail = MailServer(Path(tempfile.mkdtemp(prefix="countersign-mail-")) / "exim").start()
    env = {"HOOK_SECRET": SECRET}
    house = House(config(desk, mail), env=env).start()
    listen = (house.folder / "countersign.toml").read_text().split("[channels]")[0]
    try:
        admin = house.bootstrap()
        rita = house.add_person("Rita Reviewer")
        agent = house.add_agent(sponsor=admin)
        house.apply_policy(POLICY)
        house.set_route("target", {"name": "target", "upstream": upstream.url, "environment": "staging",
                                   "run_when_gone": True, "wait": "50s"})
        # People's addresses stand in the configuration, by their ids.
        house.stop()
        (house.folder / "countersign.toml").write_text(listen + config(desk, mail, rita.id))
        house.start()

        held, known = {}, {row["id"] for row in rita.inbox()}

        def ask(path):
            def work():
                try:
                    agent.call("DELETE", path, **{"Countersign-Reason": "nobody reads it"})
                except OSError:
                    pass  # the gateway was killed under us

            threading.Thread(target=work, daemon=True).start()
            known.add(found := rita.wait_for_pending(besides=known))
            return found

        def a_request_arrives():
            held["one"] = ask("/items/1?card=4111111111111111")
            eventually("the desk hears of it", lambda: desk.states(held["one"]) == ["pending"])
            kind, data = desk.of(held["one"])[0]
            assert kind == "approval.requested" and not desk.bad, desk.bad
            assert data["verb"] == "http.delete" and data["environment"] == "staging", data
            text = json.dumps(data)
            assert "4111111111111111" not in text, "what the mask covers is masked on its way out"
            assert data["action_digest"] and data["url"].endswith(held["one"]), data
            page = rita.call("GET", f"/approvals/{held['one']}").expect(200)
            assert data["card_digest"] == rita.approval(held["one"])["card_digest"]
            assert b"Who was asked" in page.body

        def mail_arrives_and_decides_nothing():
            shared = eventually("the list has mail", lambda: mail.mail("reviewers@example.com"))[0]
            own = eventually("rita has mail", lambda: mail.mail("rita@example.com"))[0]
            for message in (shared, own):
                assert message["from"].endswith("<countersign@example.com>"), message["from"]
                assert message["message-id"].endswith("@example.com>"), "its domain is the signing one's"
                assert message["auto-submitted"] == "auto-generated" and message["list-id"], message.items()
                assert message["subject"].startswith("[review] http.delete"), message["subject"]
                tags = Tags(message.get_body(("html",)).get_content())
                assert not tags.tags & {"form", "script", "input", "button", "img", "link", "iframe"}, tags.tags
                assert set(tags.links) == {f"{house.public_url}/approvals/{held['one']}"}, tags.links
            text = own.get_body(("plain",)).get_content()
            assert re.search(r"\d{2}:\d{2}:\d{2} CES?T", text), text
            assert "4111111111111111" not in text
            assert "Masked" in text or "masked" in text, text
            listed = shared.get_body(("plain",)).get_content()
            assert "/items/1" in listed and "does not leave" in listed, listed
            # Whoever follows the link decides nothing by it.
            before = rita.approval(held["one"])["version"]
            for method in ("GET", "HEAD", "POST"):
                call(method, f"{house.url}/approvals/{held['one']}", b"" if method == "POST" else None)
            assert rita.approval(held["one"])["version"] == before

        def what_never_arrives_is_said():
            def failed():
                rows = admin.call("GET", f"/v1/deliveries?approval={held['one']}").expect(200).json()["deliveries"]
                return [row for row in rows if row["to"] == "nobody@example.com" and row["state"] == "failed"]

            row = eventually("it is given up", failed)[0]
            assert "nobody of this name" in row["error"], row

        def nobody_in_time_escalates():
            eventually("the boss has mail", lambda: mail.mail("boss@example.com"))

        def the_decision_is_told_everywhere():
            rita.approve(held["one"]).expect(200)
            eventually("the desk hears of the end", lambda: desk.states(held["one"])[-1:] == ["finished"])
            versions = [data["version"] for _, data in desk.of(held["one"])]
            assert versions == sorted(versions), versions
            data = desk.of(held["one"])[-1][1]
            assert data["outcome"] == "succeeded" and data["reviews"][0]["by"] == "passkey" and data["receipt"], data
            for to in ("reviewers@example.com", "rita@example.com", "boss@example.com"):
                first, last = eventually(f"{to} hears of it", lambda to=to: (lambda found: found if len(found) == 2 else None)(mail.mail(to)))
                assert last["subject"].startswith("[finished]"), last["subject"]
                assert last["in-reply-to"] == first["message-id"], "it is one thread"

        def what_was_decided_wakes_nobody():
            two = ask("/items/2")
            eventually("rita has mail", lambda: [m for m in mail.mail("rita@example.com") if "/items/2" in m["subject"]])
            rita.deny(two, "not today").expect(200)
            eventually("the desk hears of it", lambda: desk.states(two)[-1:] == ["denied"])
            time.sleep(10)
            assert not [m for m in mail.mail("boss@example.com") if "/items/2" in m["subject"]], "it was decided"
            states = {row["to"]: row["state"] for row in
                      admin.call("GET", f"/v1/deliveries?approval={two}").expect(200).json()["deliveries"]}
            assert states["boss@example.com"] == "unneeded", states

        def receivers_that_are_away_miss_nothing():
            mail.stop()
            desk.status = 503
            three = ask("/items/3")
            def retrying():
                rows = admin.call("GET", f"/v1/deliveries?approval={three}").expect(200).json()["deliveries"]
                return {row["channel"] for row in rows if row["state"] == "retrying"} == {"desk", "email"}
            eventually("both are tried again", retrying)
            house.kill()  # what is to be delivered is in the store
            desk.status = 204
            mail.start()
            house.start()
            eventually("the desk hears of it", lambda: desk.states(three) == ["pending"], LEASE)
            eventually("rita has mail", lambda: [m for m in mail.mail("rita@example.com") if "/items/3" in m["subject"]], LEASE)
            held["three"] = three

        def what_happened_meanwhile_is_told():
            house.stop()
            house.start()
            rita.deny(held["three"], "no").expect(200)
            house.kill()
            house.start()
            eventually("the desk hears of it", lambda: desk.states(held["three"])[-1:] == ["denied"], LEASE)

        def only_people_see_where_it_went():
            agent.ask("GET", "/v1/deliveries").expect(401, 403)
            rita.call("GET", "/v1/deliveries").expect(403)
            page = admin.call("GET", "/v1/deliveries?limit=2").expect(200).json()
            assert len(page["deliveries"]) == 2 and page["next"], page
            more = admin.call("GET", f"/v1/deliveries?limit=2&cursor={page['next']}").expect(200).json()
            assert more["deliveries"] and more["deliveries"][0] not in page["deliveries"]
            admin.call("GET", "/v1/deliveries?cursor=x").expect(400)

        def a_link_needs_its_account():
            rita.call("POST", "/v1/links/look", {"token": "i1ryrsGn0nUnkoo3TVyXxmL4qpKZnNVCUxVcXxF6Ebo"}).expect(404)
            rita.call("POST", "/v1/links/look", {"token": "x"}).expect(404)
            assert rita.call("GET", "/v1/links").expect(200).json() == {"accounts": []}
            rita.call("DELETE", "/v1/links/slack/T1/U1", {}).expect(404)
            agent.ask("POST", "/v1/links", {"token": "x"}).expect(401, 403)
            page = call("GET", f"{house.url}/link").expect(200)
            assert b"Is this your account?" in page.body

        for work in (a_request_arrives, mail_arrives_and_decides_nothing, what_never_arrives_is_said, nobody_in_time_escalates,
                     the_decision_is_told_everywhere, what_was_decided_wakes_nobody, receivers_that_are_away_miss_nothing,
                     what_happened_meanwhile_is_told, only_people_see_where_it_went, a_link_needs_its_account):
            tally.check(work.__name__.replace("_", " "), work)

        def nothing_was_forged():
            assert not desk.bad, desk.bad
            log = (house.folder / "stderr.log").read_text()
            assert SECRET not in log and "panicked" not in log

        tally.check("every webhook verified, and no secret was printed", nothing_was_forged)
    finally:
        house.stop()
        mail.stop()
    tally.close()


if __name__ == "__main__":
    main()
