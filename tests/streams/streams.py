"""The trail on its way out and in: exports, sinks and reports, each against something that we did not write.

Receivers: `standardwebhooks` behind a real server, rsyslog over TLS, versitygw as S3, a collector of Splunk's protocol,
files. Readers: OCSF's own schema, `py-ocsf-models`, the CloudEvents SDK, Python's csv. Senders: OpenTelemetry's SDK and
exporter as they come, the CloudEvents SDK. In the middle of it the gateway is killed, more than once.
"""

import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from deliveries import delivered  # noqa: E402
from house import House, Tally, call  # noqa: E402
from readers import Trail, command_line, exports, tail  # noqa: E402
from receivers import S3, Collector, Rsyslog, Upstream, WebhookReceiver, config  # noqa: E402
from reports import reports  # noqa: E402

POLICY = """
@id("reads") @why("reading is free") permit (principal, action in Action::"read", resource);
@id("writes") @why("writing is free") permit (principal, action in Action::"write", resource);
@id("deletes") @hold("reviewers:1") @ttl("30m") @grant("10m") @why("it cannot be brought back")
forbid (principal, action in Action::"destroy", resource);
@id("removals") @why("where people agree") permit (principal, action in Action::"destroy", resource);
@id("no-exports") @why("nothing leaves in bulk") forbid (principal, action in Action::"export", resource);
"""


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
