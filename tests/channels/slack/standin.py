"""A stand-in for Slack: one workspace with one app, on a port of this machine, for tests without a network.

It speaks what Slack's documents say of the Web API, of Socket Mode and of signed requests, as far as Bolt and Countersign
use them: `proof.py` runs Slack's own unmodified clients against it, before anything of ours is tested on it. People are
played from Python: `press`, `submit`, `command` and `open_home` do what a hand at Slack's own client would do, and
answer with what the app said. It refuses what Slack would refuse: blocks that break a limit, a trigger used twice or
after three seconds, a second message in one second, a message of somebody else.

`python standin.py PORT` serves one to look at.
"""

import asyncio
import hashlib
import hmac
import json
import sys
import threading
import time
import uuid

from aiohttp import ClientError, ClientSession, ClientTimeout, WSMsgType, web

from blocks import checked_blocks, checked_view

ACK_SECONDS = 3  # how long a person waits, and a trigger lives
MESSAGE_SPACING = 1.0  # seconds between two messages into one conversation
MESSAGE_TOLERANCE = 0.25  # of that, for what a network moves about; Slack lets short bursts pass
RESPONSE_URL_USES = 5
RESPONSE_URL_SECONDS = 1800
CONNECTIONS = 10  # Socket Mode's limit for one app
TEXT_LIMIT = 40_000  # characters of a message's text
RETRY_SPACING = (0.2, 0.4, 0.8)  # Slack: at once, after a minute, after five; here in less than seconds

APP_METHODS = {"apps.connections.open"}
FORM_METHODS = {"users.info", "users.lookupByEmail", "bots.info"}  # by Slack's documents these take no JSON
SCOPES = {
    "chat.postMessage": "chat:write", "chat.update": "chat:write", "chat.postEphemeral": "chat:write",
    "conversations.open": "im:write", "users.info": "users:read", "users.lookupByEmail": "users:read.email",
}


class Refused(Exception):
    """What the Web API answers as `ok: false`."""

    def __init__(self, error, **more):
        super().__init__(error)
        self.body = {"ok": False, "error": error, **more}


class Interaction:
    """One payload on its way to the app, and what came back."""

    def __init__(self, kind, payload):
        self.kind, self.payload, self.id = kind, payload, str(uuid.uuid4())
        self.sent, self.acked_after, self.answer, self.status, self.attempts = None, None, None, None, 0
        self.acks = 0
        self.done = threading.Event()

    def ack(self, answer, status=200):
        self.acks += 1
        if self.acked_after is None:
            self.acked_after, self.answer, self.status = time.monotonic() - self.sent, answer or {}, status
            self.done.set()

    @property
    def in_time(self):
        return self.acked_after is not None and self.acked_after <= ACK_SECONDS

    def wait(self, seconds=ACK_SECONDS + 1):
        self.done.wait(seconds)
        return self


