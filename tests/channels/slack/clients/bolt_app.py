"""The same app on Bolt for Python, as its documents write one."""

import os
import time

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

env = os.environ
web = WebClient(env["BOT_TOKEN"], base_url=env["API_URL"], retry_handlers=[RateLimitErrorRetryHandler(max_retry_count=3)])
app = App(client=web, signing_secret=env["SIGNING_SECRET"])


def message(said, button=True):
    actions = {"type": "actions", "elements": [
        {"type": "button", "action_id": "why", "value": "v1", "text": {"type": "plain_text", "text": "Why"}}]}
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": said}}] + ([actions] if button else [])
    return {"channel": env["CHANNEL"], "text": said, "blocks": blocks}


@app.action("why")
def why(ack, body, client, respond):
    ack()
    client.views_open(trigger_id=body["trigger_id"], view={
        "type": "modal", "callback_id": "why", "private_metadata": body["message"]["ts"],
        "title": {"type": "plain_text", "text": "Why"}, "submit": {"type": "plain_text", "text": "Send"},
        "blocks": [{"type": "input", "block_id": "words", "label": {"type": "plain_text", "text": "Why"},
                    "element": {"type": "plain_text_input", "action_id": "words"}}],
    })
    respond(text="opened", response_type="ephemeral", replace_original=False)


@app.view("why")
def submitted(ack, view, client):
    words = view["state"]["values"]["words"]["words"]["value"]
    if len(words) < 3:
        ack(response_action="errors", errors={"words": "too short"})
        return
    ack()
    client.chat_update(ts=view["private_metadata"], **message(f"because {words}", button=False))


@app.command("/countersign")
def command(ack, command):
    ack(text=f"you said {command['text']}")


@app.event("app_home_opened")
def home(event, client):
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "your inbox"}}]
    client.views_publish(user_id=event["user"], view={"type": "home", "blocks": blocks})


def post():
    web.chat_postMessage(**message("first"))
    web.chat_postMessage(**message("second"))
    print("ready", flush=True)


if "PORT" in env:
    post()
    app.start(port=int(env["PORT"]), path="/slack/events")
else:
    handler = SocketModeHandler(app, env["APP_TOKEN"], web_client=WebClient(env["APP_TOKEN"], base_url=env["API_URL"]))
    handler.connect()
    post()
    while True:
        time.sleep(1)
