"""What others report, by their own SDKs."""

import datetime
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from google.rpc.status_pb2 import Status

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import call  # noqa: E402
from readers import Session, lines_of  # noqa: E402


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
