"""Slack, end to end: held actions before a stand-in for Slack, decided by the hands of people there.

The stand-in is first proven by Slack's own clients (`proof.py`). Here the real gateway posts its cards into it, over
Socket Mode and behind signed requests, and whoever may not decide tries to.
"""

import http.server
import json
import re
import sys
import threading
import time
from pathlib import Path

from slack_sdk.signature import SignatureVerifier

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "support"), str(HERE)]
from house import House, Tally, call  # noqa: E402
from standin import ACK_SECONDS, Slack  # noqa: E402

REVIEWS, OTHERS = "C0REVIEWS1", "C0OTHERS01"
ADA, RITA, RON, EVE, MIA = "U0ADA00001", "U0RITA0001", "U0RON00001", "U0EVE00001", "U0MIA00001"

POLICY = """
@id("all") @why("Everything may be asked")
permit (principal, action, resource);
@id("change") @hold("reviewers:1") @assurance("chat") @ttl("30m") @grant("10m") @why("Changes what customers see")
forbid (principal, action in Action::"write", resource);
@id("removal") @hold("reviewers:1") @assurance("chat") @ttl("30m") @grant("10m") @why("Removes something for good")
forbid (principal, action in Action::"destroy", resource);
@id("bulk") @hold("reviewers:1") @ttl("30m") @grant("10m") @why("Takes everything at once")
forbid (principal, action in Action::"export", resource);
"""

CHANNELS = """
[channels.slack]
app = "{app}"
team = "{team}"
bot_token = {{ env = "SLACK_BOT_TOKEN" }}
{way}
api_url = "{api}"
[[channels.routes]]
channel = "slack"
to = "{place}"
shows = "command"
[[channels.routes]]
channel = "slack"
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

    def of(self, path):
        return self.calls.count(path)


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


class Scene:
    """A gateway, its people with accounts in the stand-in, an agent, and a service behind."""

    def __init__(self, requests=False):
        self.requests, self.asked = requests, 0

    def __enter__(self):
        self.slack = slack = Slack().start()
        for user, name in ((ADA, "ada"), (RITA, "rita"), (RON, "ron"), (EVE, "eve"), (MIA, "mia")):
            slack.user(user, name)
        slack.channel(REVIEWS, "reviews", [ADA, RITA, RON, EVE, MIA])
        slack.channel(OTHERS, "others", [ADA, RITA, RON, EVE, MIA])
        self.target = Target()
        way = 'signing_secret = { env = "SLACK_SIGNING_SECRET" }' if self.requests else 'app_token = { env = "SLACK_APP_TOKEN" }'
        config = CHANNELS.format(app=slack.app_id, team=slack.team["id"], api=slack.api_url, place=REVIEWS, way=way)
        env = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token,
               "SLACK_SIGNING_SECRET": slack.signing_secret}
        self.house = house = House(config, env=env).start()
        if self.requests:
            slack.request_url = f"{house.url}/channels/slack"
        else:
            slack.wait_for_connections()
        self.ada = house.bootstrap()
        self.rita = house.add_person("Rita Reviewer")
        self.mia = house.add_person("Mia Outside", groups=("elsewhere",))
        self.agent = house.add_agent(sponsor=self.ada)
        house.apply_policy(POLICY)
        upstream = f"http://127.0.0.1:{self.target.server_address[1]}"
        rows = [{"method": method, "path": "/{thing}/{name}", "resource": "{thing}/{name}"} for method in ("GET", "PUT", "DELETE")]
        for name, environment in (("shop", "staging"), ("till", "prod")):
            house.set_route(name, {"name": name, "upstream": upstream, "environment": environment, "operations": rows,
                                   "wait": "60s", "run_when_gone": True, "prefix": f"/{name}"} if name == "till" else
                            {"name": name, "upstream": upstream, "environment": environment, "operations": rows,
                             "wait": "60s", "run_when_gone": True})
        return self

    def __exit__(self, *_):
        self.house.stop()
        self.slack.stop()
        self.target.shutdown()

    # What people do.

    def link(self, user, human):
        """Both sides of a link: the account asks, the console confirms with a passkey, the account brings the code."""
        asked = self.slack.command(REVIEWS, user, text="link").wait()
        assert asked.in_time, "the command was not answered in time"
        token = re.search(r"/link#([^|>\"]+)", json.dumps(asked.answer)).group(1)
        human.step_up()
        looked = human.call("POST", "/v1/links/look", {"token": token}).expect(200).json()
        assert looked["account"] == {"provider": "slack", "team": self.slack.team["id"], "user": user}, looked
        code = human.call("POST", "/v1/links", {"token": token}).expect(200).json()["code"]
        done = self.slack.command(REVIEWS, user, text=f"link {code}").wait()
        assert "stands for" in done.answer["text"], done.answer

    def ask(self, path=None, method="PUT", body=b'{"price":5}'):
        """An action that is held: its approval, the place of its card in the channel, and its caller's answer to come."""
        self.asked += 1
        path = path or f"/things/{self.asked}"
        box, before = {}, {row["id"] for row in self.rita.inbox()}

        def call_it():
            try:
                box["answer"] = self.agent.call(method, path, body)
            except OSError as gone:  # the gateway was stopped
                box["gone"] = gone
        work = threading.Thread(target=call_it, daemon=True)
        work.start()
        held = self.rita.wait_for_pending(besides=before)
        return Asked(self, path, held, work, box)

    def words(self, user, look, seconds=5):
        """What somebody was told, once it holds `look`."""
        def found():
            return [told["text"] for told in self.slack.ephemerals if told["user"] == user and look in told["text"].lower()]
        try:
            return self.slack.wait_for(found, f"word to {user} with `{look}`", seconds)[-1]
        except AssertionError as error:
            raise AssertionError(f"{error}; they got {self.told(user)}") from None

    def told(self, user):
        return [told["text"] for told in self.slack.ephemerals if told["user"] == user]

    def refusals(self, held):
        """How often something about a request was refused, by the log."""
        trail = self.house.admin.call("GET", "/v1/trail?format=jsonl").expect(200).body.decode()
        return len([line for line in trail.splitlines() if held in line and "refus" in line])


