"""A deployment for end-to-end tests: the real binary, a software passkey, an agent's key.

Everything here speaks to the gateway as its users do, over HTTP. The passkey is software and lives in tests only.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import urllib.parse
import uuid
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 30


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Answer:
    """What an HTTP call came to."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def expect(self, *statuses):
        if self.status not in statuses:
            raise AssertionError(f"expected {statuses}, got {self.status}: {self.body[:600]!r}")
        return self


def call(method, url, body=None, headers=None, timeout=90):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.putrequest(method, target, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Passkey:
    """A software authenticator with one ES256 credential, user present and verified."""

    def __init__(self, origin):
        self.origin, self.rp_id = origin, urllib.parse.urlsplit(origin).hostname
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(32)
        self.user = None

    def _client_data(self, kind, challenge):
        return json.dumps(
            {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False},
            separators=(",", ":"),
        ).encode()

    def _authenticator_data(self, flags, attested=b""):
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + struct.pack(">I", 0) + attested

    def create(self, options):
        self.user = options["user"]["id"]
        numbers = self.key.public_key().public_numbers()
        cose = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")},
            canonical=True,
        )
        attested = bytes(16) + struct.pack(">H", len(self.id)) + self.id + cose
        data = self._authenticator_data(0x45, attested)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data}, canonical=True)
        return {
            "id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": b64(self._client_data("webauthn.create", options["challenge"])),
                "attestationObject": b64(attestation), "transports": ["internal"],
            },
        }

    def get(self, options):
        client_data = self._client_data("webauthn.get", options["challenge"])
        data = self._authenticator_data(0x05)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        return {
            "id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": b64(client_data), "authenticatorData": b64(data),
                "signature": b64(signature), "userHandle": self.user,
            },
        }


class Human:
    """A person with a passkey and a browser's cookie."""

    def __init__(self, house):
        self.house, self.passkey, self.cookie = house, Passkey(house.public_url), None
        # The request in which an administrator signs for a new key.
        self.waits = None

    def call(self, method, path, body=None, **more):
        headers = {"Origin": self.house.public_url, **more}
        if self.cookie:
            headers["Cookie"] = self.cookie
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        answer = call(method, self.house.url + path, data, headers)
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].split(";")[0]
        return answer

    def enrol(self, link, label="test key"):
        invite = link.split("#", 1)[1]
        options = self.call("POST", "/v1/enrolment/options", {"invite": invite}).expect(200).json()
        body = {"invite": invite, "label": label, "credential": self.passkey.create(options)}
        answer = self.call("POST", "/v1/enrolment", body).expect(200, 202).json()
        self.waits = answer.get("id")
        return self

    def login(self):
        options = self.call("POST", "/v1/login/options", {}).expect(200).json()
        self.call("POST", "/v1/login", {"credential": self.passkey.get(options)}).expect(200, 201, 204)
        return self

    def step_up(self):
        options = self.call("POST", "/v1/step-up/options", {}).expect(200).json()
        self.call("POST", "/v1/step-up", {"credential": self.passkey.get(options)}).expect(200, 201, 204)
        return self

    @property
    def id(self):
        return self.cookie.split("=", 1)[1].split(".")[0]

    def approval(self, approval):
        return self.call("GET", f"/v1/approvals/{approval}").expect(200).json()

    def review(self, approval, verdict, note=None):
        displayed = self.approval(approval)["card_digest"]
        body = {"verdict": verdict, "displayed": displayed, **({"note": note} if note else {})}
        answer = self.call("POST", f"/v1/approvals/{approval}/statements", body)
        if answer.status >= 300:
            return answer
        prepared = answer.json()
        body = {"statement": prepared["statement"], "credential": self.passkey.get(prepared["options"])}
        return self.call("POST", f"/v1/approvals/{approval}/reviews", body)

    def approve(self, approval):
        return self.review(approval, "approve")

    def deny(self, approval, note=None):
        return self.review(approval, "deny", note)

    def inbox(self, state="pending"):
        return self.call("GET", f"/v1/approvals?state={state}").expect(200).json()["approvals"]

    def wait_for_pending(self, seconds=20, besides=()):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for row in self.inbox():
                if row["id"] not in besides:
                    return row["id"]
            time.sleep(0.05)
        raise AssertionError("nothing was held")


class Agent:
    """A program with an Ed25519 key that it trades for short-lived tokens."""

    def __init__(self, house):
        self.house, self.id, self._token = house, None, None
        self.key = ed25519.Ed25519PrivateKey.generate()

    @property
    def public(self):
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return b64(self.key.public_key().public_bytes(*raw))

    def assertion(self, **claims):
        now = int(time.time())
        name = f"agent:{self.id}"
        body = {"iss": name, "sub": name, "aud": f"{self.house.public_url}/v1/token", "iat": now, "exp": now + 120,
                "jti": str(uuid.uuid4()), **claims}
        head = b64(json.dumps({"alg": "EdDSA", "typ": "JWT"}).encode())
        signed = f"{head}.{b64(json.dumps(body).encode())}"
        return f"{signed}.{b64(self.key.sign(signed.encode()))}"

    def token(self):
        if self._token is None:
            form = urllib.parse.urlencode({
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self.assertion(),
            }).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = call("POST", f"{self.house.url}/v1/token", form, headers).expect(200).json()
            self._token = answer["access_token"]
        return self._token

    def call(self, method, path, body=None, **headers):
        """Calls a target through the HTTP point."""
        headers = {"Host": f"127.0.0.1:{self.house.http_port}", "Authorization": f"Bearer {self.token()}", **headers}
        return call(method, self.house.http_url + path, body, headers)

    def ask(self, method, path, body=None, **headers):
        """Calls the API."""
        headers = {"Authorization": f"Bearer {self.token()}", **headers}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        return call(method, self.house.url + path, data, headers)


