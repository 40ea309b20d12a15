"""What each receiver has, against what the trail says."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import call  # noqa: E402
from receivers import eventually, same  # noqa: E402


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