class Asked:
    """A held action with its card."""

    def __init__(self, scene, path, held, work, box):
        self.scene, self.path, self.held, self.work, self.box = scene, path, held, work, box

    def card(self, channel=REVIEWS, seconds=30):
        def standing():
            return [m for m in self.scene.slack.all(channel) if self.held in json.dumps(m.get("blocks", []))]
        return self.scene.slack.wait_for(standing, f"card of {self.held} in {channel}", seconds)[0]

    def press(self, action, user, channel=REVIEWS, **how):
        card = self.card(channel)
        return self.scene.slack.press(channel, card["ts"], action, user, **how)

    def modal(self, action, user, channel=REVIEWS):
        """Presses a button that asks for words, and answers the modal that opens."""
        before = set(self.scene.slack.views)
        self.press(action, user, channel)
        return self.scene.slack.wait_for(lambda: set(self.scene.slack.views) - before, "modal", 5).pop()

    def answer(self, seconds=40):
        self.work.join(seconds)
        assert "answer" in self.box, "the caller got no answer"
        return self.box["answer"]

    def over(self, word, channel=REVIEWS):
        """Waits until a card says how it ended, and has no buttons that decide."""
        def ended():
            card = self.card(channel)
            return word in json.dumps(card) and not set(self.scene.slack.buttons(card)) & {"approve", "deny", "ask"}
        self.scene.slack.wait_for(ended, f"card in {channel} that says `{word}`: {json.dumps(self.card(channel))[:1500]}", 30)

    def waits(self):
        assert self.scene.rita.approval(self.held)["state"] == "pending", "it was decided"
        assert self.scene.target.of(self.path) == 0, "it ran"

    def clear(self):
        """Decided at last in the console, so that the next test begins alone."""
        self.scene.rita.deny(self.held).expect(200)
        self.answer()


# Over Socket Mode.


def an_account_is_linked_from_both_sides(scene):
    scene.link(RITA, scene.rita)
    links = scene.rita.call("GET", "/v1/links").expect(200).json()["accounts"]
    assert links == [{"provider": "slack", "team": scene.slack.team["id"], "user": RITA}], links
    scene.link(ADA, scene.ada)
    scene.link(MIA, scene.mia)