class House:
    """One gateway in a folder of its own.

    One that stands `beside` another shares its store: it has the same keys and public address, a copy of its anchor, and
    its own addresses. `within` is a network namespace to run in, and `address` this machine's name there.
    """

    def __init__(self, config="", folder=None, env=None, beside=None, within=None, address="localhost"):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="countersign-test-"))
        self.port, self.http_port = free_port(), free_port()
        listen = "127.0.0.1" if address == "localhost" else address
        self.url, self.http_url = f"http://{address}:{self.port}", f"http://{listen}:{self.http_port}"
        self.public_url = beside.public_url if beside else self.url
        self.within = within
        if beside:
            shutil.copytree(beside.folder / "countersign-keys", self.folder / "countersign-keys")
            (self.folder / "countersign-data").mkdir(mode=0o700)
            shutil.copy(beside.folder / "countersign-data" / "last-checkpoint", self.folder / "countersign-data")
        self.env = {**os.environ, **(env or {})}
        self.process, self.link, self.admin = None, None, None
        (self.folder / "countersign.toml").write_text(
            f'public_url = "{self.public_url}"\n[listen]\nconsole = "{listen}:{self.port}"\n'
            f'http = "{listen}:{self.http_port}"\n{config}'
        )

    @property
    def binary(self):
        return os.environ.get("COUNTERSIGN_BIN") or str(ROOT / "target" / "debug" / "countersign")

    @property
    def command(self):
        return ["ip", "netns", "exec", self.within, self.binary] if self.within else [self.binary]

    def start(self):
        out = open(self.folder / "stdout.log", "ab")
        err = open(self.folder / "stderr.log", "ab")
        self.process = subprocess.Popen(
            [*self.command, "--config", str(self.folder / "countersign.toml"), "up"],
            stdout=out, stderr=err, env=self.env,
        )
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended: {(self.folder / 'stderr.log').read_text()[-3000:]}")
            try:
                if call("GET", f"{self.url}/readyz", timeout=5).status == 200:
                    break
            except OSError:
                pass
            time.sleep(0.02)
        else:
            raise AssertionError("the gateway was not ready in time")
        return self

    def bootstrap(self, groups=("reviewers",)):
        """Enrols the first administrator and puts them into groups."""
        end = time.monotonic() + READY_SECONDS
        found = None
        while found is None and time.monotonic() < end:
            found = re.search(r"https?://\S+/enrol#\S+", (self.folder / "stdout.log").read_text())
            time.sleep(0.02)
        self.admin = Human(self).enrol(found.group(0))
        for group in groups:
            self.admin.call("PUT", f"/v1/groups/{group}/members/{self.admin.id}", {}).expect(200)
        return self.admin

    def add_person(self, name, groups=("reviewers",), approver=None):
        """Adds a person, held for `approver` where a second administrator stands already."""
        self.settle(self.admin.call("POST", "/v1/people", {"name": name}), approver)
        people = self.admin.call("GET", "/v1/people").expect(200).json()["people"]
        person = next(row["id"] for row in people if row["name"] == name)
        for group in groups:
            self.settle(self.admin.call("PUT", f"/v1/groups/{group}/members/{person}", {}), approver)
        link = self.admin.call("POST", f"/v1/people/{person}/invite", {}).expect(200, 201).json()["url"]
        human = Human(self).enrol(link)
        self.sign_for(human.waits, approver or self.admin)
        return human.login()

    def settle(self, answer, approver=None):
        answer.expect(200, 201, 202)
        if answer.status == 202:
            assert approver is not None, f"held, and nobody to approve: {answer.body!r}"
            self.sign_for(answer.json()["id"], approver)
        return answer

    def sign_for(self, held, approver):
        """Approves a change of the deployment, and waits until it stands."""
        approver.approve(held).expect(200)
        end = time.monotonic() + 20
        while self.admin.approval(held)["state"] != "finished":
            assert time.monotonic() < end, "an approved change was not applied"
            time.sleep(0.02)

    def add_agent(self, name="agent", sponsor=None, approver=None):
        agent = Agent(self)
        body = {"name": name, "sponsor": (sponsor or self.admin).id, "key": agent.public}
        self.settle(self.admin.call("POST", "/v1/agents", body), approver)
        agents = self.admin.call("GET", "/v1/agents").expect(200).json()["agents"]
        agent.id = next(row["id"] for row in agents if row["name"] == name)
        return agent

    def set_route(self, name, document, approver=None):
        return self.settle(self.admin.call("PUT", f"/v1/routes/{name}", document), approver)

    def apply_policy(self, text, approver=None):
        return self.settle(self.admin.call("PUT", "/v1/policy", {"text": text}), approver)

    def run(self, *arguments, **more):
        """Runs the command line."""
        command = [self.binary, "--config", str(self.folder / "countersign.toml"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=self.env, timeout=120, **more)

    def log_key(self):
        return call("GET", f"{self.url}/v1/info").expect(200).json()["log_key"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Tally:
    """Counts checks and prints the closing line that the test runner reads."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, work):
        try:
            work()
        except Exception as error:  # every failure is counted, and said
            self.failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
        else:
            self.passed += 1
            print(f"ok      {name}", flush=True)

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        raise SystemExit(1 if self.failed or not self.passed else 0)