class Slack:
    """The workspace, its people and conversations, the app, and the server."""

    def __init__(self, port=0):
        self.port = port
        self.team = {"id": "T0ACME0001", "domain": "acme", "name": "Acme"}
        self.app_id, self.bot_user, self.bot_id = "A0COUNTER1", "U0BOT00001", "B0BOT00001"
        self.bot_token, self.app_token = "xoxb-standin-bot", "xapp-1-A0COUNTER1-standin"
        self.signing_secret = "8f742231b10e8888abcd99yyyzzz85a5"
        self.scopes = set(SCOPES.values()) | {"commands"}
        self.users, self.conversations, self.messages = {}, {}, {}
        self.ephemerals, self.views, self.homes, self.calls = [], {}, {}, []
        self.triggers, self.responses, self.tickets, self.open = {}, {}, set(), []
        self.pending, self.faults, self.last_message = {}, [], {}
        self.request_url = None  # set: HTTP takes the place of Socket Mode
        self.clock, self.turn = 0, 0
        self.paced = True
        self.user(self.bot_user, "countersign", is_bot=True)

    # The people and places.

    def user(self, id, name, email=None, team=None, **flags):
        """Adds or changes a person; flags are those of `users.info`."""
        self.users[id] = {
            "id": id, "team_id": team or self.team["id"], "name": name, "deleted": False, "real_name": name.title(),
            "tz": "Europe/Berlin", "tz_label": "Central European Time", "tz_offset": 3600, "is_admin": False,
            "is_owner": False, "is_primary_owner": False, "is_restricted": False, "is_ultra_restricted": False,
            "is_bot": False, "is_app_user": False, "updated": 1700000000, "is_email_confirmed": True,
            "profile": {"real_name": name.title(), "display_name": name, "email": email or f"{name}@acme.example",
                        "team": team or self.team["id"]},
            **flags,
        }
        return id

    def channel(self, id, name, members=(), bot=True):
        self.conversations[id] = {"id": id, "name": name, "is_channel": True, "is_im": False,
                                  "members": set(members) | ({self.bot_user} if bot else set())}
        return id

    def direct(self, user):
        """The direct conversation of the bot and a person."""
        id = "D" + user[1:]
        self.conversations.setdefault(
            id, {"id": id, "name": "directmessage", "is_channel": False, "is_im": True, "user": user,
                 "members": {user, self.bot_user}})
        return id

    # The server, on a thread and a loop of its own.

    def start(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self._run(self._serve())
        return self

    def stop(self):
        async def close():
            for socket in list(self.open):
                await socket.close()
            await self.client.close()
            await self.runner.cleanup()
        self._run(close())
        self.loop.call_soon_threadsafe(self.loop.stop)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self):
        return f"{self.url}/api/"

    def _run(self, work, seconds=60):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    async def _serve(self):
        app = web.Application(client_max_size=1 << 22)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/link", self._link)
        app.router.add_post("/response/{id}", self._response)
        self.client = ClientSession(timeout=ClientTimeout(total=10))
        self.runner = web.AppRunner(app, shutdown_timeout=1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    # The Web API.

    async def _api(self, request):
        method = request.match_info["method"]
        token, given = await self._arguments(request)
        self.calls.append((time.monotonic(), method, given))
        fault = self._fault(method)
        if fault:
            await asyncio.sleep(fault.get("delay", 0))
            if "status" in fault:
                headers = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
                body = {"ok": False, "error": "ratelimited" if fault["status"] == 429 else "internal_error"}
                return web.json_response(body, status=fault["status"], headers=headers)
            if "error" in fault:
                return web.json_response({"ok": False, "error": fault["error"]})
        try:
            self._allowed(method, token)
            work = getattr(self, "_" + method.replace(".", "_"), None)
            if work is None:
                raise Refused("unknown_method", req_method=method)
            return web.json_response({"ok": True, **work(given)})
        except Refused as refused:
            if refused.body["error"] == "ratelimited":
                return web.json_response(refused.body, status=429, headers={"Retry-After": "1"})
            return web.json_response(refused.body)
        except KeyError as missing:
            return web.json_response({"ok": False, "error": "invalid_arguments", "response_metadata":
                                      {"messages": [f"[ERROR] missing required field: {missing.args[0]}"]}})

    async def _arguments(self, request):
        """The token and the arguments; in a form, whatever has parts is a string of JSON."""
        given = dict(request.query)
        if request.content_type == "application/json":
            if request.match_info["method"] not in FORM_METHODS:
                given.update(json.loads(await request.text() or "{}"))
        elif request.method == "POST":
            given.update({name: value for name, value in (await request.post()).items()})
        for name in ("blocks", "view", "attachments", "metadata"):
            if isinstance(given.get(name), str):
                given[name] = json.loads(given[name])
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return given.pop("token", None) or bearer, given

    def _allowed(self, method, token):
        if not token:
            raise Refused("not_authed")
        wanted = self.app_token if method in APP_METHODS else self.bot_token
        if token != wanted:
            known = token in (self.app_token, self.bot_token)
            raise Refused("not_allowed_token_type" if known else "invalid_auth")
        scope = SCOPES.get(method)
        if scope and scope not in self.scopes:
            raise Refused("missing_scope", needed=scope, provided=",".join(sorted(self.scopes)))

    def _auth_test(self, _):
        return {"url": f"https://{self.team['domain']}.slack.com/", "team": self.team["name"], "user": "countersign",
                "team_id": self.team["id"], "user_id": self.bot_user, "bot_id": self.bot_id,
                "is_enterprise_install": False}

    def _apps_connections_open(self, _):
        ticket = uuid.uuid4().hex
        self.tickets.add(ticket)
        return {"url": f"ws://127.0.0.1:{self.port}/link?ticket={ticket}&app_id={self.app_id}"}

    def _api_test(self, given):
        return {"args": given}

    def _bots_info(self, _):
        return {"bot": {"id": self.bot_id, "app_id": self.app_id, "user_id": self.bot_user, "name": "countersign"}}

    def _users_info(self, given):
        user = self.users.get(given["user"])
        if user is None:
            raise Refused("user_not_found")
        return {"user": user}

    def _users_lookupByEmail(self, given):
        for user in self.users.values():
            if user["profile"]["email"] == given["email"] and not user["deleted"]:
                return {"user": user}
        raise Refused("users_not_found")

    def _conversations_open(self, given):
        user = given["users"]
        if user not in self.users:
            raise Refused("user_not_found")
        if self.users[user]["is_bot"] or self.users[user]["deleted"]:
            raise Refused("cannot_dm_bot" if self.users[user]["is_bot"] else "user_disabled")
        return {"channel": {"id": self.direct(user)}, "no_op": True, "already_open": True}

    def _conversation(self, given):
        id = given["channel"]
        if id in self.users and id != self.bot_user:
            id = self.direct(id)
        found = self.conversations.get(id)
        if found is None:
            raise Refused("channel_not_found")
        if self.bot_user not in found["members"]:
            raise Refused("not_in_channel")
        return found

    def _content(self, given):
        text, found = given.get("text") or "", given.get("blocks")
        if not text and not found:
            raise Refused("no_text")
        if len(text) > TEXT_LIMIT:
            raise Refused("msg_too_long")
        return {"text": text, **({"blocks": self._checked(checked_blocks(found))} if found else {})}

    @staticmethod
    def _checked(found):
        value, errors = found
        if errors:
            raise Refused("invalid_blocks", errors=errors, response_metadata={"messages": [f"[ERROR] {e}" for e in errors]})
        return value

    def _next_ts(self):
        self.clock = max(self.clock + 1, int(time.time() * 1_000_000))
        return f"{self.clock // 1_000_000}.{self.clock % 1_000_000:06}"

    def _chat_postMessage(self, given):
        place = self._conversation(given)["id"]
        content = self._content(given)
        since = time.monotonic() - self.last_message.get(place, -1e9)
        if self.paced and since < MESSAGE_SPACING - MESSAGE_TOLERANCE:
            raise Refused("ratelimited")
        self.last_message[place] = time.monotonic()
        ts = self._next_ts()
        thread = {"thread_ts": given["thread_ts"]} if given.get("thread_ts") else {}
        message = {"type": "message", "subtype": "bot_message", "user": self.bot_user, "bot_id": self.bot_id,
                   "app_id": self.app_id, "team": self.team["id"], "ts": ts, **content, **thread}
        self.messages[place, ts] = message
        return {"channel": place, "ts": ts, "message": message}

    def _chat_update(self, given):
        message = self.messages.get((given["channel"], given["ts"]))
        if message is None:
            raise Refused("message_not_found")
        if message["user"] != self.bot_user:
            raise Refused("cant_update_message")
        content = self._content(given)
        message.pop("blocks", None)
        message.update(content, edited={"user": self.bot_user, "ts": self._next_ts()})
        return {"channel": given["channel"], "ts": given["ts"], "text": message["text"], "message": message}

    def _chat_postEphemeral(self, given):
        place = self._conversation(given)
        if given["user"] not in place["members"]:
            raise Refused("user_not_in_channel")
        ts = self._next_ts()
        self.ephemerals.append({"channel": place["id"], "user": given["user"], "ts": ts, **self._content(given)})
        return {"message_ts": ts}

    def _trigger(self, given):
        made, used = self.triggers.get(given["trigger_id"], (None, None))
        if made is None:
            raise Refused("invalid_trigger_id")
        if used:
            raise Refused("exchanged_trigger_id")
        if time.monotonic() - made > ACK_SECONDS:
            raise Refused("expired_trigger_id")
        self.triggers[given["trigger_id"]] = (made, True)

    def _view(self, given, kind, id=None):
        view = self._checked(checked_view(given["view"], kind))
        view = {"id": id or "V" + uuid.uuid4().hex[:10].upper(), "team_id": self.team["id"], "private_metadata": "",
                "callback_id": "", "state": {"values": {}}, "hash": f"{time.time()}.{uuid.uuid4().hex[:8]}",
                "clear_on_close": False, "notify_on_close": False, "previous_view_id": None, "app_id": self.app_id,
                "external_id": "", "app_installed_team_id": self.team["id"], "bot_id": self.bot_id, **view}
        view["root_view_id"] = view["id"]
        self.views[view["id"]] = view
        return view

    def _views_open(self, given):
        self._trigger(given)
        return {"view": self._view(given, "modal")}

    def _views_update(self, given):
        view = self.views.get(given["view_id"])
        if view is None:
            raise Refused("not_found")
        if given.get("hash") and given["hash"] != view["hash"]:
            raise Refused("hash_conflict")
        return {"view": self._view(given, view["type"], view["id"])}

    def _views_publish(self, given):
        if given["user_id"] not in self.users:
            raise Refused("user_not_found")
        self.homes[given["user_id"]] = self._view(given, "home")
        return {"view": self.homes[given["user_id"]]}

    async def _response(self, request):
        known = self.responses.get(request.match_info["id"])
        if known is None or known["uses"] >= RESPONSE_URL_USES or time.monotonic() - known["made"] > RESPONSE_URL_SECONDS:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        known["uses"] += 1
        given = await request.json()
        try:
            content = self._content(given)
        except Refused as refused:
            return web.json_response(refused.body, status=400)
        place = known["channel"], known.get("ts")
        if given.get("replace_original") and place in self.messages:
            self.messages[place].update(content)
        else:
            self.ephemerals.append({"channel": known["channel"], "user": known["user"], "ts": self._next_ts(), **content})
        return web.Response(text="ok")

    # Faults.

    def fail(self, method, times=1, **fault):
        """The next calls of a method meet `error`, or `status` (with `retry_after`), after `delay` seconds."""
        self.faults.append({"method": method, "times": times, **fault})

    def _fault(self, method):
        for fault in self.faults:
            if fault["method"] == method and fault["times"] > 0:
                fault["times"] -= 1
                return fault
        return None

    # Socket Mode.

    async def _link(self, request):
        if request.query.get("ticket") not in self.tickets:
            return web.Response(status=408)
        self.tickets.discard(request.query["ticket"])
        socket = web.WebSocketResponse(heartbeat=10)
        await socket.prepare(request)
        if len(self.open) >= CONNECTIONS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets", "debug_info": {"host": "standin"}})
            await socket.close()
            return socket
        socket.leaving = False
        socket.transport_ = request.transport
        self.open.append(socket)
        await socket.send_json({
            "type": "hello", "num_connections": len(self.open), "connection_info": {"app_id": self.app_id},
            "debug_info": {"host": "standin", "build_number": 1, "approximate_connection_time": 18060}})
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._acked(message.data)
        finally:
            if socket in self.open:
                self.open.remove(socket)
        return socket

    def _acked(self, data):
        try:
            said = json.loads(data)
        except ValueError:
            return
        found = self.pending.get(said.get("envelope_id"))
        if found:
            found.ack(said.get("payload"))

    def connections(self):
        return len([socket for socket in self.open if not socket.leaving])

    def wait_for_connections(self, count=1, seconds=20):
        end = time.monotonic() + seconds
        while self.connections() < count:
            assert time.monotonic() < end, f"{self.connections()} connections, not {count}"
            time.sleep(0.02)

    def disconnect(self, reason="refresh_requested", after=0.5, warn=False):
        """Tells each connection to go, as Slack does about once an hour, and closes it `after` seconds."""
        async def go():
            for socket in list(self.open):
                socket.leaving = True
                await socket.send_json({"type": "disconnect", "reason": "warning" if warn else reason,
                                        "debug_info": {"host": "standin"}})

            async def close(sockets):
                await asyncio.sleep(after)
                for socket in sockets:
                    await socket.close()
            asyncio.ensure_future(close(list(self.open)))
        self._run(go())

    def cut(self):
        """Cuts each connection without a word."""
        def go():
            for socket in list(self.open):
                socket.leaving = True
                socket.transport_.abort()
        self.loop.call_soon_threadsafe(go)

    # What goes to the app.

    def deliver(self, kind, payload, duplicates=0, late=0.0, forged=None, redeliver=None):
        """Sends a payload to the app, over Socket Mode or as a signed request.

        `late` holds it back so many seconds; `duplicates` sends it again as often, the same in every byte; `forged` alters
        headers of a signed request; `redeliver` is an interaction whose envelope is used again.
        """
        interaction = Interaction(kind, payload)
        if redeliver:
            interaction.id = redeliver.id
        self.pending[interaction.id] = interaction
        send = self._send_signed if self.request_url else self._send_envelope
        asyncio.run_coroutine_threadsafe(send(interaction, duplicates, late, forged or {}), self.loop)
        return interaction

    async def _send_envelope(self, interaction, duplicates, late, _forged):
        interaction.sent = time.monotonic()
        await asyncio.sleep(late)
        tries = 1 + (len(RETRY_SPACING) if interaction.kind == "events_api" else 0)
        for attempt in range(tries):
            ready = [socket for socket in self.open if not socket.leaving and not socket.closed]
            if ready:
                for _ in range(1 + duplicates):
                    self.turn += 1
                    interaction.attempts += 1
                    envelope = {"envelope_id": interaction.id, "type": interaction.kind, "payload": interaction.payload,
                                "accepts_response_payload": interaction.kind != "events_api"}
                    if interaction.kind == "events_api":
                        envelope.update(retry_attempt=attempt, retry_reason="timeout" if attempt else "")
                    await ready[self.turn % len(ready)].send_json(envelope)
                await asyncio.sleep(RETRY_SPACING[0] if tries > 1 else 0)
            if interaction.acked_after is not None or attempt + 1 == tries:
                return
            await asyncio.sleep(RETRY_SPACING[attempt])

    async def _send_signed(self, interaction, duplicates, late, forged):
        if interaction.kind == "events_api":
            body, kind = json.dumps(interaction.payload), "application/json"
        else:
            form = interaction.payload if interaction.kind == "slash_commands" else {"payload": json.dumps(interaction.payload)}
            body, kind = urlencoded(form), "application/x-www-form-urlencoded"
        at = str(int(time.time()) + forged.pop("skew", 0))
        headers = {"Content-Type": kind, "X-Slack-Request-Timestamp": at,
                   "X-Slack-Signature": self.signature(at, body), **forged}
        interaction.sent = time.monotonic()
        await asyncio.sleep(late)
        for _ in range(1 + duplicates):
            interaction.attempts += 1
            try:
                async with self.client.post(self.request_url, data=body.encode(), headers=headers) as answer:
                    said = await answer.text()
                    interaction.ack(json.loads(said) if said.startswith("{") else {"text": said} if said else {}, answer.status)
            except (ClientError, asyncio.TimeoutError) as error:
                interaction.status = str(error)

    def signature(self, at, body):
        return "v0=" + hmac.new(self.signing_secret.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest()

    # Hands.

    def _common(self, user, place):
        trigger = f"{int(time.time())}.{uuid.uuid4().hex}"
        self.triggers[trigger] = (time.monotonic(), False)
        response = uuid.uuid4().hex
        self.responses[response] = {"channel": place, "user": user, "uses": 0, "made": time.monotonic()}
        return trigger, f"{self.url}/response/{response}", response

    def _who(self, user):
        found = self.users[user]
        return {"id": user, "username": found["name"], "name": found["name"], "team_id": found["team_id"]}

    def press(self, channel, ts, action, user, confirm=True, blocks=None, alter=None, **how):
        """A person presses a button of a message. `blocks` is an older state that their screen still shows; `alter`
        changes the payload before it goes out, as nobody's hand can. Not confirming a dialog sends nothing."""
        message = {**self.messages[channel, ts], **({"blocks": blocks} if blocks else {})}
        block, button = find(message.get("blocks", []), action)
        if button.get("confirm") and not confirm:
            return None
        trigger, url, response = self._common(user, channel)
        self.responses[response]["ts"] = ts
        said = {key: button[key] for key in ("action_id", "text", "value", "style", "confirm", "url") if key in button}
        payload = {
            "type": "block_actions", "user": self._who(user), "api_app_id": self.app_id, "token": "deprecated",
            "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False},
            "trigger_id": trigger, "team": {"id": self.team["id"], "domain": self.team["domain"]}, "enterprise": None,
            "is_enterprise_install": False, "channel": {"id": channel, "name": self.conversations[channel]["name"]},
            "message": message, "state": {"values": {}}, "response_url": url,
            "actions": [{**said, "type": "button", "block_id": block["block_id"], "action_ts": self._next_ts()}],
        }
        if alter:
            payload = json.loads(json.dumps(payload))
            alter(payload)
        return self.deliver("interactive", payload, **how)

    def press_home(self, user, action, value=None, **how):
        """A person presses a button of their home tab."""
        view = self.homes[user]
        buttons = [(b, e) for b in view["blocks"] for e in [*b.get("elements", []), b.get("accessory") or {}]
                   if e.get("action_id") == action and (value is None or e.get("value") == value)]
        block, button = buttons[0]
        trigger, _, _ = self._common(user, None)
        payload = {
            "type": "block_actions", "user": self._who(user), "api_app_id": self.app_id, "token": "deprecated",
            "container": {"type": "view", "view_id": view["id"]}, "trigger_id": trigger,
            "team": {"id": self.team["id"], "domain": self.team["domain"]}, "enterprise": None,
            "is_enterprise_install": False, "view": view,
            "actions": [{**button, "block_id": block["block_id"], "action_ts": self._next_ts()}],
        }
        return self.deliver("interactive", payload, **how)

    def submit(self, view, user, values, alter=None, **how):
        """A person submits a modal; `values` has a text for each action id of its inputs."""
        view = json.loads(json.dumps(self.views[view]))
        for block in view["blocks"]:
            element = block.get("element", {})
            if element.get("action_id") in values:
                said = {element["action_id"]: {"type": element["type"], "value": values[element["action_id"]]}}
                view["state"]["values"][block["block_id"]] = said
        trigger, _, _ = self._common(user, None)
        payload = {
            "type": "view_submission", "team": {"id": self.team["id"], "domain": self.team["domain"]},
            "user": self._who(user), "api_app_id": self.app_id, "token": "deprecated", "trigger_id": trigger, "view": view,
            "response_urls": [], "is_enterprise_install": False, "enterprise": None,
        }
        if alter:
            alter(payload)
        return self.deliver("interactive", payload, **how)

    def command(self, channel, user, command="/countersign", text="", **how):
        trigger, url, _ = self._common(user, channel)
        payload = {
            "token": "deprecated", "team_id": self.team["id"], "team_domain": self.team["domain"], "channel_id": channel,
            "channel_name": self.conversations[channel]["name"], "user_id": user, "user_name": self.users[user]["name"],
            "command": command, "text": text, "api_app_id": self.app_id, "is_enterprise_install": "false",
            "response_url": url, "trigger_id": trigger,
        }
        return self.deliver("slash_commands", payload, **how)

    def open_home(self, user, **how):
        event = {"type": "app_home_opened", "user": user, "channel": self.direct(user), "tab": "home",
                 "event_ts": self._next_ts()}
        return self.deliver("events_api", self._event(event), **how)

    def _event(self, event):
        return {
            "token": "deprecated", "team_id": self.team["id"], "context_team_id": self.team["id"],
            "context_enterprise_id": None, "api_app_id": self.app_id, "event": event, "type": "event_callback",
            "event_id": "Ev" + uuid.uuid4().hex[:10].upper(), "event_time": int(time.time()),
            "authorizations": [{"enterprise_id": None, "team_id": self.team["id"], "user_id": self.bot_user,
                                "is_bot": True, "is_enterprise_install": False}],
            "is_ext_shared_channel": False, "event_context": "4-standin",
        }

    # What stands in the workspace, for tests to read.

    def all(self, channel, threads=False):
        """The messages of a conversation, oldest first; those in threads only when asked for."""
        return [message for (place, _), message in list(self.messages.items())
                if place == channel and (threads or "thread_ts" not in message)]

    def wait_for(self, look, what, seconds=20):
        end = time.monotonic() + seconds
        while True:
            found = look()
            if found:
                return found
            assert time.monotonic() < end, f"no {what} within {seconds} s"
            time.sleep(0.02)

    def wait_for_message(self, channel, after=0, seconds=20):
        return self.wait_for(lambda: self.all(channel)[after:], f"message in {channel}", seconds)[0]

    def buttons(self, message):
        return [element["action_id"] for block in message.get("blocks", []) for element in block.get("elements", [])
                if element.get("type") == "button"]

    def calls_of(self, method):
        return [(at, given) for at, name, given in list(self.calls) if name == method]


def find(blocks, action):
    for block in blocks:
        for element in [*block.get("elements", []), block.get("accessory") or {}]:
            if element.get("action_id") == action:
                return block, element
    raise LookupError(f"nobody can press `{action}`: the message has no such button")


def urlencoded(form):
    from urllib.parse import urlencode
    return urlencode(form)


if __name__ == "__main__":
    with Slack(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as slack:
        slack.channel("C0REVIEWS1", "reviews", [slack.user("U0ALICE001", "alice")])
        print(f"{slack.api_url} {slack.bot_token} {slack.app_token}", flush=True)
        threading.Event().wait()