def a_click_approves_once_and_every_card_says_so(scene):
    asked = scene.ask()
    card = asked.card()
    assert scene.slack.buttons(card) == ["approve", "ask", "deny", "open"], scene.slack.buttons(card)
    assert "/things/" in json.dumps(card) and '{\\"price\\":5}' in json.dumps(card), json.dumps(card)
    asked.card(scene.slack.direct(RITA))
    asked.waits()
    pressed = asked.press("approve", RITA).wait()
    assert pressed.in_time, f"acknowledged after {pressed.acked_after} s"
    assert asked.answer().status == 200
    assert scene.target.of(asked.path) == 1
    for channel in (REVIEWS, scene.slack.direct(RITA)):
        asked.over("Rita Reviewer", channel)
    asked.over("succeeded")
    scene.words(RITA, "approved")


def a_direct_message_approves_too(scene):
    asked = scene.ask()
    asked.press("approve", RITA, scene.slack.direct(RITA)).wait()
    assert asked.answer().status == 200 and scene.target.of(asked.path) == 1
    asked.over("Rita Reviewer")


def a_denial_takes_words_by_a_modal(scene):
    asked = scene.ask()
    view = asked.modal("deny", RITA)
    empty = scene.slack.submit(view, RITA, {"words": " "}).wait()
    assert empty.answer["response_action"] == "errors", empty.answer
    sent = scene.slack.submit(view, RITA, {"words": "not on a <Friday> & never *so*"}).wait()
    assert sent.in_time and sent.answer == {}, sent.answer
    answer = asked.answer()
    assert answer.status == 403 and b"not on a <Friday> & never *so*" in answer.body, (answer.status, answer.body)
    asked.over("Denied")
    assert scene.target.of(asked.path) == 0
    text = json.dumps(asked.card())
    assert "not on a &lt;Friday&gt; &amp; never *so*" in text, text


def a_question_is_answered_in_the_thread(scene):
    asked = scene.ask()
    view = asked.modal("ask", RITA)
    assert scene.slack.submit(view, RITA, {"words": "Who told you to?"}).wait().answer == {}
    card = asked.card()
    scene.slack.wait_for(lambda: "Who told you to?" in json.dumps(asked.card()), "question on the card", 20)
    question = scene.rita.approval(asked.held)["card"]["questions"][0]["id"]
    scene.agent.ask("POST", f"/v1/approvals/{asked.held}/answers", {"question": question, "text": "*Ann* <!here> did"}).expect(200)

    def thread():
        return [m for m in scene.slack.all(REVIEWS, threads=True) if m.get("thread_ts") == card["ts"]]
    replies = scene.slack.wait_for(thread, "answer in the thread", 20)
    assert len(replies) == 1 and "*Ann* &lt;!here&gt; did" in json.dumps(replies[0]), replies
    plain = [b["text"] for b in replies[0]["blocks"] if b.get("text", {}).get("type") == "plain_text"]
    assert any("*Ann*" in text["text"] for text in plain), "the agent's words could be read as formatting"
    asked.press("approve", RITA).wait()
    assert asked.answer().status == 200
    asked.over("succeeded")
    assert len(thread()) == 1, "the answer came twice"


def a_medium_risk_is_confirmed(scene):
    asked = scene.ask(method="DELETE")
    _, button = next((b, e) for b in asked.card()["blocks"] for e in b.get("elements", []) if e.get("action_id") == "approve")
    assert button["confirm"]["title"]["text"] == "Approve this?", button
    assert asked.press("approve", RITA, confirm=False) is None
    asked.press("approve", RITA, alter=lambda payload: payload["actions"][0].pop("confirm")).wait()
    scene.words(RITA, "confirm")
    asked.waits()
    asked.press("approve", RITA).wait()
    assert asked.answer().status == 200 and scene.target.of(asked.path) == 1


def a_high_risk_is_approved_in_the_console_only(scene):
    asked = scene.ask("/till/registers/1", method="DELETE")
    card = asked.card()
    assert "approve" not in scene.slack.buttons(card) and "open" in scene.slack.buttons(card), card
    # A hand-made click on a button that does not stand there.
    def approve(payload):
        payload["actions"][0].update(action_id="approve", confirm={"title": {"type": "plain_text", "text": "?"}})
    asked.press("deny", RITA, alter=approve).wait()
    scene.words(RITA, "in the console")
    asked.waits()
    asked.clear()


