"""A log of somebody who may lie, made anew for each draw: people, keys, groups and cases in any order, each record bent on
its way into the log, and everything above it hashed and signed again so that the lie is found by what it says and not by a
digest that does not fit. It shares no code with either verifier.
"""

import base64
import copy
import hashlib
import json
import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ORIGIN, RP_ID, WEB = "countersign.example/log", "countersign.example", "https://countersign.example"
START = 1_767_225_600_000_000
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
ED_ORDER = 2**252 + 27742317777372353535851937790883648493


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def purpose(word, data):
    return sha(f"countersign/{word}/v1\n".encode(), data)


def uid(kind, n):
    return f"0190abcd-0000-7000-8000-00000000{kind:02x}{n:02x}"


def dump(value):
    """As RFC 8785 writes what stands in these records: no floats, keys of ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


# --- Bending ---------------------------------------------------------------------------------------------------------


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def at(value, path):
    for step in path:
        value = value[step]
    return value


STRANGE = [None, True, False, 0, 1, -1, 2, 255, 256, 1 << 32, 1 << 53, (1 << 53) + 1, 1 << 63, 1 << 64, -(1 << 53) - 1, 1.0, 1.5, "",
           "x", " ", "\x1f", "\x85", "\u200b", "e\u0301", "\u00e9", "\ud800", "admins", "true", [], {}, [[]], [None],
           {"": None}]


def respelt(text, draw):
    """The same text, or nearly, in another spelling."""
    return draw.choice([
        text.upper(), text.lower(), text + "=", text + "==", text + "\n", text + " ", " " + text, text[:-1], text.replace("-", ""),
        "{" + text + "}", "urn:uuid:" + text, text.replace("-", "+").replace("_", "/"), text[:-1] + "B", text + "A", text + "\0",
        text.replace("e", "\u0435"), {text: None}, {text: {}}, [text]])


def bend(value, draw):
    """One change at one place of a record."""
    value = copy.deepcopy(value)
    path = draw.choice(list(places(value)))
    old = at(value, path)
    ways = [lambda: draw.choice(STRANGE), lambda: [old], lambda: {"x": old}]
    if isinstance(old, dict):
        ways += [lambda: list(old.values()), lambda: {**old, "x": 1}, lambda: {**old, "x": None},
                 lambda: {k: v for k, v in old.items() if k != draw.choice(list(old) or [""])},
                 lambda: {k: (None if k == draw.choice(list(old)) else v) for k, v in old.items()} if old else None] * 2
    elif isinstance(old, list):
        ways += [lambda: old + old[-1:], lambda: old[1:], lambda: old[::-1], lambda: dict(enumerate(map(str, old)))]
    elif isinstance(old, str):
        ways += [lambda: respelt(old, draw)] * 6
    elif isinstance(old, int):
        ways += [lambda: old + draw.choice([-1, 1, 1_000_000, -1_000_000]), lambda: str(old), lambda: float(old), lambda: -old]
    new = draw.choice(ways)()
    if not path:
        return new
    at(value, path[:-1])[path[-1]] = new
    return value


def bend_text(data, draw):
    """One change of a record's bytes that JSON's readers may differ over."""
    where = draw.randrange(len(data) + 1)
    digits = [i for i in range(len(data)) if chr(data[i]).isdigit() and not chr(data[i - 1]).isalnum()] or [0]
    digit = draw.choice(digits)
    return draw.choice([
        lambda: b"\xef\xbb\xbf" + data, lambda: data + b" \r\n\t", lambda: data + b"\0", lambda: data + b"x", lambda: data + data,
        lambda: b"\x0b" + data, lambda: data[:where] + b" " + data[where:], lambda: data[:where] + b"\xff" + data[where:],
        lambda: data[:where], lambda: data.replace(b":", b" : ", 3), lambda: data[:digit] + b"-0" + data[digit + 1:],
        lambda: data[:digit] + b"1e999" + data[digit + 1:], lambda: data[:digit] + b"0" + data[digit:],
        lambda: data[:digit] + b"9" * 400 + data[digit + 1:], lambda: data[:digit] + b"NaN" + data[digit + 1:],
        lambda: data[:digit] + b"1.0" + data[digit + 1:],
        lambda: data.replace(b"{", b'{"x":' + b"[" * draw.choice([1, 125, 126, 127, 128, 5000]) + b"],", 1),
        lambda: data.replace(b"{", b"{" + data[1:data.find(b",") + 1], 1) if b"," in data else data + b",",
        lambda: data.replace(b"a", b"\\u0061", 2), lambda: data.replace(b'"', b"'", 2), lambda: data.replace(b"}", b",}", 1),
        lambda: data.replace(b",", b",,", 1), lambda: b"[" + data + b"]", lambda: b'"' + data.replace(b'"', b'\\"') + b'"',
    ])()


class Bender:
    """Bends the records whose turn it is; counts all."""

    def __init__(self, draw, turns=()):
        self.draw, self.turns, self.seen, self.told = draw, set(turns), 0, []

    def due(self, what):
        self.seen += 1
        if self.seen in self.turns:
            self.told.append(what)
            return True
        return False

    def value(self, what, value):
        return bend(value, self.draw) if self.due(what) else value

    def bytes(self, what, value):
        data = dump(self.value(what, value))
        return bend_text(data, self.draw) if self.due(f"{what} as text") else data


# --- Keys and signatures ---------------------------------------------------------------------------------------------


def der(r, s):
    def integer(n):
        data = n.to_bytes((n.bit_length() + 8) // 8 or 1, "big")
        return b"\x02" + bytes([len(data)]) + data
    body = integer(r) + integer(s)
    return b"\x30" + bytes([len(body)]) + body


def bend_signature(data, draw):
    """Another encoding of a signature, or another signature for the same message."""
    if len(data) == 64:
        s = int.from_bytes(data[32:], "little")
        identity = b"\1" + bytes(31)
        return draw.choice([data[:32] + (s + ED_ORDER).to_bytes(32, "little"), data + b"\0", data[:-1], data[:32] + bytes(32),
                            identity + data[32:], bytes([data[0] ^ 1]) + data[1:], data[:31] + bytes([data[31] ^ 0x80]) + data[32:],
                            bytes(64)])
    r, s = decode_dss_signature(data)
    body = data[2:]
    return draw.choice([
        der(r, ORDER - s), der(r + ORDER, s), der(r, s + ORDER), der(0, s), der(r, 0), der(ORDER, s), data + b"\0", data[:-1],
        b"\x30\x81" + bytes([len(body)]) + body, b"\x30\x82\0" + bytes([len(body)]) + body, b"\x30\x80" + body + b"\0\0",
        b"\x30" + bytes([len(body) + 1]) + b"\x02" + bytes([body[1] + 1]) + b"\0" + body[2:], b"\x31" + data[1:],
        b"\x30" + bytes([len(body) + 2]) + body + b"\x05\0", r.to_bytes(32, "big") + s.to_bytes(32, "big"), b""])


class Passkey:
    def __init__(self, n, eddsa=False):
        self.id, self.eddsa = bytes([0xC0, n]), eddsa
        if eddsa:
            self.key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)
            point = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            self.cose = bytes.fromhex("a4010103272006215820") + point
        else:
            self.key = ec.derive_private_key(int.from_bytes(bytes([n]) * 31, "big"), ec.SECP256R1())
            point = self.key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
            self.cose = bytes.fromhex("a5010203262001215820") + point[1:33] + bytes.fromhex("225820") + point[33:]

    def bent(self, draw):
        """The public key in another encoding, or another key."""
        cose = self.cose
        head = cose[:10]
        return draw.choice([
            cose + b"\0", cose[:-1], head + bytes(32) + cose[42:], head + b"\xff" * 32 + cose[42:], cose[:-1] + bytes([cose[-1] ^ 1]),
            cose.replace(b"\x01\x02\x03\x26", b"\x03\x26\x01\x02"), cose.replace(b"\x03\x26", b"\x03\x38\x06"),
            b"\xbf" + cose[1:] + b"\xff", bytes([cose[0] + 1]) + cose[1:] + b"\x04\x81\x02", cose.replace(b"\x58\x20", b"\x59\0\x20"),
            Passkey(77).cose, b""])

    def sign(self, statement, bender, flags=5, web=WEB):
        client = {"type": "webauthn.get", "challenge": b64(sha(b"countersign/approval-statement/v1\n", statement)),
                  "origin": web, "crossOrigin": False}
        client = bender.bytes("the client data", client)
        data = sha(RP_ID.encode()) + bytes([flags, 0, 0, 0, 9])
        if bender.due("the authenticator data"):
            data = bender.draw.choice([
                data[:32] + bytes([bender.draw.randrange(256)]) + data[33:], data + b"\0", data[:-1], sha(b"other") + data[32:],
                *(data[:32] + b"\x85" + data[33:] + more for more in (
                    b"\xa0", b"\xa1\x61\x61\x01", b"\xa1\x01\x01", b"\xa2\x61\x61\x01\x61\x61\x01", b"\xbf\xff", b"\xa1\x61\x61\xf5",
                    b"\xa1\x61\x61\xf8\x20", b"\xa1\x61\x61\xf8\x18", b"\xa1\x61\x61\x18\x17", b"\xa1\x61\x61\xf9\x3c\0", b"\xa0\0",
                    b"\xa1\x61\x61" + b"\x81" * 13 + b"\x01", b"\xa1\x61\x61" + b"\x81" * 15 + b"\x01", b"\xa1\x61\x61\x9f\xff",
                    b"\xa1\x61\xff\x01", b"\xa1\x61\x61\xc0\x61\x61", b"\xa1\x61\x61\x62\xc3\x28", b"\xa2\x61\x62\x01\x61\x61\x01",
                    b"\xa1\x61\x61\xa2\x01\x01\x18\x01\x01", b"\xa1\x61\x61\xf6", b"\xa1\x61\x61\xe0", b"\xa1\x61\x61\xfb" + bytes(8)))])
        message = data + sha(client)
        signature = self.key.sign(message) if self.eddsa else self.key.sign(message, ec.ECDSA(hashes.SHA256()))
        if bender.due("the signature"):
            signature = bend_signature(signature, bender.draw)
        return {"passkey": {"credentialId": b64(self.id), "clientDataJSON": b64(client), "authenticatorData": b64(data),
                            "signature": b64(signature)}}

    def enrolment(self, person, bender):
        public = self.bent(bender.draw) if bender.due("the public key") else self.cose
        return {"type": "key-enrolled", "person": person, "key": {
            "credential_id": b64(self.id), "public_key": b64(public), "rp_id": RP_ID, "origin": WEB, "label": "a key"}}


def wired(*parts):
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


class SshKey:
    TYPE = b"sk-ssh-ed25519@openssh.com"

    def __init__(self, n):
        self.key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)
        point = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.public = wired(self.TYPE, point, b"ssh:")

    def sign(self, statement, bender):
        namespace, flags = b"approval-statement@countersign", bytes([5])
        if bender.due("the SSH signature's parts"):
            namespace = bender.draw.choice([namespace, b"file", namespace + b"\0"])
            flags = bytes([bender.draw.randrange(256)])
        message = b"countersign/approval-statement/v1\n" + statement
        signed = b"SSHSIG" + wired(namespace, b"", b"sha512", hashlib.sha512(message).digest())
        raw = self.key.sign(sha(b"ssh:") + flags + b"\0\0\0\7" + sha(signed))
        if bender.due("the signature"):
            raw = bend_signature(raw, bender.draw)
        inner = wired(self.TYPE, raw) + flags + b"\0\0\0\7"
        signature = b"SSHSIG\0\0\0\1" + wired(self.public, namespace, b"", b"sha512", inner)
        if bender.due("the SSH signature"):
            signature = bender.draw.choice([signature + b"\0", signature[:-1], signature.replace(b"\0\0\0\1", b"\0\0\0\2", 1), b""])
        return {"sshsig": {"key": b64(sha(self.public)), "signature": b64(signature)}}

    def enrolment(self, person, bender):
        public = self.public
        if bender.due("the public key"):
            public = bender.draw.choice([public + b"\0", public[:-1], public.replace(b"ssh:", b"web:"), public.replace(b"sk-", b"xx-")])
        return {"type": "ssh-key-enrolled", "person": person, "key": {"public_key": b64(public), "label": "a key"}}


# --- The log ---------------------------------------------------------------------------------------------------------


def commitment(path, salt, value):
    path = path.encode("utf-8", "surrogatepass")
    return sha(b"countersign/field/v1", struct.pack(">I", len(path)), path, salt, value)


def fields_root(fields):
    return sha(b"countersign/fields/v1", struct.pack(">I", len(fields)), *(commitment(*field) for field in fields))


def tree_root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha(b"\1", tree_root(leaves[:half]), tree_root(leaves[half:]))


def inclusion(index, leaves):
    if len(leaves) == 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if index < half:
        return inclusion(index, leaves[:half]) + [tree_root(leaves[half:])]
    return inclusion(index - half, leaves[half:]) + [tree_root(leaves[:half])]


class Log:
    def __init__(self, bender):
        self.bender, self.draw = bender, bender.draw
        self.key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
        public = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = sha(ORIGIN.encode(), b"\n\1", public)[:4]
        self.verifier = f"{ORIGIN}+{self.key_id.hex()}+{base64.b64encode(bytes([1]) + public).decode()}"
        self.entries, self.time, self.salt = [], START, 0
        self.append("genesis/1", None, {})

    def append(self, kind, subject, values, payload=None):
        self.time += self.draw.choice([0, 1, 1_000_000])
        fields = []
        for path in sorted(values):
            self.salt += 1
            fields.append((path, sha(struct.pack(">I", self.salt)), values[path]))
        leaf = {"v": 1, "origin": ORIGIN, "kind": kind, "time": self.time, "subject": subject, "count": len(fields),
                "fields": b64(fields_root(fields))}
        self.entries.append((self.bender.bytes("a leaf", leaf), fields, payload))

    def change(self, event, by, approval):
        kind = event["type"]
        about = "agent" if kind.startswith("agent") else "person"
        subject = f"{about}:{event.get('person') or event['id']}"
        change = {"event": event, "by": by, "approval": approval}
        self.append("directory/1", subject, {"change": self.bender.bytes("a change", change)})

    def hashes(self):
        return [sha(b"\0", leaf) for leaf, _, _ in self.entries]

    def checkpoint(self):
        text = f"{ORIGIN}\n{len(self.entries)}\n{base64.b64encode(tree_root(self.hashes())).decode()}\n"
        if self.bender.due("the checkpoint"):
            text = self.draw.choice([text + "more\n", text.replace("\n", "\r\n"), text.replace("\n", "\n0", 1), text + "\n",
                                     text.replace("=", ""), text + "\x7f\n", text + "\u2028\n", text + "\0\n"])
        line = f"\u2014 {ORIGIN} {base64.b64encode(self.key_id + self.key.sign(text.encode())).decode()}\n"
        if self.bender.due("the signature line"):
            line = self.draw.choice([line + line, line + f"\u2014 other AAAAAAA=\n", line.replace("\u2014", "-"), line.replace(" ", "  ", 1),
                                     line + "\n", line[:-1], line.replace("=", ""), f"\u2014 other AAAAAAA=\n" + line, line + "\u2014 a\u00a0b AAAAAAA=\n"])
        return f"{text}\n{line}"

    def shown(self, fields):
        """Each field open, or at times withheld."""
        if self.bender.due("what is shown"):
            return [{"withheld": b64(commitment(*field))} for field in fields]
        return [{"open": {"path": path, "salt": b64(salt), "value": b64(value)}} for path, salt, value in fields]

    def entry(self, index, hashes_of_all):
        leaf, fields, _ = self.entries[index]
        return {"index": index, "leaf": b64(leaf), "proof": [b64(node) for node in inclusion(index, hashes_of_all)],
                "fields": self.shown(fields)}

    def receipt(self, approval):
        nodes = self.hashes()
        request, keys, entries = [], [], []
        for index, (_, fields, payload) in enumerate(self.entries):
            if not fields or self.bender.due("what is left out"):
                continue
            entries.append(self.entry(index, nodes))
            if payload and payload[0] == approval:
                request = self.shown(payload[1])
            elif payload and payload[2]:
                keys.append({"entry": index, "payload": self.shown(payload[1])})
        receipt = {"v": 1, "origin": ORIGIN, "approval": approval, "checkpoint": self.checkpoint(), "entries": entries,
                   "payload": request, **({"keys": keys} if keys else {})}
        return self.bender.bytes("the receipt", receipt)

    def bundle(self, period):
        nodes, lines, requests = self.hashes(), [], 0
        for index, (leaf, fields, payload) in enumerate(self.entries):
            line = {"payload": self.shown(payload[1])} if payload else {}
            if period:
                line |= {"leaf": b64(leaf), "fields": self.shown(fields)}
            elif not fields or self.bender.due("what is left out"):
                continue
            else:
                line |= {"entry": self.entry(index, nodes)}
            requests += bool(payload)
            lines.append(self.bender.bytes("a line", line) + b"\n")
        if self.bender.due("the lines"):
            lines = self.draw.choice([lines + [b"\n"], lines[:-1] + [lines[-1][:-1]], [line[:-1] + b"\r\n" for line in lines],
                                      lines[::-1], lines + lines[-1:]])
        about = self.bender.bytes("about.json", {"query": "all", "made": 1, "by": None, "maker": "forge"})
        files = [("about.json", about), ("checkpoint", self.checkpoint().encode())]
        if period:
            span = {"first": 0, "end": len(self.entries), "since": None, "until": None, "frontier": [], "consistency": []}
            files += [("period.json", self.bender.bytes("period.json", span)), ("entries.jsonl", b""), ("leaves.jsonl", b"".join(lines))]
        else:
            files += [("entries.jsonl", b"".join(lines))]
        manifest = {"format": "countersign/bundle/v1", "origin": ORIGIN, "kind": "period" if period else "cases",
                    "entries": len(lines), "cases": requests,
                    "files": [{"name": name, "bytes": len(data), "sha256": b64(sha(data))} for name, data in files]}
        files.insert(0, ("manifest.json", self.bender.bytes("the manifest", manifest)))
        return b"".join(map(self.tarred, files)) + bytes(1024)

    def tarred(self, file):
        name, data = file
        block = bytearray(512)
        block[:len(name)] = name.encode()
        block[100:148] = b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % len(data) + b"00000000000\0"
        block[148:157], block[257:265], block[329:345] = b" " * 8 + b"0", b"ustar\x0000", b"0000000\0" * 2
        if self.bender.due("a header"):
            at, to = self.draw.choice([(156, b"2"), (156, b"5"), (156, b"\0"), (100, b"0000777"), (257, b"ustar  \0"), (0, b"../x"), (124, b" "),
                                       (124, b"\x80"), (157, b"/etc/passwd"), (345, b"prefix"), (265, b"root"), (136, b"00000000001")])
            block[at:at + len(to)] = to
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block) + data + bytes(-len(data) % 512)
