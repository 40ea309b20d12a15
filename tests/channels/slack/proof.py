"""The stand-in for Slack before Slack's own clients: Bolt for JavaScript, Bolt for Python and @slack/socket-mode, unchanged.

Each runs the same small app, in Socket Mode and, where it can, behind signed requests. What Slack's own clients do not
understand of the stand-in, or the stand-in of them, fails here, before anything of ours is tested on it.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "support"), str(HERE)]
from house import Tally, free_port  # noqa: E402
from standin import Slack  # noqa: E402

CHANNEL, ALICE = "C0REVIEWS1", "U0ALICE001"
START_SECONDS = 30


class Client:
    """One of Slack's own clients, running the app before a stand-in."""

    def __init__(self, name, command, http=False):
        self.name, self.command, self.http = name, command, http

    def __enter__(self):
        self.slack = Slack().start()
        self.slack.user(ALICE, "alice")
        self.slack.channel(CHANNEL, "reviews", [ALICE])
        env = {**os.environ, "API_URL": self.slack.api_url, "BOT_TOKEN": self.slack.bot_token, "CHANNEL": CHANNEL,
               "APP_TOKEN": self.slack.app_token, "SIGNING_SECRET": self.slack.signing_secret, "NO_PROXY": "127.0.0.1"}
        if self.http:
            port = free_port()
            env["PORT"], self.slack.request_url = str(port), f"http://127.0.0.1:{port}/slack/events"
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = subprocess.Popen([*self.command], stdout=self.log, stderr=subprocess.STDOUT, env=env)
        end = time.monotonic() + START_SECONDS
        while "ready" not in Path(self.log.name).read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{self.name} did not start: {Path(self.log.name).read_text()[-2000:]}")
            time.sleep(0.05)
        if not self.http:
            self.slack.wait_for_connections()
        time.sleep(0.3 if self.http else 0)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.slack.stop()

    # What is proven, for each of them.

    def posts_two_and_obeys_the_limit_of_one_a_second(self):
        said = sorted(message["text"] for message in self.slack.all(CHANNEL))
        assert said == ["first", "second"], said
        assert len(self.slack.calls_of("chat.postMessage")) > 2, "nothing was refused with 429"

    def presses_a_button_and_opens_a_modal(self):
        message = self.slack.all(CHANNEL)[0]
        pressed = self.slack.press(CHANNEL, message["ts"], "why", ALICE).wait()
        assert pressed.in_time and pressed.status == 200, pressed.__dict__
        view = self.slack.wait_for(lambda: list(self.slack.views.values()), "modal")[0]
        assert view["callback_id"] == "why" and view["private_metadata"] == message["ts"], view
        self.slack.wait_for(lambda: [e for e in self.slack.ephemerals if e["text"] == "opened"], "answer to its sender")

    def submits_a_modal_and_updates_the_message(self):
        view = next(iter(self.slack.views.values()))
        refused = self.slack.submit(view["id"], ALICE, {"words": "no"}).wait()
        assert refused.answer == {"response_action": "errors", "errors": {"words": "too short"}}, refused.answer
        sent = self.slack.submit(view["id"], ALICE, {"words": "I said so"}).wait()
        assert sent.in_time and sent.answer == {}, sent.answer
        message = self.slack.all(CHANNEL)[0]
        self.slack.wait_for(lambda: message["text"] == "because I said so", "update")
        assert self.slack.buttons(message) == [] and "edited" in message, message

    def answers_a_command_in_its_acknowledgement(self):
        said = self.slack.command(CHANNEL, ALICE, text="hello").wait()
        assert said.in_time and said.answer == {"text": "you said hello"}, said.answer

    def publishes_a_home_tab(self):
        self.slack.open_home(ALICE).wait()
        self.slack.wait_for(lambda: self.slack.homes.get(ALICE), "home tab")

    def goes_on_after_a_disconnect(self):
        self.slack.disconnect(after=0.2)
        time.sleep(0.5)
        self.slack.wait_for_connections(seconds=30)
        message = self.slack.all(CHANNEL)[1]
        assert self.slack.press(CHANNEL, message["ts"], "why", ALICE).wait(8).in_time

    def refuses_a_forged_and_a_stale_signature(self):
        message, before = self.slack.all(CHANNEL)[1], len(self.slack.views)
        for forged in ({"X-Slack-Signature": "v0=" + "0" * 64}, {"skew": -600}):
            refused = self.slack.press(CHANNEL, message["ts"], "why", ALICE, forged=forged).wait()
            assert refused.status == 401, (forged, refused.status)
        assert len(self.slack.views) == before

    def checks(self):
        both = [self.posts_two_and_obeys_the_limit_of_one_a_second, self.presses_a_button_and_opens_a_modal,
                self.submits_a_modal_and_updates_the_message, self.answers_a_command_in_its_acknowledgement,
                self.publishes_a_home_tab]
        return [*both, self.refuses_a_forged_and_a_stale_signature if self.http else self.goes_on_after_a_disconnect]