def what_is_too_long_is_approved_in_the_console_only(scene):
    asked = scene.ask(body=json.dumps({"note": "x" * 4000}).encode())
    card = asked.card()
    assert "approve" not in scene.slack.buttons(card), scene.slack.buttons(card)
    assert "too long" in json.dumps(card), json.dumps(card)
    asked.clear()
    asked = scene.ask(body=b'{"note":"```<!here>"}')
    assert "approve" not in scene.slack.buttons(asked.card()), "what cannot be shown as it is was offered"
    asked.clear()


def without_a_clicks_assurance_nothing_is_decided_there(scene):
    # `bulk` has no `@assurance("chat")`.
    scene.house.set_route("all", {"name": "all", "upstream": f"http://127.0.0.1:{scene.target.server_address[1]}",
                                  "environment": "staging", "wait": "60s", "run_when_gone": True, "prefix": "/all",
                                  "operations": [{"method": "GET", "path": "/things", "verb": "http.export", "resource": "things"}]})
    asked = scene.ask("/all/things", "GET", None)
    card = asked.card()
    assert scene.slack.buttons(card) == ["open"], scene.slack.buttons(card)
    asked.clear()


def whoever_may_not_review_is_refused_in_words(scene):
    asked = scene.ask()
    slack, before = scene.slack, scene.refusals(asked.held)
    cases = [
        (EVE, "linked to nobody", lambda: slack.user(EVE, "eve")),
        (EVE, "guest", lambda: slack.user(EVE, "eve", is_restricted=True)),
        (EVE, "guest", lambda: slack.user(EVE, "eve", is_restricted=True, is_ultra_restricted=True)),
        (EVE, "bots", lambda: slack.user(EVE, "eve", is_bot=True)),
        (EVE, "deactivated", lambda: slack.user(EVE, "eve", deleted=True)),
        (EVE, "slack connect", lambda: slack.user(EVE, "eve", is_stranger=True)),
        (EVE, "another workspace", lambda: slack.user(EVE, "eve", team="T0FOREIGN1")),
        # Linked, and Slack says now that they are a guest.
        (RITA, "guest", lambda: slack.user(RITA, "rita", is_restricted=True)),
        (MIA, "", lambda: None),  # of another group
        (ADA, "chain", lambda: None),  # the agent's own sponsor
    ]
    for user, words, arrange in cases:
        arrange()
        slack.ephemerals.clear()
        pressed = asked.press("approve", user).wait()
        assert pressed.in_time, (user, words)
        scene.words(user, words)
        asked.waits()
    assert scene.refusals(asked.held) - before == len(cases), (scene.refusals(asked.held) - before, len(cases))
    # A modal is no other way in.
    slack.user(EVE, "eve")
    slack.user(RITA, "rita")
    view = asked.modal("deny", RITA)
    slack.user(RITA, "rita", is_restricted=True)
    refused = slack.submit(view, RITA, {"words": "no"}).wait()
    assert "guest" in refused.answer["errors"]["words"], refused.answer
    # And where Slack does not say who it is, nothing counts.
    slack.user(RITA, "rita")
    slack.fail("users.info", error="internal_error")
    asked.press("approve", RITA).wait()
    scene.words(RITA, "does not answer")
    asked.waits()
    asked.press("approve", RITA).wait()
    assert asked.answer().status == 200


def a_forged_click_counts_for_nothing(scene):
    asked, other = scene.ask(), scene.ask()
    other_value = next(e["value"] for b in other.card()["blocks"] for e in b.get("elements", []) if e.get("action_id") == "approve")

    def at(pointer, value):
        def alter(payload):
            *path, last = pointer.split("/")
            place = payload
            for name in path:
                place = place[int(name) if isinstance(place, list) else name]
            place[int(last) if isinstance(place, list) else last] = value
        return alter

    def elsewhere(channel, ts):
        def alter(payload):
            payload["channel"]["id"] = payload["container"]["channel_id"] = channel
            payload["message"]["ts"] = payload["container"]["message_ts"] = ts
        return alter

    mine = asked.card()["ts"]
    for alter in (
        at("api_app_id", "A0OTHER001"), at("team/id", "T0FOREIGN1"), at("user/team_id", "T0FOREIGN1"),
        at("actions/0/value", other_value), at("actions/0/value", f"{asked.held}.999"), at("actions/0/value", "x"),
        at("container/channel_id", OTHERS), elsewhere(OTHERS, mine), elsewhere(REVIEWS, "1732190400.000100"),
        elsewhere(REVIEWS, other.card()["ts"]),
    ):
        assert asked.press("approve", RITA, alter=alter).wait().in_time
    # A click that somebody's direct message got, pressed by another.
    direct = scene.slack.direct(RITA)
    asked.press("approve", ADA, direct).wait()
    time.sleep(1.5)
    asked.waits()
    other.waits()
    asked.clear()
    other.clear()


