"""A witness that is flooded, lied to, and kept waiting: whoever asks well is still answered, and it never contradicts itself."""

import concurrent.futures
import random
import socket
import sys
import threading
import time
from pathlib import Path

for room in ("support", "faults"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / room))
from house import Tally, call  # noqa: E402
from witness import Log, Witness  # noqa: E402

# How long somebody who asks well may wait while others misbehave, in seconds.
PATIENCE = 12
CROWD = 300


class Crowd:
    """Connections that say a little and then nothing, or a little at a time."""

    def __init__(self, port, opening, drip=b""):
        self.sockets, self.over = [], threading.Event()
        for _ in range(CROWD):
            try:
                one = socket.create_connection(("127.0.0.1", port), timeout=5)
                one.sendall(opening)
                self.sockets.append(one)
            except OSError:
                pass  # turned away, as may be
        if drip:
            threading.Thread(target=self.drip, args=(drip,), daemon=True).start()

    def drip(self, drop):
        while not self.over.wait(0.5):
            for one in self.sockets:
                try:
                    one.sendall(drop)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for one in self.sockets:
            one.close()


class Story:
    def __init__(self, dice):
        self.dice, self.witness = dice, Witness()
        self.log = self.witness.log
        self.witness.start()
        self.size = 0

    def grows(self):
        """The honest log by one entry; answered in time."""
        start = time.monotonic()
        self.witness.ask(self.size, self.size + 1).expect(200)
        self.size += 1
        took = time.monotonic() - start
        assert took < PATIENCE, f"an honest log waited {took:.1f} s"

    def post(self, body, timeout=30):
        return call("POST", f"http://127.0.0.1:{self.witness.port}/add-checkpoint", body, timeout=timeout)

    def honest(self):
        for _ in range(3):
            self.grows()

    def each_refusal_has_its_status(self):
        stranger, other = Log(), self.log.request(self.size, self.size + 1, False)
        self.witness.ask(self.size + 2, self.size + 1).expect(400)
        conflict = self.witness.ask(self.size - 1, self.size + 1).expect(409)
        assert conflict.headers["content-type"] == "text/x.tlog.size", conflict.headers
        assert conflict.body == f"{self.size}\n".encode(), conflict.body
        self.witness.ask(self.size, self.size, forked=True).expect(422)
        self.witness.ask(self.size, self.size + 1, forked=True).expect(422)
        # The trusted origin under another key, and another origin under the trusted key and name.
        self.post(stranger.request(self.size, self.size + 1, False)).expect(403)
        self.post(other.replace(b"\n" + Log.ORIGIN.encode() + b"\n", b"\nlog.example/other\n", 1)).expect(404)
        self.post(other.replace(b"/faults\n", b"/Faults\n", 1)).expect(404)
        assert self.witness.latest() == self.size
        # The same again is no step back, and the answer is a cosignature over the same tree.
        self.witness.ask(self.size, self.size).expect(200)

    def what_is_changed_anywhere_is_not_cosigned(self):
        good = self.log.request(self.size, self.size + 1, False)
        for _ in range(400):
            body = bytearray(good)
            for _ in range(self.dice.randrange(1, 4)):
                at = self.dice.randrange(len(body))
                how = self.dice.randrange(3)
                if how == 0:
                    body[at] ^= 1 << self.dice.randrange(8)
                elif how == 1:
                    del body[at:at + self.dice.randrange(1, 40)]
                else:
                    body[at:at] = self.dice.randbytes(self.dice.randrange(1, 40))
                if not body:
                    body = bytearray(b"x")
            if bytes(body) == good:
                continue
            status = self.post(bytes(body)).status
            # A line more of somebody else's is no change of what is cosigned.
            if status == 200:
                assert self.witness.latest() == self.size + 1
                self.size += 1
                good = self.log.request(self.size, self.size + 1, False)
            assert status in (200, 400, 403, 404, 409, 422), f"{status} for {bytes(body)!r}"
        assert self.witness.latest() == self.size

    def what_is_huge_is_refused(self):
        for length in (131_073, 20 << 20):
            try:
                assert self.post(b"old 0\n" + b"A" * length).status == 413
            except OSError:
                pass  # it hung up, without reading all
        huge = b"old 3\n" + b"".join(b"%s\n" % (b"A" * 43 + b"=") for _ in range(64)) + b"\n"
        assert self.post(huge + self.log.request(0, 1, False).split(b"\n\n", 1)[1]).status == 400
        self.grows()

    def who_is_slow_holds_up_nobody(self):
        head = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n"
        for opening, drip in [
            (b"", b""),
            (b"POST /add", b"x"),
            (head, b"X-A: b\r\n"),
            (head + b"Content-Length: 1000\r\n\r\n", b"o"),
            (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\no\r\n"),
        ]:
            with Crowd(self.witness.port, opening, drip):
                for _ in range(3):
                    self.grows()

    def a_flood_of_lies_drowns_nobody(self):
        lie, over = self.log.request(self.size, self.size + 1, True), threading.Event()

        def flood():
            while not over.is_set():
                try:
                    assert self.post(lie).status in (409, 422, 503)
                except OSError:
                    pass
        with concurrent.futures.ThreadPoolExecutor(24) as crowd:
            lies = [crowd.submit(flood) for _ in range(24)]
            try:
                for _ in range(5):
                    self.grows()
            finally:
                over.set()
            for one in lies:
                one.result()

    def of_two_histories_at_once_one_is_cosigned(self):
        """From one size, many ask at once for the one and for the other."""
        fresh = Witness().start()
        try:
            for size in range(0, 6):
                def ask(forked, size=size):
                    return forked, fresh.ask(size, size + 1, forked=forked).status
                with concurrent.futures.ThreadPoolExecutor(16) as crowd:
                    faces = [n % 2 == 0 for n in range(16)]
                    answers = list(crowd.map(ask, faces))
                faces = {forked for forked, status in answers if status == 200}
                assert len(faces) == 1, f"at size {size}: {answers}"
                assert sum(status == 200 for _, status in answers) == 1, answers
                if size == 0:
                    only = faces
                assert faces == only, "it went over to the other history"
        finally:
            fresh.end()

    def it_remembers(self):
        self.witness.end()
        key = self.witness.key
        self.witness.start()
        assert self.witness.key == key and self.witness.latest() == self.size
        self.grows()


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    tally, story = Tally(), Story(random.Random(seed))
    try:
        for check in (story.honest, story.each_refusal_has_its_status, story.what_is_changed_anywhere_is_not_cosigned,
                      story.what_is_huge_is_refused, story.who_is_slow_holds_up_nobody, story.a_flood_of_lies_drowns_nobody,
                      story.of_two_histories_at_once_one_is_cosigned, story.it_remembers):
            tally.check(check.__name__.replace("_", " "), check)
    finally:
        story.witness.end()
    tally.close()


if __name__ == "__main__":
    main()
