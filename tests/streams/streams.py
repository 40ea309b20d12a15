"""The trail on its way out and in: exports, sinks and reports, each against something that we did not write.

Receivers: `standardwebhooks` behind a real server, rsyslog over TLS, versitygw as S3, a collector of Splunk's protocol,
files. Readers: OCSF's own schema, `py-ocsf-models`, the CloudEvents SDK, Python's csv. Senders: OpenTelemetry's SDK and
exporter as they come, the CloudEvents SDK. In the middle of it the gateway is killed, more than once.
"""

import base64
import csv
import datetime
import gzip
import hashlib
import http.client
import http.server
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import jsonschema
import ocsf_json_schema
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.rpc.status_pb2 import Status
from py_ocsf_models.events.base_event import BaseEvent
from py_ocsf_models.objects.api import API
from py_ocsf_models.objects.metadata import Metadata
from py_ocsf_models.objects.resource_details import ResourceDetails
from py_ocsf_models.objects.user import User
from standardwebhooks import Webhook

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, Tally, b64, call, free_port, unb64  # noqa: E402

POLICY = """
@id("reads") @why("reading is free") permit (principal, action in Action::"read", resource);
@id("writes") @why("writing is free") permit (principal, action in Action::"write", resource);
@id("deletes") @hold("reviewers:1") @ttl("30m") @grant("10m") @why("it cannot be brought back")
forbid (principal, action in Action::"destroy", resource);
@id("removals") @why("where people agree") permit (principal, action in Action::"destroy", resource);
@id("no-exports") @why("nothing leaves in bulk") forbid (principal, action in Action::"export", resource);
"""
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
        self.lock, self.dice = threading.Lock(), random.Random(7)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
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


class Trail:
    """Everything that the trail holds, by the export."""

    def __init__(self, house):
        self.house = house

    def export(self, form, **query):
        path = f"/v1/trail?format={form}" + "".join(f"&{k}={urllib.parse.quote(str(v))}" for k, v in query.items())
        return self.house.admin.call("GET", path).expect(200).body.decode()

    def events(self, **query):
        return [json.loads(line) for line in self.export("jsonl", **query).splitlines()]

    def ids(self):
        return [event["id"] for event in self.events()]