def a_click_counts_once_and_not_late(scene):
    asked = scene.ask()
    pressed = asked.press("approve", RITA, duplicates=3).wait()
    assert asked.answer().status == 200
    assert pressed.attempts == 4 and scene.target.of(asked.path) == 1
    reviews = scene.rita.approval(asked.held)["reviews"]
    assert len(reviews) == 1, reviews
    asked.over("succeeded")
    # The same click in an envelope of its own; and another button of a card that was there before.
    old = [{"type": "actions", "block_id": "card.1", "elements": [
        {"type": "button", "action_id": "deny", "text": {"type": "plain_text", "text": "Deny"}, "value": f"{asked.held}.1"},
        {"type": "button", "action_id": "approve", "text": {"type": "plain_text", "text": "Approve"}, "value": f"{asked.held}.1"}]}]
    scene.slack.ephemerals.clear()
    scene.slack.deliver("interactive", pressed.payload).wait()
    scene.words(RITA, "taken already")
    asked.press("approve", RITA, blocks=old, late=1.0).wait()
    scene.words(RITA, "moved since")
    assert scene.target.of(asked.path) == 1 and len(scene.rita.approval(asked.held)["reviews"]) == 1


def connections_come_back_and_overlap(scene):
    slack = scene.slack
    asked = scene.ask()
    asked.card()
    # Told to go: the next connection stands before the old one is gone, and a click in between is not lost.
    slack.disconnect(after=2.0, warn=True)
    slack.wait_for_connections(seconds=1.5)
    asked.press("approve", RITA).wait()
    assert asked.answer().status == 200
    asked = scene.ask()
    asked.card()
    slack.cut()
    time.sleep(0.1)
    slack.wait_for_connections(seconds=20)
    asked.press("approve", RITA).wait()
    assert asked.answer().status == 200
    slack.fail("apps.connections.open", times=2, status=429, retry_after=1)
    slack.cut()
    time.sleep(0.1)
    slack.wait_for_connections(seconds=30)


def limits_on_rates_are_obeyed(scene):
    slack = scene.slack
    before = len(slack.calls_of("chat.postMessage"))
    slack.fail("chat.postMessage", status=429, retry_after=2)
    asked = scene.ask()
    asked.card()
    asked.card(slack.direct(RITA))
    posts = [at for at, _ in slack.calls_of("chat.postMessage")[before:]]
    # What was under way already is not called back.
    later = [at - posts[0] for at in posts[1:] if at - posts[0] > 0.3]
    assert later and min(later) >= 2.0, f"came back after {later} s, not 2"
    asked.clear()
    # Many at once into one conversation: one a second, and Slack never has to say so.
    before = len(slack.calls_of("chat.postMessage"))
    many = [scene.ask() for _ in range(5)]
    for asked in many:
        asked.card(seconds=60)
    posts = [at for at, given in slack.calls_of("chat.postMessage")[before:] if given["channel"] == REVIEWS]
    gaps = [later - earlier for earlier, later in zip(posts, posts[1:])]
    assert len(posts) == 5 and min(gaps) >= 0.75 and sum(gaps) >= 3.8, gaps
    for asked in many:
        asked.clear()


def what_slack_refuses_is_seen_and_not_tried_for_ever(scene):
    slack = scene.slack
    slack.fail("chat.postMessage", times=2, error="invalid_blocks")
    asked = scene.ask()

    def failed():
        rows = scene.house.admin.call("GET", "/v1/deliveries").expect(200).json()["deliveries"]
        return [row for row in rows if row["approval"] == asked.held and row["state"] == "failed"]
    rows = slack.wait_for(failed, "failed delivery", 20)
    assert "invalid_blocks" in rows[0]["error"], rows
    assert slack.bot_token not in json.dumps(rows)
    asked.clear()
    # An error of Slack's own passes.
    slack.fail("chat.postMessage", times=2, status=500)
    asked = scene.ask()
    asked.card(seconds=40)
    asked.clear()


