"""Microsoft's Agents Playground as the Teams client, and what stands around it in a test.

The Playground (npm `@microsoft/m365agentsplayground`) draws cards with Microsoft's own renderer and speaks the Bot
Framework's protocol on both sides: it posts activities to a bot, and serves the connector that the bot answers to. It
has no tenant behind it and sends no token, so three small servers stand in for what Microsoft runs:

* `Authority`: OpenID metadata and keys that sign tokens, and the tenant's token endpoint.
* `Signer`: takes what the Playground sends, adds a token of that authority, and hands it to the bot.
* `Gate`: stands before the Playground's connector, asks for the access token that the authority gave out, and keeps what
  came by. Its address is the service URL.
"""

import base64
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ROOT = Path(__file__).resolve().parents[3]
NODE = ROOT / ".tools" / "node"
ISSUER = "https://api.botframework.com"
APP = "5f0d6a4e-0000-4000-8000-0000000000b0"
TENANT = "7a9c1b2e-0000-4000-8000-000000000001"
SECRET = "a-client-secret-for-tests"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))

PEOPLE = {
    "alex": ("29:alex", "Alex Wilber", "7a9c1b2e-0000-4000-8000-0000000000a0"),
    "megan": ("29:megan", "Megan Bowen", "7a9c1b2e-0000-4000-8000-0000000000a1"),
    "adele": ("29:adele", "Adele Vance", "7a9c1b2e-0000-4000-8000-0000000000a2"),
    "isaiah": ("29:isaiah", "Isaiah Langer", "7a9c1b2e-0000-4000-8000-0000000000a3"),
    "patti": ("29:patti", "Patti Fernandez", "7a9c1b2e-0000-4000-8000-0000000000a4"),
    "lynne": ("29:lynne", "Lynne Robbins", "7a9c1b2e-0000-4000-8000-0000000000a5"),
}
PERSONAL, GROUP, TEAM, CHANNEL = "a:personal", "19:group@thread.v2", "19:team@thread.tacv2", "19:reviews@thread.tacv2"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def request(method, url, body=None, headers=None, timeout=20):
    """Status, headers and body of an answer, whatever it is."""
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    sent = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with OPENER.open(sent, timeout=timeout) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