def lines_of(house):
    """The segments' lines as they stand on the disk, sealed or not."""
    found = []
    for path in sorted((house.folder / "countersign-data" / "activity").iterdir()):
        found += [json.loads(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")]
    return found


class Session:
    """A command line's session, for calls that browsers' cookies may not make."""

    def __init__(self, house):
        self.token = house.admin.cookie.split("=", 1)[1]

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"}


def reports(house, agent, tally):
    """What others say, by their own SDKs."""
    url = f"{house.url}/v1/activity"
    bearer = {"Authorization": f"Bearer {agent.token()}"}

    def cloud(number):
        attributes = {"id": f"ce-{number}", "source": "/pipelines/nightly", "type": "com.example.dataset.read",
                      "specversion": "1.0", "subject": "customers", "datacontenttype": "application/json",
                      "time": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)}
        return CloudEvent(attributes, {"rows": number, "share": 0.5})

    def send(message):
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        return call("POST", url, body, {**bearer, **message.headers})

    def structured_and_binary():
        ids = send(to_structured_event(cloud(1))).expect(200).json()["ids"]
        ids += send(to_binary_event(cloud(2))).expect(200).json()["ids"]
        found = {line["id"]: line for line in lines_of(house)}
        for number, id in enumerate(ids, 1):
            event = found[id]["event"]
            assert event["event"] == f"ce-{number}" and event["kind"] == "com.example.dataset.read", event
            assert json.loads(event["data"]["text"]) == {"rows": number, "share": 0.5}, event
            assert found[id]["caller"] == f"agent:{agent.id}" and found[id]["effect"] == "reported"

    def batch():
        events = [json.loads(to_structured_event(cloud(n)).body) for n in range(3, 503)]
        headers = {**bearer, "Content-Type": "application/cloudevents-batch+json"}
        ids = call("POST", url, json.dumps(events).encode(), headers).expect(200).json()["ids"]
        assert len(ids) == 500
        assert set(ids) <= {line["id"] for line in lines_of(house)}, "durable before it is answered"
        events[7]["specversion"] = "0.3"
        before = len(lines_of(house))
        refused = call("POST", url, json.dumps(events).encode(), headers).expect(400)
        assert refused.headers["content-type"] == "application/problem+json" and "event 7" in refused.json()["detail"]
        assert len(lines_of(house)) == before, "all or none"

    def bad_events():
        for body, kind in [
            (b"{}", "application/cloudevents+json"), (b"[", "application/cloudevents+json"),
            (b'{"specversion":"1.0","specversion":"1.0","id":"1","source":"a","type":"b"}', "application/cloudevents+json"),
            (b'{"specversion":"1.0","id":"1","source":"a","type":"b","Big":1}', "application/cloudevents+json"),
            (b'{"specversion":"1.0","id":"1","source":"a","type":"b","data":1,"data_base64":"AA=="}', "application/cloudevents+json"),
        ]:
            refused = call("POST", url, body, {**bearer, "Content-Type": kind}).expect(400)
            assert refused.headers["content-type"] == "application/problem+json", refused.headers
        call("POST", url, b"x", {**bearer, "Content-Type": "text/plain"}).expect(415)
        call("POST", url, b"x" * (5 << 20), {**bearer, "Content-Type": "application/cloudevents+json"}).expect(413)
        large = {"specversion": "1.0", "id": "1", "source": "a", "type": "b", "data": "x" * 70_000}
        headers = {**bearer, "Content-Type": "application/cloudevents+json"}
        call("POST", url, json.dumps(large).encode(), headers).expect(413)
        call("POST", url, b"{}", {"Content-Type": "application/cloudevents+json"}).expect(401)

    def otel():
        script = Path(__file__).with_name("otel_sender.py")
        env = {**os.environ, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{house.url}/v1/logs",
               "OTEL_EXPORTER_OTLP_LOGS_HEADERS": f"Authorization=Bearer%20{agent.token()}"}
        for compression in ["none", "gzip"]:
            env["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION"] = compression
            done = subprocess.run([sys.executable, str(script), compression], env=env, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr[-800:]
            assert "Failed" not in done.stderr, done.stderr[-800:]
        found = [line["event"] for line in lines_of(house) if line["effect"] == "reported" and line["event"]["form"] == "otlp"]
        for compression in ["none", "gzip"]:
            sent = [event for event in found if event["attributes"].get("test.run") == compression]
            assert len(sent) == 300, len(sent)
            one = next(event for event in sent if event["attributes"]["test.number"] == 7)
            assert one["attributes"]["gen_ai.request.model"] == "large-1" and one["subject"] == "large-1", one
            assert one["attributes"]["gen_ai.usage.input_tokens"] == 12
            assert one["attributes"]["resource.service.name"] == "bot"
            assert one["kind"] == "gen_ai.client.inference.operation.details", one

    def otlp_json():
        record = {"timeUnixNano": "1700000000000000001", "severityText": "INFO", "traceId": "5b8efff798038103d269b633813fc60c",
                  "body": {"stringValue": "hello"}, "attributes": [
                      {"key": "gen_ai.system", "value": {"stringValue": "openai"}},
                      {"key": "share", "value": {"doubleValue": 0.25}}, {"key": "n", "value": {"intValue": "5"}}]}
        long = {**record, "attributes": [{"key": "k", "value": {"stringValue": "x" * 9000}}]}
        body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, long, record]}], "later": 1}]}
        headers = {**bearer, "Content-Type": "application/json"}
        for path in ["/v1/logs", "/v1/activity"]:
            answer = call("POST", house.url + path, json.dumps(body).encode(), headers).expect(200)
            partial = answer.json()["partialSuccess"]
            assert partial["rejectedLogRecords"] == "1" and partial["errorMessage"], partial
        refused = call("POST", f"{house.url}/v1/logs", b"[]", headers).expect(400)
        assert refused.headers["content-type"] == "application/json" and refused.json()["code"] == 3, refused.body
        call("POST", f"{house.url}/v1/logs", b"{}", {"Content-Type": "application/json"}).expect(401)
        headers["Content-Type"] = "application/x-protobuf"
        refused = call("POST", f"{house.url}/v1/logs", b"\xff\xff", headers).expect(400)
        status = Status.FromString(refused.body)
        assert refused.headers["content-type"] == "application/x-protobuf" and status.code == 3 and status.message
        bomb = gzip.compress(bytes(64 << 20))
        call("POST", f"{house.url}/v1/logs", bomb, {**headers, "Content-Encoding": "gzip"}).expect(413)

    def by_a_person():
        headers = {**Session(house).headers, "Content-Type": "application/cloudevents+json"}
        event = {"specversion": "1.0", "id": "p", "source": "/desk", "type": "com.example.noted"}
        id = call("POST", url, json.dumps(event).encode(), headers).expect(200).json()["ids"][0]
        line = next(line for line in lines_of(house) if line["id"] == id)
        assert line["caller"] == f"person:{house.admin.id}", line

    tally.check("CloudEvents by their SDK, structured and binary", structured_and_binary)
    tally.check("a batch is taken whole or not at all, and is durable", batch)
    tally.check("bad CloudEvents are refused as problems", bad_events)
    tally.check("an unmodified OpenTelemetry exporter, plain and gzip", otel)
    tally.check("OTLP as JSON, partial success, and its own Status", otlp_json)
    tally.check("a person reports by a session", by_a_person)