def a_click_counts_after_a_restart(scene):
    asked = scene.ask()
    asked.card()
    asked.card(scene.slack.direct(RITA))
    scene.house.stop()
    asked.work.join(20)
    # Nobody is there: the click is not acknowledged, and changes nothing.
    lost = asked.press("approve", RITA).wait(1)
    assert lost.acked_after is None
    scene.house.start()
    scene.slack.wait_for_connections()
    asked.press("approve", RITA).wait()
    scene.slack.wait_for(lambda: scene.target.of(asked.path) == 1, "run after the restart", 20)
    asked.over("succeeded")
    asked.over("succeeded", scene.slack.direct(RITA))


def the_tab_and_the_command_show_what_waits(scene):
    asked = scene.ask()
    scene.slack.open_home(RITA).wait()
    home = scene.slack.wait_for(lambda: scene.slack.homes.get(RITA), "home tab", 10)
    assert asked.held in json.dumps(home), home
    listed = scene.slack.command(OTHERS, RITA).wait()
    assert listed.in_time and listed.answer["response_type"] == "ephemeral" and asked.held in json.dumps(listed.answer), listed.answer
    stranger = scene.slack.command(OTHERS, EVE).wait()
    assert asked.held not in json.dumps(stranger.answer) and "link" in stranger.answer["text"].lower(), stranger.answer
    usage = scene.slack.command(OTHERS, RITA, text="dance").wait()
    assert "/countersign link" in usage.answer["text"], usage.answer
    asked.clear()


def an_account_that_is_unlinked_decides_nothing(scene):
    done = scene.slack.command(OTHERS, RITA, text="unlink").wait()
    assert done.in_time, done.answer
    asked = scene.ask()
    scene.slack.ephemerals.clear()
    asked.press("approve", RITA).wait()
    scene.words(RITA, "linked to nobody")
    asked.waits()
    asked.clear()


def every_click_was_acknowledged_in_time(scene):
    late = [i.acked_after for i in scene.slack.pending.values() if i.acked_after is not None and i.acked_after > ACK_SECONDS]
    assert not late, late


def the_receipt_says_what_the_click_was(scene):
    asked = scene.ask()
    asked.press("approve", RITA).wait()
    assert asked.answer().status == 200
    receipt = scene.house.folder / "receipt.json"

    def finished():
        return scene.rita.approval(asked.held)["state"] == "finished"
    scene.slack.wait_for(finished, "end", 20)
    receipt.write_bytes(scene.rita.call("GET", f"/v1/approvals/{asked.held}/receipt").expect(200).body)
    verdict = scene.house.run("audit", "verify", str(receipt), "--log-key", scene.house.log_key())
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert f"{scene.slack.team['id']}" in verdict.stdout and RITA in verdict.stdout, verdict.stdout


def the_whole_log_stands(scene):
    scene.house.stop()
    done = scene.house.run("audit", "log")
    assert done.returncode == 0, done.stdout + done.stderr


SOCKET = [
    an_account_is_linked_from_both_sides, a_click_approves_once_and_every_card_says_so, a_direct_message_approves_too,
    a_denial_takes_words_by_a_modal, a_question_is_answered_in_the_thread, a_medium_risk_is_confirmed,
    a_high_risk_is_approved_in_the_console_only, what_is_too_long_is_approved_in_the_console_only,
    without_a_clicks_assurance_nothing_is_decided_there, whoever_may_not_review_is_refused_in_words,
    a_forged_click_counts_for_nothing, a_click_counts_once_and_not_late, connections_come_back_and_overlap,
    the_receipt_says_what_the_click_was, limits_on_rates_are_obeyed, what_slack_refuses_is_seen_and_not_tried_for_ever, a_click_counts_after_a_restart,
    the_tab_and_the_command_show_what_waits, an_account_that_is_unlinked_decides_nothing,
    every_click_was_acknowledged_in_time, the_whole_log_stands,
]


# Behind signed requests.