CLIENTS = [
    Client("Bolt for JavaScript, Socket Mode", ["node", str(HERE / "clients/bolt.mjs")]),
    Client("Bolt for JavaScript, HTTP", ["node", str(HERE / "clients/bolt.mjs")], http=True),
    Client("Bolt for Python, Socket Mode", [sys.executable, str(HERE / "clients/bolt_app.py")]),
    Client("Bolt for Python, HTTP", [sys.executable, str(HERE / "clients/bolt_app.py")], http=True),
    Client("@slack/socket-mode", ["node", str(HERE / "clients/socket_mode.mjs")]),
]


def refuses_what_slack_refuses():
    """Blocks, triggers and tokens, asked by Slack's own client for Python."""
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError

    def error(work):
        try:
            work()
        except SlackApiError as refused:
            return refused.response["error"]
        return None

    with Slack() as slack:
        slack.user(ALICE, "alice")
        slack.channel(CHANNEL, "reviews", [ALICE])
        slack.channel("C0STRANGE1", "strange", bot=False)
        slack.paced = False
        web = WebClient(slack.bot_token, base_url=slack.api_url)

        def post(*blocks, channel=CHANNEL):
            return error(lambda: web.chat_postMessage(channel=channel, text="x", blocks=list(blocks)))

        def section(text, kind="mrkdwn"):
            return {"type": "section", "text": {"type": kind, "text": text}}

        def button(**more):
            return {"type": "button", "text": {"type": "plain_text", "text": "Go"}, "action_id": "go", **more}

        assert post(section("x" * 3000)) is None
        for wrong in (
            section("x" * 3001), section(""), {"type": "section"}, {"type": "unheard-of"},
            {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}},
            {"type": "header", "text": {"type": "mrkdwn", "text": "x"}},
            {"type": "actions", "elements": [button(value="x" * 2001)]},
            {"type": "actions", "elements": [button(text={"type": "plain_text", "text": "x" * 76})]},
            {"type": "actions", "elements": [button(), button()]},
            {"type": "actions", "elements": [button(action_id="x" * 256)]},
            {"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2001}]},
            {"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11},
            {"type": "divider", "block_id": "x" * 256},
        ):
            assert post(wrong) == "invalid_blocks", wrong
        assert post(*[section("x")] * 51) == "invalid_blocks"
        assert post({**section("x"), "block_id": "a"}, {**section("y"), "block_id": "a"}) == "invalid_blocks"
        assert post(section("x"), channel="C0NOWHERE1") == "channel_not_found"
        assert post(section("x"), channel="C0STRANGE1") == "not_in_channel"
        assert error(lambda: web.chat_update(channel=CHANNEL, ts="1.000001", text="x")) == "message_not_found"
        assert error(lambda: web.users_info(user="U0NOBODY01")) == "user_not_found"
        assert error(lambda: web.users_lookupByEmail(email="nobody@acme.example")) == "users_not_found"
        assert web.users_lookupByEmail(email="alice@acme.example")["user"]["id"] == ALICE
        view = {"type": "modal", "title": {"type": "plain_text", "text": "x" * 25}, "blocks": [section("x")]}
        assert error(lambda: web.views_open(trigger_id="1.x", view=view)) == "invalid_trigger_id"
        assert error(lambda: WebClient("xoxb-other", base_url=slack.api_url).auth_test()) == "invalid_auth"
        assert error(lambda: web.apps_connections_open(app_token=slack.bot_token)) == "not_allowed_token_type"
        slack.scopes.discard("chat:write")
        assert post(section("x")) == "missing_scope"
        slack.scopes.add("chat:write")

        slack.request_url = "http://127.0.0.1:9/"
        ts = web.chat_postMessage(channel=CHANNEL, text="x", blocks=[
            {"type": "actions", "elements": [button()]}])["ts"]
        view["title"]["text"] = "Title"
        trigger = slack.press(CHANNEL, ts, "go", ALICE).payload["trigger_id"]
        assert error(lambda: web.views_open(trigger_id=trigger, view=view)) is None
        assert error(lambda: web.views_open(trigger_id=trigger, view=view)) == "exchanged_trigger_id"
        late = slack.press(CHANNEL, ts, "go", ALICE).payload["trigger_id"]
        time.sleep(3.1)
        assert error(lambda: web.views_open(trigger_id=late, view=view)) == "expired_trigger_id"


def main():
    tally = Tally()
    tally.check("it refuses what Slack refuses", refuses_what_slack_refuses)
    for client in CLIENTS:
        try:
            with client:
                for check in client.checks():
                    tally.check(f"{client.name}: {check.__name__.replace('_', ' ')}", check)
        except Exception as error:  # a client that does not start is one failure
            tally.failed += 1
            print(f"FAILED  {client.name}: {error}", flush=True)
    tally.close()


if __name__ == "__main__":
    main()
