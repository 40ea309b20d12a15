"""RabbitMQ's management API behind the HTTP point, curl as the client.

Its default virtual host is `/`, written `%2F` in paths: the route declares encoded slashes opaque. Reads pass, the
deletion of a queue is held, runs once when approved, and not at all when denied.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, ROOT, Tally, call, free_port  # noqa: E402

ROUTE = {
    "environment": "prod",
    "opaque_slashes": True,
    "run_when_gone": True,
    "wait": "50s",
    "credential": {"secret": "broker", "basic_user": "guest"},
    "operations": [
        {"method": "GET", "path": "/api/queues/{vhost}/{name}", "resource": "queues/{vhost}/{name}"},
        {"method": "GET", "path": "/api/queues", "resource": "queues"},
        {"method": "PUT", "path": "/api/queues/{vhost}/{name}", "verb": "http.write", "resource": "queues/{vhost}/{name}"},
        {"method": "DELETE", "path": "/api/queues/{vhost}/{name}", "resource": "queues/{vhost}/{name}"},
        {"method": "DELETE", "path": "/api/queues/{vhost}/{name}/contents", "resource": "queues/{vhost}/{name}/contents"},
    ],
}


class Broker:
    """A RabbitMQ of our own, in a folder of its own, on free ports."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-rabbitmq-"))
        self.port, self.amqp, self.dist = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        node = f"countersign{self.port}@localhost"
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.amqp}\nmanagement.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self.port}\n"
        )
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        self.env = {
            **os.environ, "HOME": str(self.folder), "RABBITMQ_NODENAME": node,
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"), "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_DIST_PORT": str(self.dist), "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(free_port()),
        }
        self.process = None

    def __enter__(self):
        server = next(path for path in ("/usr/lib/rabbitmq/bin/rabbitmq-server", shutil.which("rabbitmq-server"))
                      if path and os.path.exists(path))
        log = open(self.folder / "server.log", "wb")
        self.process = subprocess.Popen([server], env=self.env, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                if self.direct("GET", "/api/overview").status == 200:
                    return self
            except OSError:
                pass
            assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            time.sleep(0.3)
        raise AssertionError("RabbitMQ was not ready in time")

    def __exit__(self, *_):
        os.killpg(self.process.pid, 15)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)

    def direct(self, method, path, body=None):
        login = base64.b64encode(b"guest:guest").decode()
        return call(method, self.url + path, body, {"Authorization": f"Basic {login}"}, timeout=20)

    def has_queue(self, name):
        return self.direct("GET", f"/api/queues/%2F/{name}").status == 200


def curl(house, agent, method, path, *more):
    """An unmodified client."""
    command = ["curl", "-sS", "-m", "80", "-o", "-", "-w", "\n%{http_code}", "-X", method, "--path-as-is",
               "-H", f"Authorization: Bearer {agent.token()}", *more, house.http_url + path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def in_background(work):
    box = {}
    thread = threading.Thread(target=lambda: box.update(result=work()))
    thread.start()
    return thread, box


def main():
    tally = Tally()
    config = '[secrets]\nbroker = { env = "BROKER_PASSWORD" }\n'
    with Broker() as broker, House(config, env={"BROKER_PASSWORD": "guest"}) as house:
        admin = house.bootstrap()
        reviewer = house.add_person("Rita Reviewer", groups=("reviewers",))
        agent = house.add_agent(sponsor=admin)
        house.apply_policy((ROOT / "policies" / "http.cedar").read_text())
        house.set_route("broker", {"name": "broker", "upstream": broker.url, **ROUTE})
        for name in ("orders", "keep", "audit"):
            broker.direct("PUT", f"/api/queues/%2F/{name}", b'{"durable":true}').expect(201, 204)

        def reads_pass():
            status, body = curl(house, agent, "GET", "/api/queues/%2F/orders")
            assert (status, json.loads(body)["name"]) == (200, "orders"), (status, body)
            status, body = curl(house, agent, "GET", "/api/queues")
            assert status == 200 and len(json.loads(body)) == 3, (status, body)

        def without_credential():
            assert call("GET", house.http_url + "/api/queues", headers={"Host": "x"}).status == 401

        def the_agents_own_credential_is_not_sent():
            status, _ = curl(house, agent, "GET", "/api/whoami")
            assert status == 200, status

        def deletion_is_held_and_runs_once():
            thread, box = in_background(lambda: curl(house, agent, "DELETE", "/api/queues/%2F/orders"))
            held = reviewer.wait_for_pending()
            assert broker.has_queue("orders"), "it ran before anybody approved"
            card = reviewer.approval(held)["card"]
            assert "queues/%2F/orders" in json.dumps(card["resource"]), card["resource"]
            reviewer.approve(held).expect(200)
            thread.join(60)
            assert box["result"][0] == 204, box
            assert not broker.has_queue("orders")
            view = reviewer.approval(held)
            assert view["state"] == "finished" and view["outcome"]["ending"] == "succeeded", view
            # It existed once and was deleted once: had it run twice, the second answer were 404.
            broker.direct("PUT", "/api/queues/%2F/orders", b'{"durable":true}').expect(201, 204)
            time.sleep(0.5)
            assert broker.has_queue("orders"), "it ran again"

        def denied_does_not_run():
            thread, box = in_background(lambda: curl(house, agent, "DELETE", "/api/queues/%2F/keep"))
            held = reviewer.wait_for_pending()
            reviewer.deny(held, "this queue is in use").expect(200)
            thread.join(60)
            status, body = box["result"]
            assert status == 403 and "in use" in json.loads(body)["detail"], box
            assert broker.has_queue("keep")

        def the_sponsor_cannot_review():
            thread, box = in_background(lambda: curl(house, agent, "DELETE", "/api/queues/%2F/audit"))
            held = reviewer.wait_for_pending()
            answer = admin.approve(held)
            assert answer.status in (403, 409), answer.status
            reviewer.deny(held).expect(200)
            thread.join(60)
            assert broker.has_queue("audit")

        def a_second_spelling_is_refused():
            for path in ("/api/queues/%2f/../%2F/keep", "/api//queues/%2F/keep", "/api/queues/%252F/keep;x=1",
                         "/api/queues/%2F/keep/", "/API/queues/%2F/keep", "/api/queues/%2F/%6beep/../keep"):
                status, body = curl(house, agent, "DELETE", path)
                assert status in (400, 403, 404), (path, status, body)
                assert broker.has_queue("keep"), path

        def receipt_verifies_offline():
            done = reviewer.inbox("finished")[0]["id"]
            receipt = reviewer.call("GET", f"/v1/approvals/{done}/receipt").expect(200).body
            path = house.folder / "receipt.json"
            path.write_bytes(receipt)
            checked = house.run("audit", "verify", str(path), "--log-key", house.log_key())
            assert checked.returncode == 0, checked.stdout + checked.stderr

        for name, work in list(locals().items()):
            if callable(work) and getattr(work, "__module__", None) == __name__ and name not in ("main",):
                tally.check(name.replace("_", " "), work)
    tally.close()


if __name__ == "__main__":
    main()