def a_signed_request_approves(scene):
    scene.link(RITA, scene.rita)
    asked = scene.ask()
    pressed = asked.press("approve", RITA).wait()
    assert pressed.in_time and pressed.status == 200, (pressed.acked_after, pressed.status)
    assert asked.answer().status == 200 and scene.target.of(asked.path) == 1
    asked.over("succeeded")


def a_modal_and_a_command_are_answered(scene):
    asked = scene.ask()
    view = asked.modal("deny", RITA)
    assert scene.slack.submit(view, RITA, {"words": "no"}).wait().answer == {}
    assert asked.answer().status == 403
    assert scene.slack.command(OTHERS, RITA).wait().answer["response_type"] == "ephemeral"


def the_address_is_confirmed_when_slack_asks(scene):
    body = json.dumps({"type": "url_verification", "token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"})
    answer = signed(scene, body, kind="application/json").expect(200)
    assert answer.json()["challenge"].startswith("3eZb"), answer.body


def signed(scene, body, at=None, signature=None, kind="application/x-www-form-urlencoded"):
    at = at or str(int(time.time()))
    headers = {"Content-Type": kind, "X-Slack-Request-Timestamp": at,
               "X-Slack-Signature": signature or scene.slack.signature(at, body)}
    return call("POST", scene.slack.request_url, body.encode(), headers)


def slack_sdk_agrees_on_signatures(scene):
    """One table before Slack's own check and before ours."""
    verifier, now = SignatureVerifier(scene.slack.signing_secret), int(time.time())
    body = "payload=%7B%22type%22%3A%22shortcut%22%7D"
    right = lambda at, text=body: scene.slack.signature(str(at), text)
    rows = [
        (str(now), right(now), body), (str(now), right(now), body + "&"), (str(now), right(now).upper(), body),
        (str(now), right(now - 1), body), (str(now - 290), right(now - 290), body), (str(now - 310), right(now - 310), body),
        (str(now + 290), right(now + 290), body), (str(now + 310), right(now + 310), body),
        (str(now), "v1" + right(now)[2:], body), (str(now), right(now)[:-1], body), (str(now), "v0=", body),
        (str(now), right(now) + "0", body), (str(now), right(now, ""), body),
    ]
    for at, signature, text in rows:
        theirs = verifier.is_valid(text, at, signature)
        ours = signed(scene, text, at, signature).status == 200
        assert theirs == ours, (at, signature, text, theirs, ours)
    for missing in ("X-Slack-Signature", "X-Slack-Request-Timestamp"):
        headers = {"X-Slack-Request-Timestamp": str(now), "X-Slack-Signature": right(now)}
        headers.pop(missing)
        assert call("POST", scene.slack.request_url, body.encode(), headers).status == 401


def what_is_forged_stale_or_replayed_changes_nothing(scene):
    asked = scene.ask()
    for forged in ({"X-Slack-Signature": "v0=" + "0" * 64}, {"skew": -301}, {"skew": 301}):
        assert asked.press("approve", RITA, forged=dict(forged)).wait().status == 401, forged
    time.sleep(1)
    asked.waits()
    pressed = asked.press("approve", RITA, duplicates=3).wait()
    assert asked.answer().status == 200 and scene.target.of(asked.path) == 1
    # The same bytes, signed anew.
    again = scene.slack.deliver("interactive", pressed.payload).wait()
    assert again.status == 200 and len(scene.rita.approval(asked.held)["reviews"]) == 1


REQUESTS = [a_signed_request_approves, a_modal_and_a_command_are_answered, the_address_is_confirmed_when_slack_asks,
            slack_sdk_agrees_on_signatures, what_is_forged_stale_or_replayed_changes_nothing]


def main():
    tally = Tally()
    wanted = sys.argv[1:]
    for requests, checks in ((False, SOCKET), (True, REQUESTS)):
        chosen = [c for c in checks if not wanted or c is checks[0] or c.__name__ in wanted]
        if wanted and len(chosen) == 1 and chosen[0].__name__ not in wanted:
            continue
        with Scene(requests) as scene:
            for check in chosen:
                name = f"{'signed requests' if requests else 'Socket Mode'}: {check.__name__.replace('_', ' ')}"
                tally.check(name, lambda: check(scene))
            if tally.failed:
                print((scene.house.folder / "stderr.log").read_text()[-6000:], file=sys.stderr)
    tally.close()


if __name__ == "__main__":
    main()