def exports(house, trail, tally):
    """The formats, read by others."""
    events = trail.events()

    def places():
        indexes = [event["log"]["index"] for event in events if event["log"]["line"] is None]
        assert indexes == list(range(len(indexes))), "every entry, once, in order"
        assert all(event["log"]["leaf"] and event["log"]["size"] > event["log"]["index"] for event in events)
        for event in [event for event in events if event["log"]["line"] is None][-40:]:
            entry = house.admin.call("GET", f"/v1/log/entries/{event['log']['index']}").expect(200).json()
            assert b64(hashlib.sha256(b"\0" + unb64(entry["leaf"])).digest()) == event["log"]["leaf"]
        kinds = {event["kind"] for event in events}
        for kind in ["request", "review", "execution", "outcome", "directory", "activity", "activity.permit",
                     "activity.outcome", "activity.deny", "activity.reported"]:
            assert kind in kinds, (kind, kinds)
        for event in events:
            reported = event["kind"] == "activity.reported"
            assert (event["witnessed"] == "reported") == reported, event

    def ranges():
        middle = [event for event in events if 5 <= event["log"]["index"] < 9]
        assert [e["id"] for e in trail.events(**{"from": 5, "to": 9})] == [e["id"] for e in middle]
        entry = next(e for e in events if e["log"]["index"] == 6 and e["log"]["line"] is None)
        moment = datetime.datetime.fromtimestamp(entry["time"] / 1e6, datetime.timezone.utc).isoformat(timespec="microseconds")
        later = trail.events(**{"from": moment.replace("+00:00", "Z")})
        assert later[0]["time"] >= entry["time"] and later[0]["log"]["index"] <= 6, later[0]
        house.admin.call("GET", "/v1/trail?format=xml").expect(400)
        house.admin.call("GET", "/v1/trail?from=yesterday").expect(400)

    def ocsf():
        schema = ocsf_json_schema.OcsfJsonSchemaEmbedded(ocsf_json_schema.get_ocsf_schema("1.8.0"))
        names = {0: "base_event", 3004: "entity_management", 6003: "api_activity"}
        checks = {uid: jsonschema.Draft202012Validator(schema.get_class_schema(name)) for uid, name in names.items()}
        found = [json.loads(line) for line in trail.export("ocsf").splitlines()]
        assert len(found) >= len(events)
        seen = set()
        for event in found:
            uid = event["class_uid"]
            seen.add(uid)
            errors = [f"{e.json_path}: {e.message[:200]}" for e in checks[uid].iter_errors(event)]
            assert not errors, (uid, event["metadata"]["event_code"], errors[:4])
            model = BaseEvent.model_validate(event)
            assert model.metadata.version == "1.8.0" and model.severity_id.value == event["severity_id"]
            Metadata.model_validate(event["metadata"])
            if "api" in event:
                assert API.model_validate(event["api"]).operation
                for resource in event.get("resources", []):
                    assert ResourceDetails.model_validate(resource).name
            if "user" in event.get("actor", {}):
                assert User.model_validate(event["actor"]["user"]).type_id == 1
            integrity = event["unmapped"]["record_integrity"]
            assert integrity["leaf_hash"] and integrity["checkpoint_size"] > integrity["log_index"] >= 0
        assert seen == set(names), seen
        with_agent = [e for e in found if "ai_agent" in e["unmapped"]]
        assert with_agent and all(e["unmapped"]["ai_agent"]["sponsor"] for e in with_agent)

    def cloudevents():
        for line, event in zip(trail.export("cloudevents").splitlines(), events):
            message = HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=line.encode())
            read = from_http_event(message)
            assert read.get_id() == event["id"] and read.get_type() == f"dev.countersign.{event['kind']}.v1"
            assert read.get_extension("logindex") == str(event["log"]["index"])
            assert read.get_extension("leafhash") == event["log"]["leaf"]
            assert same(read.get_data(), event)

    def comma_separated():
        text = trail.export("csv")
        assert text.endswith("\r\n")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [row["id"] for row in rows][:len(events)] == [event["id"] for event in events]
        assert all(None not in row and len(row) == len(rows[0]) for row in rows)
        cells = [cell for row in rows for cell in row.values()]
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
        evil = [row for row in rows if row["reason_untrusted"].startswith("'=HYPERLINK")]
        assert evil, "the agent's formula is there, as text"

    def admins_only():
        agent = house.agents[0]
        other = house.others[0]
        for path in ["/v1/trail", "/v1/trail/events", "/v1/sinks"]:
            agent.ask("GET", path).expect(403)
            other.call("GET", path).expect(403)
            call("GET", house.url + path).expect(401)

    tally.check("each event has its place; reported is never observed", places)
    tally.check("ranges by index and by time", ranges)
    tally.check("OCSF by its own 1.8 schema and by py-ocsf-models", ocsf)
    tally.check("CloudEvents by their SDK", cloudevents)
    tally.check("CSV by Python's csv, without formulas", comma_separated)
    tally.check("administrators only", admins_only)