class Key:
    """A key of a key set."""

    def __init__(self, endorsements=("msteams",), bits=2048, kid=None):
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        self.kid = kid or uuid.uuid4().hex
        self.endorsements = list(endorsements)

    def jwk(self):
        numbers = self.private.public_key().public_numbers()
        raw = lambda number: b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))
        return {"kty": "RSA", "use": "sig", "kid": self.kid, "n": raw(numbers.n), "e": raw(numbers.e),
                "endorsements": self.endorsements}

    def sign(self, claims, header=None):
        header = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **(header or {})}
        header = {name: value for name, value in header.items() if value is not None}
        signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{signed}.{b64(self.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def serve(handle):
    """A server on this machine: `handle(method, path, headers, body)` gives status, body and perhaps headers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, answer, *more = handle(self.command, self.path, self.headers, body)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in (more[0] if more else {"Content-Type": "application/json"}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = _any

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Authority:
    """OpenID metadata, keys, and access tokens for whoever knows the app's secret."""

    def __init__(self):
        self.key, self.keys = Key(), None
        self.keys = [self.key]
        self.issued, self.asked = set(), []
        self.server = serve(self._answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.metadata_url, self.token_url = f"{self.url}/metadata", f"{self.url}/{TENANT}/oauth2/v2.0/token"

    def _answer(self, method, path, headers, body):
        if path == "/metadata":
            return 200, {"issuer": ISSUER, "jwks_uri": f"{self.url}/keys",
                         "id_token_signing_alg_values_supported": ["RS256"]}
        if path == "/keys":
            return 200, {"keys": [key.jwk() for key in self.keys]}
        if path == f"/{TENANT}/oauth2/v2.0/token" and method == "POST":
            form = {name: values[0] for name, values in urllib.parse.parse_qs(body.decode()).items()}
            self.asked.append({name: value for name, value in form.items() if name != "client_secret"})
            good = form.get("client_id") == APP and form.get("client_secret") == SECRET
            if not good or form.get("scope") != f"{ISSUER}/.default" or form.get("grant_type") != "client_credentials":
                return 401, {"error": "invalid_client"}
            token = f"access-{uuid.uuid4().hex}"
            self.issued.add(token)
            return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": token}
        return 404, {}

    def claims(self, service_url, **changes):
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": APP, "serviceurl": service_url, "nbf": now - 5, "exp": now + 3600, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, service_url, **changes):
        return self.key.sign(self.claims(service_url, **changes))


class Signer:
    """Adds the token that the Playground does not have, and hands on to the bot. `change` may alter what comes by."""

    def __init__(self, authority, bot):
        self.authority, self.bot, self.seen, self.change = authority, bot, [], None
        self.server = serve(self._answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/messages"

    def _answer(self, method, path, headers, body):
        activity = json.loads(body)
        if self.change:
            activity = self.change(activity)
        token = self.authority.token(activity["serviceUrl"])
        status, answered, answer = request("POST", self.bot, activity, {"Authorization": f"Bearer {token}"})
        self.seen.append((activity, status, answer))
        return status, answer, {"Content-Type": answered.get("content-type", "application/json")}


class Gate:
    """The connector's address. It wants an access token of the authority and keeps what came by.

    The Playground has one person. The chats of the others with the bot are here: `a:megan` is Megan's, and as in Teams a
    chat is found by the object id of its person.
    """

    def __init__(self, authority):
        self.authority, self.behind, self.seen, self.fault = authority, None, [], None
        self.server = serve(self._answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/_connector"
        self.host = f"127.0.0.1:{self.server.server_port}"

    def _answer(self, method, path, headers, body):
        token = (headers.get("authorization") or "").removeprefix("Bearer ")
        if token not in self.authority.issued:
            return 401, {"error": {"code": "Unauthorized", "message": "no access token of ours"}}
        if self.fault:
            answer = self.fault(method, path)
            if answer:
                return answer
        other = self._other(method, urllib.parse.unquote(path), body)
        if other:
            return other
        if self.behind is None:
            return 503, {"error": {"code": "ServiceUnavailable", "message": "the Playground is not there yet"}}
        status, answered, answer = request(method, self.behind + path, body or None)
        try:
            sent = json.loads(body) if body else None
        except ValueError:
            sent = body
        self.seen.append({"method": method, "path": urllib.parse.unquote(path), "body": sent, "status": status,
                          "answer": answer.decode(errors="replace")})
        return status, answer, {"Content-Type": answered.get("content-type", "application/json")}

    def _other(self, method, path, body):
        """What concerns somebody who is not at the page."""
        parts = path.removeprefix("/_connector/v3/conversations").strip("/").split("/")
        sent = json.loads(body) if body else None
        if parts == [""] and sent and not sent.get("isGroup"):
            found = [name for name, (_, _, oid) in PEOPLE.items() if oid == sent["members"][0]["id"]]
            return (201, {"id": chat(found[0])}) if found else (404, {"error": {"code": "UserNotFound"}})
        name = parts[0].removeprefix("a:")
        if name not in PEOPLE:
            return None
        mri, shown, oid = PEOPLE[name]
        if parts[1:2] == ["members"]:
            member = {"id": mri, "name": shown, "aadObjectId": oid, "objectId": oid, "tenantId": TENANT,
                      "userRole": "user", "userPrincipalName": f"{name}@example.com"}
            return (200, member) if parts[2:] == [mri] else (404, {"error": {"code": "MemberNotFoundInConversation"}})
        answer = {"id": parts[2] if len(parts) > 2 else str(1_800_000_000_000 + len(self.seen))}
        self.seen.append({"method": method, "path": path, "body": sent, "status": 201, "answer": json.dumps(answer)})
        return 201, answer


def chat(name, me="alex"):
    """Somebody's own chat with the bot."""
    return PERSONAL if name == me else f"a:{name}"


class Playground:
    """The client, with its page, for one person."""

    def __init__(self, signer, gate, me="alex", folder=None):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="countersign-teams-"))
        self.signer, self.gate, self.me, self.process = signer, gate, me, None

    def _config(self):
        person = lambda name: "\n".join(
            f"{'  - ' if place == 0 else '    '}{key}: {value}" for place, (key, value) in enumerate(self._fields(name)))
        me = "\n".join(f"  {key}: {value}" for key, value in self._fields(self.me))
        others = "\n".join(person(name) for name in PEOPLE if name != self.me)
        return (
            f'version: "0.1.1"\ntenantId: {TENANT}\nbot:\n  id: 28:{APP}\n  name: Countersign\n'
            f"currentUser:\n{me}\nusers:\n{others}\n"
            f"personalChat:\n  id: {PERSONAL}\ngroupChat:\n  id: {GROUP}\n  name: Reviewers\n"
            f"team:\n  id: {TEAM}\n  name: Operations\n  aadGroupId: 00000000-0000-0000-0000-000000000031\n"
            f"  channels:\n    - id: {CHANNEL}\n      name: Reviews\n"
        )

    @staticmethod
    def _fields(name):
        mri, shown, oid = PEOPLE[name]
        given, surname = shown.split(" ")
        mail = f"{name}@example.com"
        return [("id", mri), ("name", shown), ("userPrincipleName", mail), ("aadObjectId", oid),
                ("givenName", given), ("surname", surname), ("email", mail)]

    def __enter__(self):
        (self.folder / ".m365agentsplayground.yml").write_text(self._config())
        tools = self.folder / "bin"
        tools.mkdir(exist_ok=True)
        (tools / "xdg-open").write_text("#!/bin/sh\nexit 0\n")
        (tools / "xdg-open").chmod(0o755)
        port = free_port()
        self.url = f"http://localhost:{port}"
        self.gate.behind = self.url
        cli = NODE / "node_modules" / "@microsoft" / "m365agentsplayground" / "cli.js"
        command = ["node", str(cli), "start", "-e", self.signer.url, "-c", "msteams", "-p", str(port),
                   "--service-url", self.gate.url, "--disable-telemetry"]
        env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NO_PROXY": "*", "no_proxy": "*"}
        out = open(self.folder / "playground.log", "wb")
        self.process = subprocess.Popen(command, cwd=self.folder, env=env, stdout=out, stderr=out,
                                        stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if request("GET", f"{self.url}/_debug/ping", timeout=3)[0] == 200:
                    return self
            except OSError:
                time.sleep(0.1)
        log = self.folder / "devTools" / "m365agentsplayground.log"
        raise AssertionError(f"the Playground did not start: {log.read_text()[-1500:] if log.exists() else ''}")

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


def free_port():
    import socket

    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def activity(gate_url, person="alex", conversation=PERSONAL, **changes):
    """A message of a person, as Teams sends it."""
    mri, name, oid = PEOPLE[person]
    kind = "personal" if conversation.startswith("a:") else "groupChat"
    return {
        "type": "message", "id": uuid.uuid4().hex, "timestamp": "2026-11-21T12:00:00.000Z", "channelId": "msteams",
        "serviceUrl": gate_url, "from": {"id": mri, "name": name, "aadObjectId": oid},
        "recipient": {"id": f"28:{APP}", "name": "Countersign"},
        "conversation": {"id": conversation, "conversationType": kind, "tenantId": TENANT,
                         "isGroup": kind != "personal"},
        "channelData": {"tenant": {"id": TENANT}}, "text": "help", **changes,
    }


class Person:
    """Somebody at the Playground's page, in a browser."""

    def __init__(self, url):
        self.url = url

    def __enter__(self):
        script = Path(__file__).with_name("person.mjs")
        env = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
        self.process = subprocess.Popen(["node", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=env)
        self.do("open", url=self.url)
        return self

    def do(self, what, **more):
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the browser ended"
        answer = json.loads(line)
        assert answer["ok"], f"{what} {more}: {answer['error']}"
        return answer["value"]

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
