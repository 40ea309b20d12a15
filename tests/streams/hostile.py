"""Receivers that are not what they should be: a wrong certificate, errors, half answers, a redirect. Nothing is skipped, nothing
goes where it was not to go, and the status says why.
"""

import http.server
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, Tally, call, free_port  # noqa: E402
from receivers import SECRET, Quiet, certificates, eventually  # noqa: E402


class Impostor:
    """A TLS server at the receiver's address, with a certificate that an authority of its own gave it."""

    def __init__(self, folder):
        folder.mkdir()
        certificates(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "localhost.pem", folder / "localhost.key")
        self.port, self.tries, self.heard = free_port(), 0, b""
        listener = socket.create_server(("127.0.0.1", self.port))

        def serve():
            while True:
                connection, _ = listener.accept()
                self.tries += 1
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        self.heard += secured.recv(65_536)
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()


class Bucket:
    """S3's `PUT` with every failure that it has: an error, no access, a connection that ends half way, a slow-down."""

    def __init__(self):
        self.objects, self.turn, self.failed = {}, 0, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.turn += 1
                status = {1: 500, 2: 403, 3: None, 4: 503, 6: None}.get(outer.turn, 200)
                if status != 200:
                    outer.failed.append(status)
                if outer.turn == 6 or status == 200:  # the sixth was stored, and its answer lost
                    outer.objects[urllib.parse.urlsplit(self.path).path] = body
                if status is None:
                    self.close_connection = True
                    return
                text = b"<Error><Code>x</Code></Error>" if status != 200 else b""
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def events(self):
        return [json.loads(line) for body in self.objects.values() for line in body.decode().split("\n") if line]


class Elsewhere:
    """A webhook's address that sends its callers on, and the place where it sends them."""

    def __init__(self):
        self.asked, self.reached = 0, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/hook":
                    outer.asked += 1
                    self.send_response([301, 302, 307, 308][outer.asked % 4])
                    self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/inside")
                else:
                    outer.reached += 1
                    self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


def refused_at_start(to):
    house = House(f'[[sinks]]\nname = "x"\n[sinks.to.webhook]\n{to}\nsecret = {{ env = "HOOK_SECRET" }}\n', env={"HOOK_SECRET": SECRET})
    try:
        house.start()
    except AssertionError as error:
        return str(error)
    house.stop()
    raise AssertionError(f"it started with {to}")


def main():
    tally = Tally()
    house = House(env={"HOOK_SECRET": SECRET, "ACCESS": "the-access", "PRIVATE": "the-private"})
    (house.folder / "trusted").mkdir()
    certificates(house.folder / "trusted")
    impostor, bucket, elsewhere = Impostor(house.folder / "impostor"), Bucket(), Elsewhere()
    path = house.folder / "countersign.toml"
    path.write_text(path.read_text() + f"""
[[sinks]]
name = "syslog"
to = {{ syslog = {{ host = "localhost", port = {impostor.port}, ca = "{house.folder}/trusted/authority.pem" }} }}
[[sinks]]
name = "hook"
to = {{ webhook = {{ url = "{elsewhere.url}", secret = {{ env = "HOOK_SECRET" }} }} }}
[[sinks]]
name = "bucket"
[sinks.to.s3]
endpoint = "{bucket.url}"
bucket = "trail"
region = "us-east-1"
path_style = true
every_seconds = 1
access_key = {{ env = "ACCESS" }}
secret_key = {{ env = "PRIVATE" }}
""")

    def sink(name):
        sinks = house.admin.call("GET", "/v1/sinks").expect(200).json()["sinks"]
        return next(sink for sink in sinks if sink["name"] == name)

    def wrong_certificate():
        found = eventually("it says why", lambda: sink("syslog")["failures"] > 1 and sink("syslog"))
        assert found["state"] == "waiting" and "certificate" in found["last_error"].lower(), found
        assert impostor.tries > 1 and impostor.heard == b"", "not a byte of the trail went to an impostor"
        assert found["next"] == "0" and found["sent"] == 0, found

    def redirected():
        found = eventually("it says why", lambda: sink("hook")["failures"] > 3 and sink("hook"))
        assert found["last_error"].startswith("the receiver answered 30"), found
        assert elsewhere.reached == 0, "a redirect is not followed"
        assert "127.0.0.1" not in found["last_error"], "an address can be a secret"

    def errors():
        house.admin.call("PUT", f"/v1/groups/more/members/{house.admin.id}", {}).expect(200, 202)
        eventually("every failure was met", lambda: len(bucket.failed) >= 5, 120)
        house.admin.call("PUT", f"/v1/groups/last/members/{house.admin.id}", {}).expect(200, 202)

        def whole():
            export = house.admin.call("GET", "/v1/trail?format=jsonl").expect(200).body.decode()
            wanted = {json.loads(line)["id"] for line in export.split("\n") if line}
            return wanted <= {event["id"] for event in bucket.events()}

        eventually("the bucket has everything", whole, 120)
        found = bucket.events()
        assert len(found) == len({event["id"] for event in found}), "one object is one, however often it was put"
        metrics = call("GET", f"{house.url}/metrics").body.decode()
        assert 'countersign_sink_failures_total{sink="bucket"}' in metrics

    def nothing_secret_is_said():
        said = (house.folder / "stderr.log").read_text() + json.dumps(house.admin.call("GET", "/v1/sinks").json())
        for secret in ["the-private", SECRET, "X-Amz-Signature"]:
            assert secret not in said, secret

    def addresses():
        for url, why in [
            ("http://169.254.169.254/latest/meta-data", "https"), ("http://metadata.google.internal/", "https"),
            ("https://user:pass@siem.example/", "credential"), ("ftp://siem.example/", "https"), ("http://[::ffff:169.254.169.254]/", "https"),
        ]:
            error = refused_at_start(f'url = "{url}"')
            assert why in error, (url, error[-300:])

    try:
        house.start()
        house.bootstrap()
        tally.check("syslog over TLS to a wrong certificate: nothing is sent", wrong_certificate)
        tally.check("a webhook that is sent elsewhere goes nowhere", redirected)
        tally.check("S3 with errors, half answers and lost ones: all of it, once", errors)
        tally.check("no secret in a status or in the log", nothing_secret_is_said)
        tally.check("addresses without TLS, and with credentials in them, are refused at start", addresses)
        time.sleep(0.1)
    finally:
        house.stop()
    tally.close()


if __name__ == "__main__":
    main()
