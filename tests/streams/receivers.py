"""What takes the trail: receivers that we did not write, or that check what they take with somebody else's code."""

import base64
import datetime
import http.server
import json
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import free_port  # noqa: E402

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()

PATIENCE = 60


def eventually(what, holds, seconds=PATIENCE):
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            found = holds()
            if found:
                return found
        except Exception as error:  # not yet
            last = error
        time.sleep(0.1)
    raise AssertionError(f"it never came to this: {what} ({last})")


class Quiet(http.server.ThreadingHTTPServer):
    """A server that says nothing of a gateway that was killed in the middle of a request."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Upstream:
    """A target that answers 200 to everything."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


class WebhookReceiver:
    """Checks each webhook with the reference library, fails now and then, and remembers what it took."""

    def __init__(self):
        self.taken, self.ids, self.refused, self.bad, self.failing = {}, [], 0, [], 0.25
        # How long it takes over each event, in seconds.
        self.dwell = 0
        self.lock, self.dice = threading.Lock(), random.Random(7)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                time.sleep(outer.dwell)
                with outer.lock:
                    status = outer.take(body, {k.lower(): v for k, v in self.headers.items()})
                if status is None:  # as a receiver that dies after it has taken the event
                    self.close_connection = True
                    return
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
        luck = self.dice.random()
        if luck < self.failing / 2:
            self.refused += 1
            return 503
        event = payload["data"]
        assert headers["webhook-id"] == event["id"], "the id is the event's own"
        known = self.taken.get(event["id"])
        assert known is None or same(known, event), "an event that comes again is the same"
        self.ids.append(event["id"])
        self.taken[event["id"]] = event
        return None if luck < self.failing else 204


def same(one, other):
    """The same event; only the checkpoint that covers it may be a later one."""
    strip = lambda event: {**event, "log": {**event["log"], "size": 0}}  # noqa: E731
    return strip(one) == strip(other)


class Collector:
    """Splunk's HTTP Event Collector, with indexer acknowledgement, as its documentation has it."""

    def __init__(self):
        self.events, self.pending, self.next = [], {}, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                assert self.headers["authorization"] == "Splunk the-token"
                assert self.headers["x-splunk-request-channel"]
                if self.path == "/services/collector/event":
                    decoder, at, batch = json.JSONDecoder(), 0, []
                    while at < len(body.rstrip()):
                        event, at = decoder.raw_decode(body, at)
                        batch.append(event)
                        while at < len(body) and body[at] in " \r\n":
                            at += 1
                    outer.pending[outer.next] = [batch, 2]
                    answer = {"text": "Success", "code": 0, "ackId": outer.next}
                    outer.next += 1
                else:
                    acks = {}
                    for ack in json.loads(body)["acks"]:
                        batch = outer.pending[ack]
                        batch[1] -= 1
                        acks[str(ack)] = batch[1] <= 0
                        if batch[1] == 0:
                            outer.events.extend(batch[0])
                    answer = {"acks": acks}
                text = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def certificates(folder):
    """An authority and a certificate for this machine."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def issue(name, issuer, issuer_key, ca):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        certificate = builder.sign(issuer_key or key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
        (folder / f"{name}.key").write_bytes(key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return subject, key

    authority, key = issue("authority", None, None, True)
    issue("localhost", authority, key, False)


class Rsyslog:
    """A real rsyslog, listening with TLS and writing each message's parts as JSON."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        certificates(folder)
        self.out = folder / "messages.jsonl"
        (folder / "rsyslog.conf").write_text(f"""
global(workDirectory="{folder}" maxMessageSize="64k"
       defaultNetstreamDriver="gtls"
       defaultNetstreamDriverCAFile="{folder}/authority.pem"
       defaultNetstreamDriverCertFile="{folder}/localhost.pem"
       defaultNetstreamDriverKeyFile="{folder}/localhost.key")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="parts" type="list" option.jsonf="on") {{
    property(outname="pri" name="pri" format="jsonf")
    property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
    property(outname="host" name="hostname" format="jsonf")
    property(outname="app" name="app-name" format="jsonf")
    property(outname="msgid" name="msgid" format="jsonf")
    property(outname="data" name="structured-data" format="jsonf")
    property(outname="msg" name="msg" format="jsonf")
}}
input(type="imtcp" port="{self.port}" address="127.0.0.1" ruleset="all")
ruleset(name="all") {{ action(type="omfile" file="{self.out}" template="parts") }}
""")
        self.process = None

    def start(self):
        command = ["rsyslogd", "-n", "-i", str(self.folder / "pid"), "-f", str(self.folder / "rsyslog.conf")]
        self.log = open(self.folder / "rsyslog.log", "ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

        def listening():
            assert self.process.poll() is None, (self.folder / "rsyslog.log").read_text()[-800:]
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True

        eventually("rsyslog listens", listening, 20)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def messages(self):
        if not self.out.exists():
            return []
        return [json.loads(line) for line in self.out.read_text().splitlines() if line.endswith("}")]


class S3:
    """versitygw over a folder."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        (folder / "trail").mkdir(parents=True)
        binary = shutil.which("versitygw")
        assert binary, "versitygw is not installed"
        command = [binary, "--access", "the-access", "--secret", "the-secret-key",
                   "--port", f"127.0.0.1:{self.port}", "posix", str(folder)]
        self.log = open(folder.parent / "s3.log", "ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

        def listening():
            assert self.process.poll() is None, "versitygw ended"
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True

        eventually("versitygw listens", listening, 20)

    def events(self):
        found = []
        for path in sorted((self.folder / "trail").rglob("*.jsonl")):
            found.extend(json.loads(line) for line in path.read_text().splitlines())
        return found


def config(folder, hook, splunk, rsyslog, s3):
    secrets = {"hook": SECRET, "splunk": "the-token", "access": "the-access", "secret": "the-secret-key"}
    for name, text in secrets.items():
        (folder / name).write_text(text + "\n")
    return f"""
[log]
level = "info,hyper=warn"
[[sinks]]
name = "files"
to = {{ file = {{ folder = "out", rotate_bytes = 20000 }} }}
[[sinks]]
name = "hook"
to = {{ webhook = {{ url = "{hook.url}", secret = {{ file = "hook" }} }} }}
[[sinks]]
name = "splunk"
format = "ocsf"
to = {{ splunk = {{ url = "{splunk.url}", token = {{ file = "splunk" }}, acknowledge = true }} }}
[[sinks]]
name = "syslog"
to = {{ syslog = {{ host = "localhost", port = {rsyslog.port}, ca = "{rsyslog.folder}/authority.pem" }} }}
[[sinks]]
name = "bucket"
format = "cloudevents"
[sinks.to.s3]
endpoint = "http://127.0.0.1:{s3.port}"
bucket = "trail"
region = "us-east-1"
path_style = true
prefix = "countersign/"
every_seconds = 2
access_key = {{ file = "access" }}
secret_key = {{ file = "secret" }}
"""
