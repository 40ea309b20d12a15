"""What the suites of the PostgreSQL gate share: the gate and a client that sends any bytes.

The gate is `crates/postgres/examples/gate.rs`: it decides by marks in the text, and writes down what it was asked.
"""

import datetime
import ipaddress
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import ROOT, free_port  # noqa: E402

TOKEN = "an agent's access token"
PATIENCE = 20


def gate_binary():
    if "GATE_BIN" in os.environ:
        return os.environ["GATE_BIN"]
    ours = Path(os.environ.get("COUNTERSIGN_BIN") or ROOT / "target" / "debug" / "countersign")
    return str(ours.parent / "examples" / "gate")


def until(what, look, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():
            return
        time.sleep(0.02)
    raise AssertionError(f"in {seconds} s not: {what}")


class Gate:
    """One gate before one server."""

    def __init__(self, server, *flags, host="127.0.0.1", user="countersign", password=None, listen="127.0.0.1"):
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-gate-"))
        self.port, self.server, self.held = free_port(), server, 0
        command = [gate_binary(), f"{listen}:{self.port}", f"{host}:{server.port}", user, password or server.password,
                   TOKEN, *flags]
        self.process = subprocess.Popen(command, env={**os.environ, "GATE_FOLDER": str(self.folder)},
                                        stderr=open(self.folder / "stderr.log", "ab"))
        until("the gate listens", self.listens)

    def listens(self):
        assert self.process.poll() is None, (self.folder / "stderr.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def mark(self):
        """A new mark that makes a statement wait."""
        self.held += 1
        return f"/* hold {self.held} */"

    def say(self, verdict):
        """Decides about the statement with the newest mark."""
        part = self.folder / "part"
        part.write_text(verdict)
        part.rename(self.folder / f"hold-{self.held}")

    def asked(self):
        file = self.folder / "asked"
        return file.read_text() if file.exists() else ""

    def is_asked(self, text):
        until(f"asked about {text}", lambda: text in self.asked())

    def psycopg(self, **more):
        more = {"host": "127.0.0.1", "port": self.port, "user": "agent", "password": TOKEN, "dbname": "postgres",
                "autocommit": True, "connect_timeout": PATIENCE, **more}
        return psycopg.connect(**more)

    def psql(self, *commands, stdin=None):
        words = [part for command in commands for part in ("-c", command)]
        env = {**os.environ, "PGPASSWORD": TOKEN}
        return subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "agent", "-d", "postgres",
             *words], capture_output=True, text=True, env=env, timeout=PATIENCE * 3, input=stdin)

    def raw(self, **more):
        return Raw(self.port, **more)

    def memory(self):
        """What the process holds, in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def message(tag, body=b""):
    return tag + struct.pack("!i", len(body) + 4) + body


def string(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def query(text):
    return message(b"Q", string(text))


def parse(name, text):
    return message(b"P", string(name) + string(text) + b"\0\0")


def bind(portal, statement, *values):
    body = string(portal) + string(statement) + struct.pack("!hh", 0, len(values))
    for value in values:
        body += struct.pack("!i", len(value)) + value
    return message(b"B", body + b"\0\0")


def execute(portal=""):
    return message(b"E", string(portal) + struct.pack("!i", 0))


def run(text, *values):
    return parse("", text) + bind("", "", *values) + execute()


SYNC, FLUSH = message(b"S"), message(b"H")


class Raw:
    """A client that sends any bytes."""

    def __init__(self, port, startup=None, password=TOKEN, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), PATIENCE)
        self.socket.settimeout(PATIENCE)
        self.key = None
        if startup is not None:
            self.start(startup, password)

    def start(self, parameters, password=TOKEN, version=0x30000):
        body = struct.pack("!i", version)
        for name, value in parameters.items():
            body += string(name) + string(value)
        self.send(struct.pack("!i", len(body) + 5) + body + b"\0")
        self.first = self.receive()
        if self.first[0] == b"R":
            self.send(message(b"p", string(password)))
        return self

    def send(self, data):
        self.socket.sendall(data)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        tag, length = struct.unpack("!ci", self.exactly(5))
        return tag, self.exactly(length - 4)

    def ready(self):
        """Everything up to the next ReadyForQuery."""
        found = []
        while not found or found[-1][0] != b"Z":
            found.append(self.receive())
            if found[-1][0] == b"K":
                self.key = found[-1][1]
        return found

    def end(self):
        """Everything up to the connection's end."""
        found = []
        try:
            while True:
                found.append(self.receive())
        except (EOFError, ConnectionResetError):
            return found


def kinds(found):
    return b"".join(tag for tag, _ in found).decode()


def error(found):
    """The first error's severity, SQLSTATE and words."""
    body = next(body for tag, body in found if tag == b"E")
    fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
    return fields[b"S"], fields[b"C"], fields[b"M"]


def refused(found, state, severity="ERROR"):
    got = error(found)
    assert got[:2] == (severity, state), got
    return got[2]


def rows(found):
    return [body for tag, body in found if tag == b"D"]


def column(body):
    """The first column of a row."""
    length, = struct.unpack("!i", body[2:6])
    return body[6:6 + length]


AGENT = {"user": "agent", "database": "postgres"}


class Background(threading.Thread):
    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.result, self.error = work, None, None
        self.start()

    def run(self):
        try:
            self.result = self.work()
        except Exception as error:  # handed to whoever waits
            self.error = error

    def done(self, seconds=PATIENCE):
        self.join(seconds)
        assert not self.is_alive(), "it did not end"
        if self.error:
            raise self.error
        return self.result


class Scene:
    """A server with a table, and a gate before it."""

    def __init__(self, server):
        self.server = server
        server.sql("CREATE TABLE items (id int primary key, name text)")
        self.gate = Gate(server)

    def fill(self):
        self.server.sql("SET lock_timeout = '10s'; TRUNCATE items; INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 100) n")

    def count(self):
        return int(self.server.sql("SELECT count(*) FROM items"))

    def quiet(self):
        """No transaction of the gate's is open at the server."""
        return self.server.sql("SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL "
                               "AND pid <> pg_backend_pid() AND backend_type = 'client backend'") == "0"

    def ended(self, name):
        """How the statement with this mark ended, told once."""
        file = self.gate.folder / "ended"

        def told():
            lines = file.read_text().splitlines() if file.exists() else []
            return [line.split(" ", 1)[1] for line in lines if line.split(" ", 1)[0] == name]

        until(f"{name} has ended", told)
        time.sleep(0.05)
        assert len(told()) == 1, told()
        return told()[0]

    def entered(self):
        raw = self.gate.raw(startup=AGENT)
        raw.ready()
        return raw


def make_certificate(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    return files
