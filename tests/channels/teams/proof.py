"""The harness is faithful: Microsoft's own bot library, unchanged and with its token checks on, answers a person at the
Playground's page through the servers of `playground.py`; and without a token, or with a bad one, it answers nobody."""

import asyncio
import json
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
sys.path.insert(0, str(Path(__file__).parent))

from botbuilder.core import BotFrameworkAdapter, BotFrameworkAdapterSettings, CardFactory, MessageFactory, TurnContext
from botbuilder.schema import Activity, InvokeResponse
from botframework.connector.auth import AppCredentials, ChannelValidation, MicrosoftAppCredentials
from house import Tally
from playground import APP, SECRET, Authority, Gate, Person, Playground, Signer, activity, request, serve


def card(text, *actions):
    return {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": text}],
            "actions": list(actions)}


class Credentials(AppCredentials):
    """The library's own go through MSAL, which asks Microsoft where its tenants are."""

    def __init__(self, authority):
        super().__init__(APP)
        self.microsoft_app_id, self.authority = APP, authority

    def get_access_token(self, force_refresh=False):
        form = f"grant_type=client_credentials&client_id={APP}&client_secret={SECRET}"
        form += "&scope=https://api.botframework.com/.default"
        return json.loads(request("POST", self.authority.token_url, form.encode())[2])["access_token"]

    def signed_session(self, session=None):
        session = session or __import__("requests").Session()
        session.headers["Authorization"] = f"Bearer {self.get_access_token()}"
        session.trust_env = False
        return session


class KnownBot:
    """Answers a message with a card, and a press of its button with another card."""

    def __init__(self, authority):
        ChannelValidation.open_id_metadata_endpoint = authority.metadata_url
        MicrosoftAppCredentials.trust_service_url("http://127.0.0.1")
        settings = BotFrameworkAdapterSettings(APP, SECRET, app_credentials=Credentials(authority))
        self.adapter = BotFrameworkAdapter(settings)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.pressed, self.texts = [], []
        self.server = serve(self._answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/messages"

    def _answer(self, method, path, headers, body):
        turn = self.adapter.process_activity(
            Activity().deserialize(json.loads(body)), headers.get("authorization") or "", self._turn)
        try:
            answer = asyncio.run_coroutine_threadsafe(turn, self.loop).result(30)
        except (PermissionError, IndexError):  # the library finds no key by an index that is not there
            return 401, {}
        return (answer.status, answer.body) if answer else (201, b"")

    async def _turn(self, context: TurnContext):
        if context.activity.type == "invoke":
            self.pressed.append(context.activity.value)
            value = {"statusCode": 200, "type": "application/vnd.microsoft.card.adaptive", "value": card("It was pressed")}
            await context.send_activity(
                Activity(type="invokeResponse", value=InvokeResponse(status=200, body=value)))
        elif context.activity.type == "message":
            self.texts.append(context.activity.text)
            button = {"type": "Action.Execute", "title": "Press this", "verb": "pressed", "data": {"n": 7}}
            shown = CardFactory.adaptive_card(card("Here is a card", button))
            await context.send_activity(MessageFactory.attachment(shown))


def main():
    tally = Tally()
    authority = Authority()
    bot, gate = KnownBot(authority), Gate(authority)
    signer = Signer(authority, bot.url)

    def through_the_page():
        with Playground(signer, gate) as playground, Person(playground.url) as person:
            person.do("say", text="hello")
            person.do("see", text="Here is a card")
            person.do("press", name="Press this")
            person.do("see", text="It was pressed")
        assert bot.texts == ["hello"], bot.texts
        assert bot.pressed[0]["action"]["verb"] == "pressed" and bot.pressed[0]["action"]["data"] == {"n": 7}
        assert any(asked["client_id"] == APP for asked in authority.asked)

    def refused(name, **headers):
        def work():
            status, _, _ = request("POST", bot.url, activity(gate.url), headers)
            assert status == 401, status

        tally.check(name, work)

    tally.check("a known bot answers a person at the page, with its token checks on", through_the_page)
    token = authority.token(gate.url)
    refused("without a token it answers nobody")
    refused("with a token of another audience it answers nobody",
            Authorization=f"Bearer {authority.token(gate.url, aud='00000000-0000-4000-8000-000000000000')}")
    refused("with a token for another service URL it answers nobody",
            Authorization=f"Bearer {authority.token('https://smba.trafficmanager.net/teams/')}")
    refused("with a token that somebody else signed it answers nobody",
            Authorization=f"Bearer {Authority().token(gate.url)}")

    def connector_wants_a_token():
        status, _, _ = request("POST", f"{gate.url}/v3/conversations/a:personal/activities", {"type": "message"})
        assert status == 401, status

    tally.check("the connector takes nothing without an access token", connector_wants_a_token)
    assert token
    tally.close()


if __name__ == "__main__":
    main()
