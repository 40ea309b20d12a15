"""The HTTP rows of the list of known bypasses, on the wire with raw bytes.

The upstream keeps every byte that reaches it, so that each check can say what did, and what did not, go on.
"""

import json
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, ROOT, Tally  # noqa: E402

PATIENCE = 10


class Upstream:
    """A server that reads one request at a time, keeps its bytes, and answers as it is told."""

    def __init__(self, host="127.0.0.1"):
        self.heard, self.answer = [], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        upstream = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while True:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        line = self.rfile.readline()
                        if not line:
                            return
                        head += line
                    fields = {}
                    for line in head.split(b"\r\n")[1:]:
                        name, _, value = line.partition(b":")
                        fields[name.strip().lower()] = value.strip()
                    body = b""
                    if fields.get(b"transfer-encoding") == b"chunked":
                        while True:
                            line = self.rfile.readline()
                            body += line
                            size = int(line.strip() or b"0", 16)
                            body += self.rfile.read(size + 2)
                            if size == 0:
                                break
                    else:
                        body = self.rfile.read(int(fields.get(b"content-length", b"0")))
                    upstream.heard.append((head, fields, body))
                    self.wfile.write(upstream.answer)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address = True, True

        self.server = Server((host, 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self):
        heard, self.heard = self.heard, []
        return heard


def send(port, *parts):
    """Sends bytes as they are, and returns everything that comes back until it is silent or closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
        for part in parts:
            wire.sendall(part)
            time.sleep(0.05)
        wire.settimeout(1.0)
        back = b""
        try:
            while True:
                more = wire.recv(65536)
                if not more:
                    break
                back += more
        except (TimeoutError, ConnectionResetError):
            pass
        return back


def status(back):
    return int(back.split(b" ", 2)[1]) if back.startswith(b"HTTP/1.1 ") else 0


def main():
    tally = Tally()
    upstream, elsewhere = Upstream(), Upstream()
    with House() as house:
        admin = house.bootstrap()
        agent = house.add_agent(sponsor=admin)
        house.apply_policy((ROOT / "policies" / "http.cedar").read_text())
        house.set_route("target", {
            "name": "target", "upstream": f"http://127.0.0.1:{upstream.port}", "environment": "dev",
            "operations": [
                {"method": "GET", "path": "/orders/{id}", "resource": "orders/{id}"},
                {"method": "POST", "path": "/orders", "resource": "orders", "verb": "http.read"},
            ],
        })
        port, token = house.http_port, agent.token()
        host = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n".encode()

        def a_plain_read_goes_through():
            back = send(port, b"GET /orders/1 HTTP/1.1\r\n" + host + b"\r\n")
            assert status(back) == 200, back
            (head, _, _), = upstream.take()
            assert head.startswith(b"GET /orders/1 HTTP/1.1\r\n"), head

        def two_lengths_are_one_request_or_none():
            smuggled = b"GET /orders/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
            chunked = b"0\r\n\r\n"
            for fields in (
                b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % (len(chunked) + len(smuggled)),
                b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % (len(chunked) + len(smuggled)),
                b"Content-Length: 5\r\nContent-Length: %d\r\n" % (len(chunked) + len(smuggled)),
                b"Content-Length: 5, %d\r\n" % (len(chunked) + len(smuggled)),
                b"Transfer-Encoding: chunked, identity\r\n",
                b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
                b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n",
                b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 5\r\n",
                b"Content-Length: +5\r\n", b"Content-Length: 0x5\r\n", b"Content-Length: 5 \r\n Content-Length: 6\r\n",
            ):
                send(port, b"POST /orders HTTP/1.1\r\n" + host + fields + b"\r\n" + chunked + smuggled)
                for head, sent, _ in upstream.take():
                    # What goes on is rebuilt: one length at most, and never the bytes behind the first message.
                    assert not (b"content-length" in sent and b"transfer-encoding" in sent), (fields, head)
                    assert b"smuggled" not in head, (fields, head)

        def broken_chunks_reach_nobody():
            for body in (b"zz\r\nhello\r\n0\r\n\r\n", b"5;a=\nb\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n",
                         b"fffffffffffffffff\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"-1\r\nhello\r\n0\r\n\r\n"):
                send(port, b"POST /orders HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n" + body)
                for head, _, sent in upstream.take():
                    assert b"helloX" not in sent and b"zz" not in sent and len(sent) <= 16, (body, head, sent)

        def bare_line_ends_and_folded_lines_hide_nothing():
            for field in (b"X-A: 1\nX-Forwarded-For: 1.2.3.4\r\n", b"X-A: 1\r\n X-Forwarded-For: 1.2.3.4\r\n",
                          b"X-A: 1\rX-Forwarded-For: 1.2.3.4\r\n", b"X-A\0: 1\r\n", b"X-A : 1\r\n", b": 1\r\n"):
                send(port, b"GET /orders/1 HTTP/1.1\r\n" + host + field + b"\r\n")
                for head, sent, _ in upstream.take():
                    assert b"x-forwarded-for" not in sent and b"1.2.3.4" not in head, (field, head)

        def identity_from_outside_never_goes_on():
            fields = (b"X-Forwarded-For: 1.2.3.4\r\nx_forwarded_for: 1.2.3.4\r\nX-Remote-User: root\r\n"
                      b"X-Remote-User: admin\r\nRemote_User: root\r\nX-Forwarded.For: 1.2.3.4\r\n"
                      b"Countersign-Person: root\r\nImpersonate-User: root\r\nForwarded: for=1.2.3.4\r\nX-Kept: yes\r\n")
            back = send(port, b"GET /orders/1 HTTP/1.1\r\n" + host + fields + b"\r\n")
            assert status(back) == 200, back
            (head, sent, _), = upstream.take()
            assert sent.get(b"x-kept") == b"yes", head
            assert b"root" not in head and b"1.2.3.4" not in head and b"admin" not in head, head
            assert token.encode() not in head, "the caller's credential went on"

        def a_second_spelling_of_a_path_is_refused():
            for path in (b"//orders/1", b"/orders/../admin", b"/orders/%2e%2e/admin", b"/orders/..;/admin", b"/orders;x=1/1",
                         b"/orders/1%2f2", b"/orders/1%252f2", b"/orders/%00", b"/orders\\1", b"/ORDERS/1", b"/orders/./1"):
                back = send(port, b"GET " + path + b" HTTP/1.1\r\n" + host + b"\r\n")
                assert status(back) in (400, 403, 404, 503), (path, back[:200])
                assert not upstream.take(), path

        def connect_and_upgrades_are_denied():
            for line, fields in (
                (b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % elsewhere.port, b""),
                (b"GET /orders/1 HTTP/1.1\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
                (b"GET /orders/1 HTTP/1.1\r\n", b"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
            ):
                back = send(port, line + host + fields + b"\r\n")
                assert status(back) >= 400, (line, back[:200])
                assert not upstream.take() and not elsewhere.take(), line

        def the_first_line_and_host_lead_nowhere_else():
            for target, name in ((b"http://127.0.0.1:%d/orders/1" % elsewhere.port, host),
                                 (b"/orders/1", b"Host: 127.0.0.1:%d\r\n" % elsewhere.port + host),
                                 (b"http://user@127.0.0.1:%d/orders/1" % port, host),
                                 (b"*", host), (b"orders/1", host)):
                back = send(port, b"GET " + target + b" HTTP/1.1\r\n" + name + b"\r\n")
                assert status(back) in (0, 400, 403, 404, 421, 501, 503), (target, back[:200])
                assert not elsewhere.take() and not upstream.take(), target

        def a_redirect_is_handed_back_and_not_followed():
            upstream.answer = (b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:%d/orders/1\r\n"
                               b"Content-Length: 0\r\n\r\n" % elsewhere.port)
            try:
                back = send(port, b"GET /orders/1 HTTP/1.1\r\n" + host + b"\r\n")
            finally:
                upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            assert status(back) == 307, back
            assert len(upstream.take()) == 1 and not elsewhere.take()

        def pipelined_requests_are_each_an_action():
            one = b"GET /orders/1 HTTP/1.1\r\n" + host + b"\r\n"
            other = b"GET /orders/2 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer x\r\n\r\n" % port
            back = send(port, one + other)
            assert back.count(b"HTTP/1.1 200") == 1 and back.count(b"HTTP/1.1 401") == 1, back
            (head, _, _), = upstream.take()
            assert b"/orders/1" in head

        def json_with_two_readings_is_refused():
            for body in (b'{"a":1,"a":2}', b'{"a":1,"A":2}', b'{"a":{"b":1,"b":2}}'):
                fields = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                back = send(port, b"POST /orders HTTP/1.1\r\n" + host + fields + body)
                # Refused, or held unread: two keys that differ in case only are two keys to most readers.
                assert status(back) in (400, 403, 422, 503) or (b'"A"' in body and not back), (body, back[:200])
                assert not upstream.take(), body

        def a_method_that_hides_behind_another_is_refused():
            for field in (b"X-HTTP-Method-Override: DELETE\r\n", b"X_HTTP_Method_Override: DELETE\r\n", b"X-Method-Override: DELETE\r\n"):
                back = send(port, b"GET /orders/1 HTTP/1.1\r\n" + host + field + b"\r\n")
                assert status(back) == 400, (field, back[:200])
                assert not upstream.take(), field

        def no_metadata_address_is_an_upstream():
            for address in ("http://169.254.169.254", "http://[fd00:ec2::254]", "http://[::ffff:169.254.169.254]",
                            "http://100.100.100.200", "http://0.0.0.0:80", "http://user@127.0.0.1", "http://[fe80::1]"):
                document = {"name": "cloud", "upstream": address, "environment": "dev", "hosts": ["cloud.internal"],
                            "operations": [{"method": "GET", "path": "/x", "resource": "x"}]}
                answer = admin.call("PUT", "/v1/routes/cloud", document)
                assert answer.status in (400, 422), (address, answer.status, answer.body)

        def a_half_sent_request_runs_nothing():
            send(port, b"POST /orders HTTP/1.1\r\n" + host + b"Content-Length: 10\r\n\r\nhalf")
            assert not upstream.take()
            send(port, b"GET /orders/1 HTTP/1.1\r\nHost: 127.0")
            assert not upstream.take()

        def nobody_is_asked_and_nothing_runs_without_a_credential():
            for field in (b"", b"Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n", b"Authorization: Bearer x\r\n",
                          b"Authorization: Bearer %s\r\nAuthorization: Bearer %s\r\n" % (token.encode(), token.encode())):
                back = send(port, b"GET /orders/1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port + field + b"\r\n")
                assert status(back) in (400, 401), (field, back[:200])
                assert not upstream.take(), field
            told = json.loads(back.partition(b"\r\n\r\n")[2] or b"{}")
            assert token not in json.dumps(told)

        for name, work in list(locals().items()):
            if callable(work) and getattr(work, "__module__", None) == __name__ and name != "main":
                tally.check(name.replace("_", " "), work)
    tally.close()


if __name__ == "__main__":
    main()
