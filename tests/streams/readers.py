"""The trail as others read it: exports, the live tail, and the command line."""

import csv
import datetime
import hashlib
import http.client
import io
import json
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import jsonschema
import ocsf_json_schema
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from py_ocsf_models.events.base_event import BaseEvent
from py_ocsf_models.objects.api import API
from py_ocsf_models.objects.metadata import Metadata
from py_ocsf_models.objects.resource_details import ResourceDetails
from py_ocsf_models.objects.user import User

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import b64, call, unb64  # noqa: E402
from receivers import same  # noqa: E402


class Trail:
    """Everything that the trail holds, by the export."""

    def __init__(self, house):
        self.house = house

    def export(self, form, **query):
        path = f"/v1/trail?format={form}" + "".join(f"&{k}={urllib.parse.quote(str(v))}" for k, v in query.items())
        return self.house.admin.call("GET", path).expect(200).body.decode()

    def events(self, **query):
        return [json.loads(line) for line in self.export("jsonl", **query).split("\n") if line]

    def ids(self):
        return [event["id"] for event in self.events()]


def lines_of(house):
    """The segments' lines as they stand on the disk, sealed or not."""
    found = []
    for path in sorted((house.folder / "countersign-data" / "activity").iterdir()):
        # It may get its last name between two looks.
        path = path if path.exists() else path.with_suffix(".jsonl")
        found += [json.loads(line) for line in path.read_bytes().split(b"\n") if line.endswith(b"}")]
    return found


class Session:
    """A command line's session, for calls that browsers' cookies may not make."""

    def __init__(self, house):
        self.token = house.admin.cookie.split("=", 1)[1]

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"}


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