def tail(house, trail, tally):
    def read(path, count, last=None):
        headers = {**Session(house).headers, **({"Last-Event-ID": last} if last else {})}
        parts = urllib.parse.urlsplit(house.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
        found, event = [], {}
        while len(found) < count:
            line = answer.readline().decode().rstrip("\n")
            if line == "" and "data" in event:
                found.append((event["id"], json.loads(event["data"])))
                event = {}
            elif ": " in line or line.endswith(":"):
                name, value = line.split(":", 1)
                event[name] = value.strip()
        connection.close()
        return found

    def resumes():
        ids = trail.ids()
        whole = read("/v1/trail/events?from=0", 30)
        assert [event["id"] for _, event in whole] == ids[:30]
        for cut in [0, 3, 17]:
            rest = read("/v1/trail/events?from=0", 29 - cut, last=whole[cut][0])
            assert [event["id"] for _, event in rest] == ids[cut + 1:30], cut

    def live():
        found = []
        thread = threading.Thread(target=lambda: found.extend(read("/v1/trail/events", 1)))
        thread.start()
        time.sleep(1)
        house.admin.call("PUT", f"/v1/groups/tail/members/{house.admin.id}", {}).expect(200, 202)
        thread.join(20)
        assert found and found[0][1]["kind"] in ("request", "directory"), found

    tally.check("a tail goes on behind the last event that was read", resumes)
    tally.check("a tail tells what happens now", live)


def delivered(house, trail, receivers, tally):
    hook, splunk, rsyslog, s3 = receivers

    def whole(name, ids):
        def check():
            wanted = trail.ids()
            have = eventually(f"{name} has everything", lambda: set(wanted) <= set(ids()) and ids(), 300)
            first = list(dict.fromkeys(have))
            positions = {id: n for n, id in enumerate(wanted)}
            order = [positions[id] for id in first if id in positions]
            assert order == sorted(order), f"{name}: first deliveries are in the log's order"
            print(f"        {name}: {len(first)} events, {len(have) - len(first)} came twice", flush=True)
        return check

    def files():
        found = []
        for path in sorted((house.folder / "out").glob("*.jsonl")):
            text = path.read_text()
            assert text.endswith("\n") or path == max((house.folder / "out").glob("*.jsonl"))
            found += [json.loads(line)["id"] for line in text.splitlines() if line.endswith("}")]
        return found

    def syslog_ids():
        found = []
        for message in rsyslog.messages():
            assert message["app"] == "countersign" and message["data"].startswith("[countersign@32473 id="), message
            found.append(message["data"].split('id="')[1].split('"')[0])
        return found

    tally.check("files have everything, in order", whole("files", files))
    tally.check("webhooks, verified by standardwebhooks, with failures and duplicates", whole("webhook", lambda: list(hook.ids)))
    tally.check("a Splunk collector, acknowledged", whole("splunk", lambda: [e["event"]["metadata"]["uid"] for e in splunk.events]))
    tally.check("rsyslog over TLS", whole("syslog", syslog_ids))
    tally.check("S3", whole("s3", lambda: [event["id"] for event in s3.events()]))

    def honest():
        assert not hook.bad, hook.bad[:3]
        assert hook.refused > 5, "the receiver failed often enough"
        by_id = {event["id"]: event for event in trail.events()}
        with hook.lock:
            taken = list(hook.taken.values())
        for event in taken:
            if event["id"] not in by_id:
                continue  # newer than the export
            assert same(event, by_id[event["id"]])
        for message in rsyslog.messages():
            if message["data"].split('id="')[1].split('"')[0] not in by_id:
                continue
            text = message["msg"].lstrip("\ufeff ")
            event = json.loads(text)
            assert event["log"]["leaf"] == by_id[event["id"]]["log"]["leaf"]
            assert int(message["pri"]) // 8 == 13

    tally.check("what arrived is what the trail says", honest)

    def status():
        sinks = {sink["name"]: sink for sink in house.admin.call("GET", "/v1/sinks").expect(200).json()["sinks"]}
        assert set(sinks) == {"files", "hook", "splunk", "syslog", "bucket"}
        assert all(sink["last_index"] is not None for sink in sinks.values()), sinks
        metrics = call("GET", f"{house.url}/metrics").body.decode()
        for name in sinks:
            assert f'countersign_sink_events_total{{sink="{name}"}}' in metrics, name
        assert "countersign_sink_lag_entries" in metrics

    tally.check("status and metrics name every sink", status)


def command_line(house, trail):
    folder = house.folder / "cfg" / "countersign"
    folder.mkdir(parents=True, mode=0o700)
    session = folder / f"localhost:{house.port}.session"
    session.touch(0o600)
    session.write_text(json.dumps({"url": house.url, "token": Session(house).token}))
    house.env["XDG_CONFIG_HOME"] = str(house.folder / "cfg")
    at = ["--url", house.url]
    out = house.folder / "export.csv"
    done = house.run("audit", "export", "--format", "csv", "--from", "3", "--to", "20", "-o", str(out), *at)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().decode().splitlines()[0] == trail.export("csv", to=1).splitlines()[0]
    rows = list(csv.DictReader(io.StringIO(out.read_bytes().decode(), newline="")))
    assert [row["id"] for row in rows] == [event["id"] for event in trail.events(**{"from": 3, "to": 20})]
    done = house.run("audit", "tail", "--from", "0", "--json", *at)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert len(told) > 500 and told == trail.ids()[:len(told)]
    process = subprocess.Popen([house.binary, "audit", "tail", "--follow", "--json", *at], stdout=subprocess.PIPE, text=True, env=house.env)
    time.sleep(1)
    house.admin.call("PUT", f"/v1/groups/follow/members/{house.admin.id}", {}).expect(200, 202)
    assert json.loads(process.stdout.readline())["kind"] in ("request", "directory")
    process.terminate()
    process.wait(10)
    done = house.run("audit", "sinks", *at)
    assert done.returncode == 0 and "bucket" in done.stdout and "sending" in done.stdout, done
    refused = house.run("audit", "export", "--from", "yesterday", *at)
    assert refused.returncode == 1 and "yesterday" in refused.stderr, refused
    session.unlink()
    refused = house.run("audit", "sinks", *at)
    assert refused.returncode == 1 and "login" in refused.stderr, refused


def work(agent, begin, count):
    """Permitted calls; their numbers come back once they were answered."""
    done = []
    for number in range(begin, begin + count):
        answer = agent.call("GET", f"/broker/queues/{number}")
        if answer.status == 200:
            done.append(number)
    return done


def main():
    tally = Tally()
    upstream, hook, splunk = Upstream(), WebhookReceiver(), Collector()
    house = House()
    rsyslog, s3 = Rsyslog(house.folder / "rsyslog"), S3(house.folder / "s3")
    rsyslog.start()
    path = house.folder / "countersign.toml"
    path.write_text(path.read_text() + config(house.folder, hook, splunk, rsyslog, s3))
    receivers = (hook, splunk, rsyslog, s3)
    try:
        house.start()
        house.bootstrap()
        house.others = [house.add_person("Rita Reviewer")]
        agent = house.add_agent()
        house.agents = [agent]
        house.set_route("broker", {
            "name": "broker", "upstream": upstream.url, "prefix": "/broker", "environment": "staging", "run_when_gone": True,
            "operations": [{"method": method, "path": "/queues/{name}", "resource": "queues/{name}"} for method in ("GET", "DELETE")],
        })
        house.apply_policy(POLICY)
        trail = Trail(house)

        def held():
            body = {"verb": "action.destroy", "resource": "queues/orders", "environment": "staging", "target": "broker",
                    "parameters": {}, "reason": '=HYPERLINK("http://evil.example","click")'}
            asked = agent.ask("POST", "/v1/actions", body, Prefer="respond-async").expect(200, 202).json()
            house.others[0].approve(asked["id"]).expect(200)
            answered = call("DELETE", f"{house.http_url}/broker/queues/old", None, {
                "Host": f"127.0.0.1:{house.http_port}", "Authorization": f"Bearer {agent.token()}", "Prefer": "respond-async"})
            assert answered.status in (200, 202), answered.body
            if answered.status == 202:
                pending = house.others[0].wait_for_pending()
                house.others[0].approve(pending).expect(200)
            denied = {**body, "verb": "action.export", "resource": "@bulk"}
            agent.ask("POST", "/v1/actions", denied, Prefer="respond-async").expect(200, 403)

        tally.check("a request, its review and its run", held)
        known = set()
        tally.check("permitted calls", lambda: known.update(work(agent, 0, 50)) or len(known) == 50 or 1 / 0)
        reports(house, agent, tally)

        answered = []

        def killed():
            for round in range(3):
                stop = threading.Event()

                def report():
                    number = 0
                    headers = {"Content-Type": "application/cloudevents-batch+json", "Authorization": f"Bearer {agent.token()}"}
                    while not stop.is_set():
                        events = [{"specversion": "1.0", "id": f"k{round}-{number}-{n}", "source": "/k", "type": "t"} for n in range(5)]
                        try:
                            answer = call("POST", f"{house.url}/v1/activity", json.dumps(events).encode(), headers, timeout=10)
                            if answer.status == 200:
                                answered.extend(answer.json()["ids"])
                        except OSError:
                            pass
                        number += 1

                threads = [threading.Thread(target=report) for _ in range(3)]
                for thread in threads:
                    thread.start()
                time.sleep(0.7 + round * 0.4)
                house.kill()
                stop.set()
                for thread in threads:
                    thread.join()
                if round == 1:
                    rsyslog.stop()
                house.start()
                if round == 1:
                    time.sleep(2)
                    rsyslog.start()
            assert len(answered) > 100, len(answered)
            recorded = {event["approval"] for event in trail.events() if event["kind"] == "activity.reported"}
            lost = set(answered) - recorded
            assert not lost, f"{len(lost)} of {len(answered)} acknowledged reports are lost"
            print(f"        {len(answered)} acknowledged reports over three kills, none lost", flush=True)

        tally.check("killed three times in the middle, no acknowledged report is lost", killed)
        hook.failing = 0.01
        exports(house, trail, tally)
        tail(house, trail, tally)
        delivered(house, trail, receivers, tally)

        tally.check("the command line exports, follows and shows sinks", lambda: command_line(house, trail))
    finally:
        house.stop()
        for process in (rsyslog.process, s3.process):
            if process and process.poll() is None:
                process.terminate()
    tally.close()


if __name__ == "__main__":
    main()
