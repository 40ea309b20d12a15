#!/usr/bin/env python3
"""Verifies receipts and bundles of Countersign, offline, with nothing but this file and `cryptography`.

It is written from `docs/verifying.md`, whose sections the comments name, and shares no code with Countersign. Use it
where the verdict must not depend on the program that made the evidence.

    python3 countersign_verify.py FILE --trust TRUST [--rp-id HOST] [--web-origin ORIGIN]... [--bootstrap-key KEY] [--json]

Exit codes: 0 valid, 1 invalid, 2 indeterminate (nothing is wrong with what is there, but something that is needed is
withheld or missing), 3 nothing was verified (wrong usage, a file that cannot be read).
"""

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
from datetime import datetime, timezone

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

RECORD_LIMIT = 4 << 20  # bytes of one JSON record
NOTE_LIMIT = 1_000_000  # bytes of a signed note
INTEGER_LIMIT = 1 << 53  # the largest integer that every JSON reader keeps exactly
DEPTH_LIMIT = 127  # nested arrays and objects
FIELDS_LIMIT = 1_024  # fields of one record
PATH_LIMIT = 1_024  # bytes of a field's path
TEXT_LIMIT = 2_000  # bytes of a note, an answer, a reason
CHAIN_LIMIT = 16  # links behind a caller
FILE_LIMIT = 0o77_777_777_777  # bytes of a file in an archive

# The vocabulary of verbs (docs/verbs.md), in groups.
VERBS = {f"{group}.{word}" for group, words in {
    "http": "get head options post put patch delete read write destroy admin exec export upgrade other",
    "sql": "select insert update merge delete truncate drop define grant session call export opaque",
    "mcp": "list read call", "exec": "run", "k8s": "read write delete admin exec", "model": "call",
    "config": "person key group agent route policy", "action": "read write destroy admin exec export",
}.items() for word in words.split()}

# Unicode's White_Space; Python's own `strip` takes four control characters besides.
WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


class Invalid(Exception):
    """Something is wrong: nothing of the evidence may be relied on."""


def demand(condition, why):
    if not condition:
        raise Invalid(why)


# --- Bytes (section 2) -------------------------------------------------------------------------------------------


def sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def from_base64(text):
    """Standard base64 in its only spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Invalid(f"`{text[:40]}` is not base64") from error
    demand(base64.b64encode(data).decode() == text, "base64 in another spelling than its only one")
    return data


def blob(value):
    """Bytes in a record: base64url without padding, in its only spelling."""
    demand(isinstance(value, str), "bytes in base64url are expected")
    try:
        data = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise Invalid("bytes in base64url are expected") from error
    demand(base64.urlsafe_b64encode(data).rstrip(b"=").decode() == value, "bytes in base64url are expected")
    return data


def digest_of(value):
    data = blob(value)
    demand(len(data) == 32, "a digest of 32 bytes is expected")
    return data


def read_json(data, limit=RECORD_LIMIT, exact=True):
    """Strict JSON: no duplicate key, no number but an integer within 2^53, valid Unicode, bounded depth. With
    `exact` false, integers of 64 bits (a browser's client data may hold what we do not know)."""
    demand(len(data) <= limit, "the record is too large")

    def members(pairs):
        found = dict(pairs)
        demand(len(found) == len(pairs), "a key stands twice")
        return found

    def integer(text):
        demand(text != "-0" and len(text) <= 20, f"`{text[:40]}` is not an integer within 2^53")
        value = int(text)
        if exact:
            demand(abs(value) <= INTEGER_LIMIT, f"`{text}` is not an integer within 2^53")
        else:
            demand(-1 << 63 <= value < 1 << 64, f"`{text}` is not an integer of 64 bits")
        return value

    def other(text):
        raise Invalid(f"`{text[:40]}` is not an integer")

    def no_number(text):
        raise Invalid(f"`{text}` is no JSON")

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=members, parse_int=integer, parse_float=other,
                           parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not strict JSON: {error}") from error
    check_text_and_depth(value, 0)
    return value


def check_text_and_depth(value, depth):
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise Invalid("not strict JSON: half of a surrogate pair") from error
    elif isinstance(value, (dict, list)):
        demand(depth < DEPTH_LIMIT, "not strict JSON: nested too deep")
        for item in value.values() if isinstance(value, dict) else value:
            check_text_and_depth(item, depth + 1)
        if isinstance(value, dict):
            for key in value:
                check_text_and_depth(key, depth + 1)


def canonical(value):
    """RFC 8785, for values without floats."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def shaped(value, what, needed, optional=()):
    """An object with exactly these members; one that may be null may be left out, and is None then."""
    demand(isinstance(value, dict), f"{what}: an object is expected")
    names = set(value)
    demand(names >= set(needed) and names <= set(needed) | set(optional),
           f"{what}: it has other members than {', '.join([*needed, *optional])}")
    return {name: value.get(name) for name in (*needed, *optional)}


def text(value, what="text", limit=None):
    demand(isinstance(value, str), f"{what}: text is expected")
    demand(limit is None or len(value.encode()) <= limit, f"{what}: it is too long")
    return value


def one_of(value, words, what):
    demand(isinstance(value, str) and value in words, f"`{value}` is no {what}")
    return value


def version_one(value, what):
    demand(value == 1 and not isinstance(value, bool), f"{what} of version 1 is expected")


def is_blank(value):
    return not value.strip(WHITE_SPACE)


def number(value, what="number", limit=INTEGER_LIMIT):
    demand(isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit,
           f"{what}: a number from 0 to {limit} is expected")
    return value


def listed(value, what):
    demand(isinstance(value, list), f"{what}: a list is expected")
    return value


def matched(value, pattern, what):
    demand(isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII), f"`{value}` is no {what}")
    return value


UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


def uuid(value):
    return matched(value, UUID, "UUID").lower()


def name(value):
    return matched(value, r"[a-z0-9._-]{1,64}", "name")


def party(value):
    demand(isinstance(value, str), "a party is expected")
    kind, _, identity = value.partition(":")
    demand(kind in ("agent", "person"), f"`{value}` is no party")
    return f"{kind}:{uuid(identity)}"


def moment(micros):
    """A moment as people read it."""
    try:
        whole = datetime.fromtimestamp(micros // 1_000_000, timezone.utc)
        return whole.strftime("%Y-%m-%dT%H:%M:%S") + f".{micros % 1_000_000:06}Z"
    except (ValueError, OverflowError, OSError):
        return f"{micros} microseconds"


# --- The log's tree (section 3) ----------------------------------------------------------------------------------


def leaf_hash(data):
    return sha256(b"\0", data)


def node_hash(left, right):
    return sha256(b"\1", left, right)


def check_inclusion(leaf, index, size, proof, root):
    """RFC 9162, section 2.1.3.2."""
    demand(index < size, f"entry {index} is not in a tree of {size} entries")
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        demand(last > 0, "the proof is too long")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    demand(last == 0, "the proof is too short")
    demand(found == root, "the proof does not lead to the checkpoint's root")


def check_consistency(old, old_root, new, new_root, proof):
    """RFC 9162, section 2.1.4.2; the tree without entries begins every tree."""
    demand(old <= new, f"a tree of {new} entries cannot extend one of {old}")
    if old in (0, new):
        demand(not proof, "the consistency proof is too long")
        demand(old > 0 or old_root == sha256(), "the tree without entries has another root")
        demand(old < new or old_root == new_root, "two trees of one size differ")
        return
    proof = list(proof)
    if old & (old - 1) == 0:
        proof.insert(0, old_root)
    demand(proof, "the consistency proof is too short")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    found_old = found_new = proof[0]
    for sibling in proof[1:]:
        demand(last > 0, "the consistency proof is too long")
        if node & 1 or node == last:
            found_old, found_new = node_hash(sibling, found_old), node_hash(sibling, found_new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found_new = node_hash(found_new, sibling)
        node, last = node >> 1, last >> 1
    demand(last == 0, "the consistency proof is too short")
    demand((found_old, found_new) == (old_root, new_root), "the consistency proof does not connect the two trees")


class Frontier:
    """A growing tree as the roots of its perfect subtrees, largest first."""

    def __init__(self, size, roots):
        demand(len(roots) == bin(size).count("1"), "the first tree's right edge does not fit its size")
        self.size, self.roots = size, list(roots)

    def append(self, leaf):
        size = self.size
        while size & 1:
            leaf, size = node_hash(self.roots.pop(), leaf), size >> 1
        self.roots.append(leaf)
        self.size += 1

    def root(self):
        if not self.roots:
            return sha256()
        found = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            found = node_hash(left, found)
        return found


# --- Keys, notes, checkpoints, cosignatures (section 4) ------------------------------------------------------------

# Encodings of points of small order, without their sign bit: for these, anybody can make signatures.
SMALL_ORDER = {bytes.fromhex(point) for point in (
    "00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")}


def is_small_order(point):
    return point[:31] + bytes([point[31] & 0x7F]) in SMALL_ORDER


def check_ed25519(public, message, signature):
    demand(len(public) == 32 and not is_small_order(public), "no usable Ed25519 key")
    demand(len(signature) == 64 and not is_small_order(signature[:32]), "the signature is malformed")
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise Invalid("the signature does not verify") from error


class VerifierKey:
    """`name+hex(key id)+base64(type ‖ key)` (C2SP signed-note)."""

    LOG, WITNESS, ML_DSA_44 = 1, 4, 6

    def __init__(self, spelled, kinds):
        parts = spelled.split("+", 2)
        demand(len(parts) == 3 and parts[0], "a verifier key is name+hex(key id)+base64(type and key)")
        self.spelled, self.name = spelled, parts[0]
        demand(len(self.name.encode()) <= 255 and not re.search(r"[\s\x00-\x1f\x7f-\x9f]", self.name),
               "a key's name has no white space and at most 255 bytes")
        data = from_base64(parts[2])
        demand(data and data[0] in kinds, "a verifier key of another type than is read here")
        self.kind, self.public = data[0], data[1:]
        self.id = sha256(self.name.encode(), b"\n", data)[:4]
        demand(self.id.hex() == parts[1], "a verifier key's id does not belong to it")
        if self.kind == self.ML_DSA_44:
            demand(len(self.public) == 1_312, "a key of 1,312 bytes is expected")
        else:
            demand(len(self.public) == 32 and not is_small_order(self.public), "no usable Ed25519 key")

    def same(self, other):
        return (self.name, self.kind, self.public) == (other.name, other.kind, other.public)


class Note:
    """A signed note (C2SP signed-note), not checked yet."""

    def __init__(self, data):
        demand(len(data) <= NOTE_LIMIT, "the note is too long")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Invalid("the note is not UTF-8") from error
        at = whole.rfind("\n\n")
        demand(at >= 0, "the note has no blank line before its signatures")
        self.text, lines = whole[:at + 1], whole[at + 2:]
        demand(not re.search(r"[\x00-\x09\x0b-\x1f]", self.text), "the note has control characters")
        demand(lines.endswith("\n"), "the note has no signature lines")
        lines = lines[:-1].split("\n")
        demand(len(lines) <= 100, "the note has too many signatures")
        self.signatures = []
        for line in lines:
            parts = line.split(" ", 2)
            demand(len(parts) == 3 and parts[0] == "\u2014", "a signature line is malformed")
            demand(parts[1] and "+" not in parts[1] and len(parts[1].encode()) <= 255
                   and not re.search(r"[\s\x00-\x1f\x7f-\x9f]", parts[1]), "a signature line's name is malformed")
            payload = from_base64(parts[2])
            demand(len(payload) > 4, "a signature line has no signature")
            self.signatures.append((parts[1], payload[:4], payload[4:]))

    def lines_of(self, key):
        return [payload for who, key_id, payload in self.signatures if (who, key_id) == (key.name, key.id)]


class Checkpoint:
    def __init__(self, note):
        lines = note.text[:-1].split("\n")
        demand(len(lines) >= 3 and all(lines), "a checkpoint has an origin, a size and a root")
        self.origin = lines[0]
        self.size = decimal(lines[1])
        self.root = from_base64(lines[2])
        demand(len(self.root) == 32, "a root has 32 bytes")
        demand(self.size > 0 or self.root == sha256(), "the tree without entries has another root")


def decimal(word):
    matched(word, r"0|[1-9][0-9]{0,19}", "decimal")
    demand(int(word) < 1 << 64, f"`{word}` is too large")
    return int(word)


class Trust:
    """What the auditor trusts: a C2SP tlog-policy file, or a log's verifier key alone."""

    def __init__(self, data, rp_id=None, web_origins=None, bootstrap=None):
        self.logs, self.witnesses, self.rules, self.quorum = [], {}, {}, None
        self.rp_id, self.web_origins, self.bootstrap = rp_id, web_origins, bootstrap
        try:
            self.logs = [VerifierKey(data.decode().strip(), {VerifierKey.LOG})]
        except (Invalid, UnicodeDecodeError):
            self.read_policy(data)

    def read_policy(self, data):
        demand(len(data) <= 262_144, "the trust file is too long")
        demand(data.endswith(b"\n"), "the trust file's last line does not end in a newline")
        members, has_quorum, keys, publics = set(), False, set(), set()
        for line in data[:-1].split(b"\n"):
            demand(not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", line), "the trust file has control characters")
            try:
                words = [word for word in re.split(r"[ \t]", line.decode()) if word]
            except UnicodeDecodeError as error:
                raise Invalid("the trust file is not UTF-8") from error
            if not words or words[0].startswith("#"):
                continue
            keyword, rest = words[0], words[1:]
            if keyword == "log":
                demand(len(rest) in (1, 2), "expected `log <vkey> [<url>]`")
                self.logs.append(self.claim(VerifierKey(rest[0], {1, 6}), keys, publics, "log"))
            elif keyword == "witness":
                demand(len(rest) in (2, 3), "expected `witness <name> <vkey> [<url>]`")
                self.define(rest[0], ("witness", rest[0]))
                self.witnesses[rest[0]] = self.claim(VerifierKey(rest[1], {4, 6}), keys, publics, "witness")
            elif keyword == "group":
                demand(len(rest) >= 3, "expected `group <name> all|any|<k> <name>...`")
                below = rest[2:]
                k = {"all": len(below), "any": 1}.get(rest[1]) or decimal(rest[1])
                demand(1 <= k <= len(below), "a group's threshold is from 1 to its members")
                for member in below:
                    demand(member in self.rules and member not in members, f"`{member}` cannot be a member")
                    members.add(member)
                self.define(rest[0], ("group", k, below))
            elif keyword == "quorum":
                demand(len(rest) == 1 and not has_quorum, "expected one `quorum <name>|none`")
                demand(rest[0] == "none" or rest[0] in self.rules, f"`{rest[0]}` is not defined")
                has_quorum, self.quorum = True, None if rest[0] == "none" else rest[0]
            else:
                raise Invalid(f"`{keyword}` is no keyword of a trust file")
        demand(has_quorum, "the trust file has no quorum line")
        self.logs = [key for key in self.logs if key.kind == VerifierKey.LOG]

    def claim(self, key, keys, publics, kind):
        demand((key.name, key.id) not in keys and (kind, key.public) not in publics, "a key stands twice")
        keys.add((key.name, key.id))
        publics.add((kind, key.public))
        return key

    def define(self, new, rule):
        demand(new != "none" and new not in self.rules and len(new.encode()) <= 255, f"the name `{new}` is taken")
        self.rules[new] = rule

    def is_met(self, rule, cosigned):
        kind = self.rules[rule]
        if kind[0] == "witness":
            return rule in cosigned
        return sum(self.is_met(member, cosigned) for member in kind[2]) >= kind[1]

    def keys_of(self, origin):
        keys = [key for key in self.logs if key.name == origin]
        demand(keys, f"it is of the log `{origin}`, which the trust file does not name")
        return keys


class NotSigned(Invalid):
    """No key that is trusted signed."""


def open_checkpoint(note, keys):
    """Checks the log's signature; answers the checkpoint and the key."""
    signer = None
    for who, key_id, payload in note.signatures:
        for key in keys:
            if (key.name, key.id) == (who, key_id):
                check_ed25519(key.public, note.text.encode(), payload)
                signer = signer or key
    if signer is None:
        raise NotSigned("no key that is trusted signed the checkpoint")
    checkpoint = Checkpoint(note)
    demand(checkpoint.origin == signer.name, "the checkpoint is of another log than its key")
    return checkpoint, signer


def cosignatures(note, trust):
    """When each known witness cosigned, in seconds; a bad line under a known name spoils the note."""
    found = {}
    for who, key in trust.witnesses.items():
        for payload in note.lines_of(key) if key.kind == VerifierKey.WITNESS else []:
            demand(len(payload) == 72, f"the cosignature of `{who}` is malformed")
            time = struct.unpack(">Q", payload[:8])[0]
            demand(time < 1 << 63, f"the cosignature of `{who}` is malformed")
            message = f"cosignature/v1\ntime {time}\n{note.text}".encode()
            try:
                check_ed25519(key.public, message, payload[8:])
            except Invalid as error:
                raise Invalid(f"the cosignature of `{who}`: {error}") from error
            found[who] = max(time, found.get(who, 0))
    return found


# --- Entries: leaves and fields (section 5) ------------------------------------------------------------------------

EVENTS = {"request/1": {"requested"}, "review/1": {"reviewed"}, "question/1": {"asked"},
          "answer/1": {"answered", "withdrawn"}, "reevaluation/1": {"reevaluated", "dismissed"},
          "end/1": {"expired", "cancelled"}, "execution/1": {"redeemed"}, "outcome/1": {"finished"},
          "later-review/1": {"later-reviewed"}}
KINDS = {*EVENTS, "genesis/1", "decision/1", "directory/1", "activity/1", "refusal/1", "reveal/1", "erasure/1",
         "heartbeat/1", "gap/1", "rotation/1", "pruning/1", "reported/1", "backup/1"}


class Entry:
    """A leaf with its fields: path to value, or None where it is withheld. `open` maps paths to values."""

    def __init__(self, index, data, fields, origin):
        leaf = shaped(read_json(data), "the leaf", ("v", "origin", "kind", "time", "count", "fields"), ("subject",))
        version_one(leaf["v"], "a leaf")
        one_of(leaf["kind"], KINDS, "kind of entry")
        demand(leaf["origin"] == origin, f"its leaf names another log, `{leaf['origin']}`")
        self.index, self.kind, self.time = index, leaf["kind"], number(leaf["time"], "time")
        self.subject = None if leaf["subject"] is None else text(leaf["subject"])
        self.count = number(leaf["count"], "count", (1 << 32) - 1)
        root = digest_of(leaf["fields"])
        self.fields = None
        if fields is not None:
            self.fields = [read_field(field) for field in listed(fields, "fields")]
            demand(len(self.fields) == self.count, "it shows another number of fields than its leaf counts")
            demand(fields_root(self.fields) == root, "its fields are not those that its leaf commits to")

    def values(self, *paths):
        """The values of exactly these fields, None for each that is withheld."""
        demand(self.count == len(paths), f"it has other fields than `{self.kind}` has")
        if self.fields is None:
            return [None] * len(paths)
        for path, (_, shown) in zip(paths, self.fields):
            demand(shown is None or shown[0] == path, f"it has other fields than `{self.kind}` has")
        return [None if shown is None else shown[1] for _, shown in self.fields]


def read_field(value):
    """A field as (commitment, None), or as (commitment, (path, value)) where it is open."""
    demand(isinstance(value, dict) and len(value) == 1, "a field is `open` or `withheld`")
    if "withheld" in value:
        return digest_of(value["withheld"]), None
    demand("open" in value, "a field is `open` or `withheld`")
    field = shaped(value["open"], "a field", ("path", "salt", "value"))
    path, salt, content = text(field["path"], "path", PATH_LIMIT).encode(), blob(field["salt"]), blob(field["value"])
    demand(len(salt) == 32, "a salt has 32 bytes")
    commitment = sha256(b"countersign/field/v1", struct.pack(">I", len(path)), path, salt, content)
    return commitment, (field["path"], content)


def fields_root(fields):
    demand(len(fields) <= FIELDS_LIMIT, "a record has too many fields")
    paths = [shown[0].encode() for _, shown in fields if shown]
    demand(all(one < other for one, other in zip(paths, paths[1:])), "fields are out of order")
    return sha256(b"countersign/fields/v1", struct.pack(">I", len(fields)), *(field[0] for field in fields))


def read_proof(value):
    return [digest_of(item) for item in listed(value, "a proof")]


def read_entry(value, origin, checkpoint):
    """An entry with its inclusion proof, as receipts and `entries.jsonl` have it."""
    value = shaped(value, "an entry", ("index", "leaf", "proof", "fields"))
    index, data = number(value["index"], "index"), blob(value["leaf"])
    try:
        check_inclusion(leaf_hash(data), index, checkpoint.size, read_proof(value["proof"]), checkpoint.root)
        return Entry(index, data, listed(value["fields"], "fields"), origin)
    except Invalid as error:
        raise Invalid(f"entry {index}: {error}") from error


# --- Records: actions, evaluations, statements (section 6) -----------------------------------------------------------


def purpose(word, data):
    return sha256(f"countersign/{word}/v1\n".encode(), data)


def read_chain(value):
    chain = shaped(value, "the chain", ("caller", "behind"))
    behind = []
    for link in listed(chain["behind"], "the chain"):
        link = shaped(link, "a link", ("party", "role"))
        one_of(link["role"], ("sponsor", "subject", "delegate", "trigger", "editor"), "role")
        behind.append((party(link["party"]), link["role"]))
    return {"caller": party(chain["caller"]), "behind": behind}


def read_action(data):
    record = shaped(
        read_json(data), "the action",
        ("v", "id", "point", "level", "chain", "verb", "resource", "target", "session", "payload"),
        ("credential", "run", "reason"))
    version_one(record["v"], "an action record")
    one_of(record["point"], ("http", "rest", "postgres", "mcp", "exec", "k8s", "model", "config"), "point")
    one_of(record["level"], ("enforced", "cooperative"), "level")
    resource = shaped(record["resource"], "the resource", ("name", "environment", "labels"))
    target = shaped(record["target"], "the target", ("name", "definition"))
    labels = resource["labels"]
    for words, what in ((labels, "labels"), (record["session"], "session")):
        demand(isinstance(words, dict) and all(isinstance(word, str) for word in words.values()), f"{what}: texts")
    text(resource["name"], "the resource", 8_192)
    name(resource["environment"])
    name(target["name"])
    if record["credential"] is not None:
        name(record["credential"])
    digest_of(target["definition"])
    for member, limit in (("reason", TEXT_LIMIT), ("run", 256)):
        if record[member] is not None:
            text(record[member], member, limit)
    chain = read_chain(record["chain"])
    demand(len(chain["behind"]) <= CHAIN_LIMIT, "the chain is too long")
    return {
        **record, "id": uuid(record["id"]), "chain": chain, "digest": purpose("action", data),
        "payload": digest_of(record["payload"]), "verb": one_of(record["verb"], VERBS, "verb"),
        "production": resource["environment"] in ("prod", "production") or labels.get("production") == "true",
        "parties": [chain["caller"], *(who for who, _ in chain["behind"])],
    }


def read_requirement(value):
    requirement = shaped(value, "the requirement", ("holds", "ttl", "grant", "assurance", "separation"))
    for hold in listed(requirement["holds"], "holds"):
        hold = shaped(hold, "a hold", ("rule", "why", "any_of"))
        name(hold["rule"])
        text(hold["why"])
        for quorum in listed(hold["any_of"], "quorums"):
            quorum = shaped(quorum, "a quorum", ("group", "count", *glass_of(quorum)))
            name(quorum["group"])
            number(quorum["count"], "count", 255)
    number(requirement["ttl"])
    number(requirement["grant"])
    demand(requirement["assurance"] in ("chat", "passkey"), "unknown assurance")
    demand(requirement["separation"] in ("full", "none"), "unknown separation")
    return requirement


def glass_of(value):
    """The member that says break-glass, where it stands; it stands only where it is true."""
    if not isinstance(value, dict) or "break_glass" not in value:
        return ()
    demand(value["break_glass"] is True, "`break_glass` that is not true is left out")
    return ("break_glass",)


def asked_groups(requirement, glass=False):
    return sorted({quorum["group"] for hold in requirement["holds"] for quorum in hold["any_of"]
                   if bool(glass_of(quorum)) == glass})


def counted_under(statement):
    """Under what an approval counts: breaking glass is never an ordinary approval, nor the other way about."""
    return statement["group"], bool(glass_of(statement))


def is_met(requirement, approvals):
    """Whether so many distinct humans by group lift every hold; there is at least one."""
    def lifted(quorum):
        return 0 < quorum["count"] <= approvals.get(counted_under(quorum), 0)
    return bool(requirement["holds"]) and all(any(map(lifted, hold["any_of"])) for hold in requirement["holds"])


def read_evaluation(value):
    evaluation = shaped(value, "the evaluation", ("v", "action", "policy", "directory", "facts", "decision", "rules", "shadow"))
    version_one(evaluation["v"], "an evaluation")
    number(evaluation["directory"])
    demand(isinstance(evaluation["facts"], dict)
           and all(isinstance(fact, (bool, int, str)) for fact in evaluation["facts"].values()), "unknown facts")
    for rule in listed(evaluation["rules"], "rules"):
        rule = shaped(rule, "a rule", ("id", "why"))
        name(rule["id"])
        text(rule["why"])
    for rule in listed(evaluation["shadow"], "shadow rules"):
        name(rule)
    effect = evaluation["decision"].get("effect") if isinstance(evaluation["decision"], dict) else None
    if effect == "needs-review":
        decision = shaped(evaluation["decision"], "the decision", ("effect", "requirement"))
        requirement = read_requirement(decision["requirement"])
    else:
        demand(effect in ("permit", "deny"), "an unknown decision")
        decision = shaped(evaluation["decision"], "the decision", ("effect",), ("requirement",))
        demand(decision["requirement"] is None, "a decision without people has no requirement")
        requirement = None
    return {
        "action": digest_of(evaluation["action"]), "policy": digest_of(evaluation["policy"]), "effect": effect,
        "requirement": requirement, "digest": purpose("evaluation", canonical(value).encode()),
        "rules": [rule["id"] for rule in evaluation["rules"]],
    }


def read_statement(data):
    statement = read_json(data)
    statement = shaped(
        statement, "the statement",
        ("v", "origin", "approval", "action", "evaluation", "verdict", "grant", "effects", "reviewer", "assurance",
         "nonce", "expires", "displayed", *glass_of(statement)), ("note", "group"))
    named = shaped(statement["evaluation"], "the statement's evaluation", ("digest", "policy", "requirement"))
    grant = shaped(statement["grant"], "the grant", ("uses", "seconds"))
    version_one(statement["v"], "a statement")
    demand(number(grant["uses"]) == 1 and statement["effects"] == {}, "the statement binds what this version cannot")
    number(grant["seconds"])
    demand(statement["verdict"] in ("approve", "deny", "ask"), "an unknown verdict")
    demand(statement["assurance"] in ("chat", "passkey"), "unknown assurance")
    note = "" if statement["note"] is None else text(statement["note"], "the note", TEXT_LIMIT)
    demand(statement["verdict"] != "approve" or statement["group"] is not None, "an approval names a group")
    demand(statement["verdict"] != "ask" or not is_blank(note), "a question needs words")
    demand(not glass_of(statement) or (statement["verdict"] == "approve" and not is_blank(note)),
           "glass is broken by an approval, with the reason in its note")
    if statement["group"] is not None:
        name(statement["group"])
    nonce = blob(statement["nonce"])
    demand(len(nonce) == 32, "a nonce has 32 bytes")
    digest_of(statement["displayed"])
    return {
        **statement, "approval": uuid(statement["approval"]), "action": digest_of(statement["action"]),
        "reviewer": uuid(statement["reviewer"]), "nonce": nonce, "expires": number(statement["expires"]),
        "evaluation": {"digest": digest_of(named["digest"]), "policy": digest_of(named["policy"]),
                       "requirement": read_requirement(named["requirement"])},
    }


def read_event(entry, data):
    event = read_json(data)
    demand(isinstance(event, dict) and isinstance(event.get("type"), str), "the event has no type")
    word = event["type"]
    demand(word in EVENTS[entry.kind], f"its leaf says `{entry.kind}` and its event `{word}`")
    members = {
        "requested": ("id", "action", "chain", "evaluation"), "reviewed": ("review",), "asked": ("question", "review"),
        "answered": ("question", "by", "text"), "withdrawn": ("question", "by"), "reevaluated": ("evaluation",),
        "dismissed": ("reviews",), "expired": (), "cancelled": ("by", "reason"),
        "redeemed": ("grant", "evaluation", "counted"), "finished": ("outcome",),
        "later-reviewed": ("review",)}[word]
    event = shaped(event, "the event", ("type", *members))
    if "evaluation" in members:
        event["evaluation"] = read_evaluation(event["evaluation"])
    if "review" in members:
        event["review"] = read_review(event["review"])
    for member in ("question", "grant", "id"):
        if member in members:
            event[member] = uuid(event[member])
    if word == "requested":
        event["action"], event["chain"] = digest_of(event["action"]), read_chain(event["chain"])
    elif word in ("answered", "cancelled"):
        event["by"] = party(event["by"])
        text(event["text" if word == "answered" else "reason"])
    elif word == "withdrawn":
        event["by"] = uuid(event["by"])
    elif word == "redeemed":
        event["counted"] = [uuid(person) for person in listed(event["counted"], "the counted")]
    elif word == "dismissed":
        reviews = [shaped(item, "a dismissal", ("reviewer", "why")) for item in listed(event["reviews"], "reviews")]
        event["reviews"] = [(uuid(item["reviewer"]), text(item["why"])) for item in reviews]
    elif word == "finished":
        event["outcome"] = read_outcome(event["outcome"])
    return event


def read_outcome(value):
    outcome = shaped(value, "the outcome", ("ending", "witnessed", "detail", "bytes"), ("result",))
    demand(outcome["ending"] in ("succeeded", "failed", "unknown"), "an unknown ending")
    demand(outcome["witnessed"] in ("observed", "reported"), "an unknown witness")
    text(outcome["detail"])
    number(outcome["bytes"])
    result = None if outcome["result"] is None else digest_of(outcome["result"])
    return {**outcome, "result": result}


def read_later_statement(data):
    """What somebody signs who looks at broken glass afterwards."""
    statement = shaped(
        read_json(data), "the later review's statement",
        ("v", "origin", "approval", "action", "broken", "end", "finding", "note", "group", "reviewer", "assurance",
         "nonce", "expires", "displayed"))
    version_one(statement["v"], "a later review's statement")
    demand(statement["finding"] in ("justified", "not-justified"), "an unknown finding")
    demand(statement["assurance"] in ("chat", "passkey"), "unknown assurance")
    demand(not is_blank(text(statement["note"], "the note", TEXT_LIMIT)), "a later review says why")
    name(statement["group"])
    demand(len(blob(statement["nonce"])) == 32, "a nonce has 32 bytes")
    digest_of(statement["displayed"])
    broken = [digest_of(digest) for digest in listed(statement["broken"], "broken glass")]
    demand(broken, "a later review of no broken glass")
    state = statement["end"].get("state") if isinstance(statement["end"], dict) else None
    demand(state in Case.ENDED, "a later review of another end")
    ran = ("grant", "outcome") if state == "finished" else ()
    end = shaped(statement["end"], "the end", ("state", "at", *ran))
    end = {"state": state, "at": number(end["at"]),
           **({"grant": uuid(end["grant"]), "outcome": read_outcome(end["outcome"])} if ran else {})}
    return {
        **statement, "approval": uuid(statement["approval"]), "action": digest_of(statement["action"]), "broken": broken,
        "end": end, "reviewer": uuid(statement["reviewer"]), "expires": number(statement["expires"]),
    }


def read_account(value):
    """An account elsewhere, as its id: provider, team and user, a line each."""
    account = shaped(value, "the account", ("provider", "team", "user"))
    for member in ("team", "user"):
        demand(isinstance(account[member], str) and re.fullmatch(r"[!-~]{1,255}", account[member]), f"the {member} is no id")
    return "\n".join((name(account["provider"]), account["team"], account["user"])).encode()


def read_review(value):
    review = shaped(value, "the review", ("statement", "proof"))
    proof = review["proof"]
    demand(isinstance(proof, dict) and len(proof) == 1, "a review has one proof")
    (kind, parts), = proof.items()
    if kind == "passkey":
        parts = shaped(parts, "the proof", ("credentialId", "clientDataJSON", "authenticatorData", "signature"))
        parts = {member: blob(data) for member, data in parts.items()}
        parts["key"] = parts["credentialId"]
    elif kind == "chat":
        parts = shaped(parts, "the proof", ("account", "evidence"))
        demand(len(blob(parts["evidence"])) <= 4_096, "the click's evidence is over its limit")
        parts = {"key": read_account(parts["account"])}
    else:
        demand(kind == "sshsig", "an unknown kind of proof")
        parts = {member: blob(data) for member, data in shaped(parts, "the proof", ("key", "signature")).items()}
    return {"statement": blob(review["statement"]), "kind": kind, "proof": parts}


# --- A human's signature (section 7) ---------------------------------------------------------------------------------


def check_p256(x, y, message, signature):
    try:
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        numbers.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise Invalid("the review's signature does not verify") from error


ES256 = bytes.fromhex("a5010203262001215820"), bytes.fromhex("225820")
EDDSA = bytes.fromhex("a4010103272006215820")


def check_cose(key, message, signature):
    """A COSE key in its only encoding: ES256 (77 bytes) or EdDSA (42 bytes)."""
    if len(key) == 77 and key.startswith(ES256[0]) and key[42:45] == ES256[1]:
        check_p256(key[10:42], key[45:], message, signature)
    else:
        demand(len(key) == 42 and key.startswith(EDDSA), "the passkey's public key is of no kind that is read")
        check_ed25519(key[10:], message, signature)


VERDICT, LATER = "approval-statement", "later-review-statement"  # what is signed; neither passes for the other


def check_passkey(trust, key, statement, proof, said=VERDICT):
    """W3C WebAuthn Level 3, section 7.2, for user verification required."""
    demand(trust.rp_id in (None, key["rp_id"]), f"the key was enrolled for `{key['rp_id']}`, not for the trusted one")
    origins = [key["origin"]] if trust.web_origins is None else trust.web_origins
    demand(1 <= len(proof["credentialId"]) <= 1_023, "a credential id has 1 to 1,023 bytes")
    client = read_json(proof["clientDataJSON"], 4_096, exact=False)
    demand(isinstance(client, dict), "the client data is not an object")
    demand(client.get("type") == "webauthn.get", "the client data is of another type")
    challenge = purpose(said, statement)
    demand(isinstance(client.get("challenge"), str) and blob(client["challenge"]) == challenge,
           "another challenge was signed")
    demand(isinstance(client.get("origin"), str) and client["origin"] in origins,
           f"the origin `{client.get('origin')}` is not allowed")
    demand("topOrigin" not in client and client.get("crossOrigin", False) is False, "it was signed in a frame")
    data = proof["authenticatorData"]
    demand(37 <= len(data) <= 4_096, "the authenticator data has another length")
    flags = data[32]
    demand(data[:32] == sha256(key["rp_id"].encode()), "it was signed for another relying party")
    demand(flags & 1, "nobody was present")
    demand(flags & 4, "the authenticator did not verify its user")
    demand(flags & 8 or not flags & 16, "a credential is backed up that cannot be")
    demand(not flags & 64, "an assertion has no new credential")
    if flags & 128:
        demand(extension_map(data[37:]) == len(data) - 37, "bytes follow the authenticator data")
    else:
        demand(len(data) == 37, "bytes follow the authenticator data")
    check_cose(key["public_key"], data + sha256(proof["clientDataJSON"]), proof["signature"])


def extension_map(data):
    """The length of a strict CBOR map with text keys; its content is passed over."""
    demand(data and data[0] >> 5 == 5, "the extensions are not a map")
    return cbor_item(data, 0, 0, text_keys=True)


def cbor_item(data, at, depth, text_keys=False):
    """The place behind one CBOR item (RFC 8949): integers, bytes, text, arrays, maps, true, false and null; definite
    lengths, shortest forms, no key twice, at most 16 arrays and maps within each other."""
    bad = "the extensions are malformed"
    demand(at < len(data), bad)
    kind, info, at = data[at] >> 5, data[at] & 31, at + 1
    value = info
    demand(kind not in (6, 7) or (kind == 7 and info in (20, 21, 22)), bad)
    if info >= 24:
        demand(info <= 27, bad)
        width = 1 << (info - 24)
        demand(at + width <= len(data), bad)
        value, at = int.from_bytes(data[at:at + width], "big"), at + width
        demand(value >= (24 if width == 1 else 1 << (4 * width)), bad)
    if kind in (2, 3):
        demand(at + value <= len(data), bad)
        if kind == 3:
            try:
                data[at:at + value].decode("utf-8")
            except UnicodeDecodeError as error:
                raise Invalid(bad) from error
        return at + value
    if kind in (4, 5):
        demand(depth < 16, bad)
        keys = set()
        for _ in range(value):
            if kind == 5:
                behind = cbor_item(data, at, depth + 1)
                key = bytes(data[at:behind])
                demand(key not in keys and (not text_keys or key[0] >> 5 == 3), bad)
                keys.add(key)
                at = behind
            at = cbor_item(data, at, depth + 1)
    return at


class Wire:
    """SSH's binary forms (RFC 4251), read to the last byte."""

    def __init__(self, data):
        self.data = data

    def take(self, length):
        demand(length <= len(self.data), "the SSH signature or key is cut short")
        head, self.data = self.data[:length], self.data[length:]
        return head

    def string(self):
        return self.take(struct.unpack(">I", self.take(4))[0])

    def end(self):
        demand(not self.data, "bytes follow the SSH signature or key")


SSH_ED25519, SSH_ECDSA = b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"


def check_ssh(key, statement, signature, said=VERDICT):
    """OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f, for keys on a security key."""
    demand(len(key) <= 1_024 and len(signature) <= 2_048, "the SSH signature or key is too long")
    wire = Wire(key)
    algorithm = wire.string()
    demand(algorithm in (SSH_ED25519, SSH_ECDSA), "the SSH key is on no security key")
    if algorithm == SSH_ECDSA:
        demand(wire.string() == b"nistp256", "the SSH key's curve is not nistp256")
    public, application = wire.string(), wire.string()
    wire.end()
    demand(re.fullmatch(rb"ssh:[\x21-\x7e]{0,251}", application), "the SSH key's application is none of OpenSSH's")

    wire = Wire(signature)
    demand(wire.take(10) == b"SSHSIG" + struct.pack(">I", 1), "this is no SSH signature of version 1")
    demand(wire.string() == key, "the SSH signature is by another key")
    namespace, reserved, hash_name, inner = wire.string(), wire.string(), wire.string(), Wire(wire.string())
    wire.end()
    demand(namespace == f"{said}@countersign".encode(), "the SSH signature is under another namespace")
    demand(reserved == b"" and hash_name in (b"sha256", b"sha512"), "the SSH signature is malformed")
    demand(inner.string() == algorithm, "the SSH signature is of another type than its key")
    signed, flags, counter = inner.string(), inner.take(1), inner.take(4)
    inner.end()
    demand(not flags[0] & 0xC0, "the SSH signature is malformed")
    demand(flags[0] & 1, "nobody was present")
    demand(flags[0] & 4, "the authenticator did not verify its user")

    message = f"countersign/{said}/v1\n".encode() + statement
    data = b"SSHSIG"
    for part in (namespace, b"", hash_name, hashlib.new(hash_name.decode(), message).digest()):
        data += struct.pack(">I", len(part)) + part
    data = sha256(application) + flags + counter + sha256(data)
    if algorithm == SSH_ED25519:
        check_ed25519(public, data, signed)
        return
    demand(len(public) == 65 and public[0] == 4, "the SSH key is no point on P-256")
    wire = Wire(signed)
    scalars = [wire.string(), wire.string()]
    wire.end()
    for scalar in scalars:
        shortest = scalar and (scalar[0] < 0x80) and (scalar[0] != 0 or (len(scalar) > 1 and scalar[1] >= 0x80))
        demand(shortest and len(scalar.lstrip(b"\0")) <= 32, "the SSH signature is malformed")
    r, s = (int.from_bytes(scalar, "big") for scalar in scalars)
    check_p256(public[1:33], public[33:], data, utils.encode_dss_signature(r, s))


# --- People, keys and groups, as directory entries tell them (section 8) -----------------------------------------------


class Refused(Invalid):
    """A review that only does not count; an altered one is Invalid itself."""


class Known:
    def __init__(self, trust):
        self.trust = trust
        self.names, self.gone, self.sponsors = {}, {}, {}
        self.keys = {}  # (person, key id) -> the key, or who revoked it: a dict with `revoked`
        self.owners = {}  # key id -> (index, person)
        self.holders = {}  # ("id" or "public", bytes) -> (person, key id): for whom a key speaks, the first one
        self.accounts = {}  # account id -> for whom it stands, since which entry, at whose doing, until which entry
        self.groups = {}  # (person, group) -> (index, vouch) where they stand in it, or None where they left
        self.admins = set()  # who stands in the group `admins`
        self.withheld = {}  # subject -> the index of the last change of it that is withheld
        self.first_key = None  # the index of the first entry that enrols any key
        self.spent = set()  # approvals under which changes were made: each is good for one
        self.unchecked = {}  # key id -> in whose name it signed before any entry enrolled it
        self.missing = set()

    def learn(self, entry, case_of):
        data, = entry.values("change")
        if data is None:
            if entry.subject is not None:
                self.withheld[entry.subject] = entry.index
            return
        change = shaped(read_json(data), "the change", ("event",), ("by", "approval"))
        event = change["event"]
        demand(isinstance(event, dict) and isinstance(event.get("type"), str), "the change has no event")
        kind = event["type"]
        members = {
            "person-added": ("id", "name"), "person-deactivated": ("id",), "key-enrolled": ("person", "key"),
            "ssh-key-enrolled": ("person", "key"), "key-revoked": ("person", "credential_id"),
            "account-linked": ("person", "account"), "account-unlinked": ("person", "account"),
            "group-joined": ("group", "person"), "group-left": ("group", "person"),
            "agent-added": ("id", "name", "sponsor", "key"), "agent-key-replaced": ("id", "key"),
            "agent-sponsor-changed": ("id", "sponsor"), "agent-disabled": ("id",), "route-set": ("name", "document"),
            "route-removed": ("name",), "policy-applied": ("text",)}.get(kind)
        demand(members is not None, f"`{kind}` is no change of the directory")
        event = shaped(event, "the change", ("type", *members))
        if change["by"] is not None:
            change["by"] = party(change["by"])
        if change["approval"] is not None:
            change["approval"] = uuid(change["approval"])
        person = uuid(event["person"]) if "person" in members else None
        about = {"agent": lambda: f"agent:{uuid(event['id'])}", "person": lambda: f"person:{person or uuid(event['id'])}",
                 "route": lambda: f"route:{name(event['name'])}", "policy": lambda: "policy"}
        subject = about["person" if person else kind.split("-")[0]]()
        demand(entry.subject == subject, "the change is about somebody else than its leaf says")
        if kind == "person-added":
            self.names[subject] = text(event["name"])
        elif kind == "person-deactivated":
            who = uuid(event["id"])
            self.gone[who] = entry.index
            self.admins.discard(who)
            for member in [member for member in self.groups if member[0] == who]:
                self.groups[member] = None
        elif kind == "key-enrolled":
            key = shaped(event["key"], "the passkey", ("credential_id", "public_key", "rp_id", "origin", "label"))
            key = {"kind": "passkey", "public_key": blob(key["public_key"]), "rp_id": text(key["rp_id"]),
                   "origin": text(key["origin"]), "label": text(key["label"]), "id": blob(key["credential_id"])}
            self.enrol(entry.index, person, key, self.vouch(change, person, key, case_of))
        elif kind == "ssh-key-enrolled":
            key = shaped(event["key"], "the SSH key", ("public_key", "label"))
            key = {"kind": "sshsig", "public_key": blob(key["public_key"]), "label": text(key["label"])}
            key["id"] = sha256(key["public_key"])
            self.enrol(entry.index, person, key, self.vouch(change, person, key, case_of))
        elif kind == "key-revoked":
            signed = None if change["approval"] is None else self.vouch_case(change, None, case_of)
            self.keys[person, blob(event["credential_id"])] = {
                "revoked": entry.index, "by": change["by"], "under": change["approval"], "signed": signed}
        elif kind == "account-linked":
            account = read_account(event["account"])
            self.accounts[account] = {"person": person, "linked": entry.index, "by": change["by"], "unlinked": None}
            demand(account not in self.unchecked, f"entry {entry.index} links an account that had been clicked in before")
        elif kind == "account-unlinked":
            self.accounts.setdefault(read_account(event["account"]), {"person": person, "linked": None, "by": None})["unlinked"] = entry.index
        elif kind == "group-joined":
            self.groups[person, name(event["group"])] = entry.index, self.vouch_standing(change, case_of)
            self.admins.update({person} if event["group"] == "admins" else ())
        elif kind == "group-left":
            self.groups[person, name(event["group"])] = None
            self.admins.difference_update({person} if event["group"] == "admins" else ())
        elif kind == "agent-added":
            self.names[subject], self.sponsors[subject] = text(event["name"]), uuid(event["sponsor"])
            blob(event["key"])
        elif kind == "agent-sponsor-changed":
            self.sponsors[subject] = uuid(event["sponsor"])
        elif kind == "agent-key-replaced":
            blob(event["key"])
        elif kind in ("route-set", "policy-applied"):
            text(event["document" if kind == "route-set" else "text"])

    def vouch(self, change, owner, key, case_of):
        """Who signed for a key that is enrolled: a pair of `signed` (by whom), `not-shown` or `refused` (why)."""
        other = self.held_by_another(owner, key)
        if other:
            return "refused", f"the same key speaks for {other}: one human fills one place"
        if change["approval"] is None:
            if change["by"] is not None or self.first_key is not None:
                return "refused", "its entry names no approval, and is not the first administrator's"
            pinned = self.trust.bootstrap
            if pinned is not None and pinned != fingerprint(key["public_key"]):
                return "refused", f"it is the log's first, {fingerprint(key['public_key'])}, and not the bootstrap key that is trusted"
            return "signed", [self.bootstrap()]
        return self.vouch_case(change, owner, case_of)

    def vouch_standing(self, change, case_of):
        """Who signed for a standing in a group, in the same way."""
        by = change["by"]
        if change["approval"] is not None:
            return self.vouch_case(change, None, case_of)
        if by is None and self.first_key is None:
            return "signed", [self.bootstrap()]
        if by is None or not by.startswith("person:"):
            return "refused", "its entry names no approval"
        by = by.removeprefix("person:")
        if (by, "admins") in self.groups and not self.stands(by, "admins"):
            return "refused", f"its entry names no approval, and {by} was no administrator"
        for person in sorted(self.admins - {by}):
            if self.has_passkey(person):
                return "refused", f"its entry names no approval, though {person} was a second administrator"
        return "signed", [f"nobody: it is the word of the only administrator, {by}, as the log has it; separation: none"]

    def vouch_case(self, change, owner, case_of):
        named = change["approval"]
        if named in self.spent:
            return "refused", f"the approval {named} was spent on another change before"
        self.spent.add(named)
        case, why = case_of(named)
        if case is None:
            return "not-shown", why or f"the approval {named} is not shown"
        return countersigners(case, change["event"], owner)

    def bootstrap(self):
        trusted = "with the bootstrap key that you trust" if self.trust.bootstrap else (
            "TAKEN ON TRUST from the log (`--bootstrap-key` pins it)")
        return f"nobody: it is the first administrator's, {trusted}; separation: none"

    def held_by_another(self, owner, key):
        """Somebody else for whom the same key speaks by now, under the same id or another."""
        other = None
        for held in (("id", key["id"]), ("public", key["public_key"])):
            holder, under = self.holders.get(held, (owner, None))
            if holder != owner and holder not in self.gone and "revoked" not in self.keys.get((holder, under), {"revoked": 0}):
                other = other or holder
            else:
                self.holders[held] = owner, key["id"]
        return other

    def stands(self, person, group):
        member = self.groups.get((person, group))
        return bool(member) and member[1][0] != "refused"

    def has_passkey(self, person):
        return any(who == person and key.get("kind") == "passkey" for (who, _), key in self.keys.items())

    def enrol(self, index, person, key, vouch):
        if self.first_key is None:
            self.first_key = index
        key = {**key, "enrolled": index, "vouch": vouch}
        self.keys[person, key["id"]], self.owners[key["id"]] = key, (index, person)
        demand(key["id"] not in self.unchecked, f"entry {index} enrols a key that had signed a review before")

    def check_click(self, account, reviewer):
        """A click in an account elsewhere: no key signed. That it was made is the log's word."""
        link = self.accounts.get(account)
        if link is None:
            self.unchecked.setdefault(account, reviewer)
            self.missing.add(f"no entry links the account of {reviewer}, so whose click it was is unchecked")
            return
        demand(link["person"] == reviewer, f"the account is linked to {link['person']}, not to {reviewer}")
        if link["unlinked"] is not None:
            raise Refused(f"the account of {reviewer} was unlinked by entry {link['unlinked']}")
        if link["by"] != f"person:{reviewer}":
            raise Refused(f"the account was linked by entry {link['linked']}, and not by {reviewer}")

    def check_signature(self, review, reviewer, said=VERDICT):
        key_id = review["proof"]["key"]
        if review["kind"] == "chat":
            self.check_click(key_id, reviewer)
            return
        key = self.keys.get((reviewer, key_id))
        if key is None:
            demand(key_id not in self.owners, f"the key that signed is not enrolled for {reviewer}")
            self.unchecked.setdefault(key_id, reviewer)
            self.missing.add(f"no entry enrols the key of {reviewer}, so their signature is unchecked")
            return
        if "revoked" in key:
            raise Refused(f"the key of {reviewer} was revoked by entry {key['revoked']}")
        word, why = key["vouch"]
        told = f"the key of {reviewer}, enrolled by entry {key['enrolled']}, was not"
        if word == "refused":
            raise Refused(f"{told} countersigned: {why}")
        if word == "not-shown":
            self.missing.add(f"{told} shown to be countersigned: {why}")
        demand(key["kind"] == review["kind"], "the proof is of another kind than the key that it names")
        if key["kind"] == "passkey":
            check_passkey(self.trust, key, review["statement"], review["proof"], said)
        else:
            check_ssh(key["public_key"], review["statement"], review["proof"]["signature"], said)

    def standing(self, statement, caller):
        """Where the reviewer stands, with the group that the review needs should no entry tell of it."""
        who = statement["reviewer"]
        for subject in (f"person:{who}", *([caller] if caller.startswith("agent:") else [])):
            if subject in self.withheld:
                self.missing.add(f"entry {self.withheld[subject]}, a change of {subject}, is withheld, and may speak against a review")
        if statement["verdict"] == "approve":
            member = self.groups.get((who, statement["group"]))
            word, why = member[1] if member else ("signed", None)
            if word == "refused":
                raise Refused(f"that {who} stands in `{statement['group']}` by entry {member[0]} was not approved: {why}")
            if word == "not-shown":
                self.missing.add(f"that {who} stands in `{statement['group']}` by entry {member[0]} was not shown to be approved: {why}")
            needed = [statement["group"]]
        else:
            needed = asked_groups(statement["evaluation"]["requirement"])
        stands = {group for person, group in self.groups if person == who and self.stands(who, group)}
        told = {group for person, group in self.groups if person == who}
        if statement["verdict"] != "approve" and stands.intersection(needed):
            return stands
        for group in needed:
            if group not in told:
                self.missing.add(f"no entry tells whether {who} stood in the group `{group}`")
                return stands | {group}
        return stands


def fingerprint(public_key):
    """As OpenSSH writes it."""
    return "SHA256:" + base64.b64encode(sha256(public_key)).rstrip(b"=").decode()


CHANGE = "config.change"  # the field of a change's payload


def is_of(action, *verbs):
    return action["point"] == "config" and action["verb"] in verbs


def countersigners(case, event, owner):
    """What a case, as it stands just before an entry that changes something under it, says of who signed for that
    change. `owner` is whose key it enrols; of another change nobody is."""
    if case.broken is not None:
        return "not-shown", f"entry {case.broken} of its approval is withheld"
    if case.state in Case.ENDED:
        return "refused", "its approval had ended before it"
    if case.payload is None:
        return "not-shown", "what was approved is withheld"
    if not is_of(case.action, "config.group" if event["type"] == "group-joined" else "config.key"):
        return "refused", "its approval is not about such a change"
    if case.state != "executing":
        return "refused", "its approval was never given"
    signed = [shown[1] for _, shown in case.payload if shown and shown[0] == CHANGE]
    if not signed:
        return "not-shown", "what was approved is withheld"
    if signed[0] != canonical({**event, "person": uuid(event["person"])}).encode():
        return "refused", "what was approved is another change than the one that was made"
    approving = [record["statement"] for record in case.reviews if record["statement"]["verdict"] == "approve"
                 and not record["dismissed"] and record["statement"]["reviewer"] in case.counted]
    admins = [statement["reviewer"] for statement in approving if statement["group"] == "admins"]
    requirement = case.evaluation["requirement"]
    if not admins or requirement is None:
        return "refused", "nobody signed for it as an administrator"
    if requirement["separation"] == "full" and set(admins) == {owner}:
        return "refused", "nobody but its own owner signed for it"
    if case.missing:
        return "not-shown", sorted(case.missing)[0]
    alone = ["separation: none"] if requirement["separation"] == "none" else []
    return "signed", [*(f"person:{admin}" for admin in admins), *alone]


# --- The case, lived through again (section 9) ---------------------------------------------------------------------------


def check_review(review, action, requirement, origin, known):
    """Whether a review holds and counts now. Refused: it does not count. Invalid: it was altered."""
    statement = read_statement(review["statement"])
    demand(statement["origin"] == origin, "the statement was made for another deployment")
    demand((statement["approval"], statement["action"]) == (action["id"], action["digest"]),
           "the review is of another action")
    who = statement["reviewer"]
    if who in known.gone:
        raise Refused(f"{who} was deactivated by entry {known.gone[who]}")
    known.check_signature(review, who)
    stands, asked = known.standing(statement, action["chain"]["caller"]), asked_groups(requirement)
    glass = bool(glass_of(statement))
    if review["kind"] == "chat" and statement["assurance"] != "chat":
        raise Refused("the statement claims more than its proof carries")
    if statement["assurance"] == "chat" and (glass or requirement["assurance"] == "passkey"):
        raise Refused("a rule demands a stronger signature than this review carries")
    chain = action["chain"]
    on_chain = f"person:{who}" in action["parties"] or known.sponsors.get(chain["caller"]) == who
    if statement["verdict"] != "deny" and on_chain:
        roles = {role for one, role in chain["behind"] if one == f"person:{who}"}
        sponsors_only = chain["caller"] != f"person:{who}" and roles <= {"sponsor"}
        of_a_key = is_of(action, "config.key")
        if glass or requirement["separation"] != "none" or action["production"] or not (of_a_key or sponsors_only):
            raise Refused("self-review: the reviewer asked for this action, sponsors its agent, or controls it")
    if statement["verdict"] == "approve":
        if statement["group"] not in (asked_groups(requirement, glass=True) if glass else asked):
            raise Refused(f"no hold {'lets' if glass else 'asks for'} the group `{statement['group']}`"
                          f"{' break glass' if glass else ''}")
        if statement["group"] not in stands:
            raise Refused(f"{who} is not in the group `{statement['group']}`")
    elif not stands.intersection(asked):
        raise Refused(f"{who} is in no group that was asked")
    return statement


def check_later(review, case, origin, known):
    """Whether somebody looked at broken glass who may, once, and at exactly what happened."""
    statement, action = read_later_statement(review["statement"]), case.action
    who, group = statement["reviewer"], statement["group"]
    demand(statement["origin"] == origin, "the statement was made for another deployment")
    demand((statement["approval"], statement["action"]) == (action["id"], action["digest"]),
           "the later review is of another action")
    glass = case.broken_glass()
    demand(glass, "nobody broke glass, so there is nothing to look at afterwards")
    demand(case.state in Case.ENDED, "the request has not come to its end")
    demand(case.later is None, "somebody has looked at this broken glass already")
    demand(statement["broken"] == [purpose(VERDICT, record["review"]["statement"]) for record in glass],
           "the later review is of other broken glass")
    demand(statement["end"] == case.end(), "the later review is of another end")
    demand(f"person:{who}" not in action["parties"], "self-review: the later reviewer asked for this action")
    demand(who not in [record["statement"]["reviewer"] for record in case.reviews
                       if record["statement"]["verdict"] == "approve"], "the later reviewer approved this action")
    demand(who not in known.gone, f"{who} was deactivated")
    demand(review["kind"] != "chat", "a later review takes a signature")
    known.check_signature(review, who, LATER)
    demand(statement["assurance"] == "passkey", "a later review takes a stronger signature")
    demand(all(known.sponsors.get(one) != who for one in action["parties"]),
           "self-review: the later reviewer sponsors an agent of the chain")
    asked = {one for record in glass for one in asked_groups(record["statement"]["evaluation"]["requirement"])}
    demand(group in asked | {"admins"}, f"the group `{group}` was not passed over")
    # As for an approval: where nothing tells of a standing, that is missing; where something speaks against it, it is wrong.
    stands = known.standing({"reviewer": who, "verdict": "approve", "group": group}, action["chain"]["caller"])
    demand(group in stands, f"{who} is not in the group `{group}`")
    return statement


class Case:
    ENDED = ("denied", "expired", "cancelled", "finished")

    def __init__(self, event, action, time, payload):
        self.payload = payload  # its fields, where they are shown
        demand(event["evaluation"]["effect"] == "needs-review", "a request that nobody had to review")
        self.action, self.evaluation = action, event["evaluation"]
        self.state, self.deadline = "pending", time + self.evaluation["requirement"]["ttl"] * 1_000_000
        self.expires, self.requested, self.since = self.deadline, time, None
        self.reviews = []  # what counts or counted: dicts with `statement`, `review`, `dismissed`, `at`
        self.nonces, self.questions = set(), {}  # questions: id -> (asker, settled)
        self.counted, self.outcome, self.started, self.ended = [], None, None, None
        self.broken, self.missing = None, set()
        self.grant, self.later = None, None  # later: who looked at broken glass afterwards, as `reviews`

    def broken_glass(self):
        """Each time that glass was broken, whether or not it counts still."""
        return [record for record in self.reviews if glass_of(record["statement"])]

    def is_over(self):
        """Whether nothing can follow: of an ended case only somebody's look at broken glass does, once."""
        return self.state in self.ENDED and (self.later is not None or not self.broken_glass())

    def end(self):
        """How it ended, as a later review names it."""
        ran = {"grant": self.grant, "outcome": self.outcome} if self.state == "finished" else {}
        return {"state": self.state, "at": self.ended, **ran}

    def approvals(self):
        groups = {}
        for record in self.reviews:
            if record["statement"]["verdict"] == "approve" and not record["dismissed"]:
                under = counted_under(record["statement"])
                groups[under] = groups.get(under, 0) + 1
        return groups

    def settle(self, since):
        """Pending or approved, by what stands; if approved, then since this moment."""
        grant, requirement = None, self.evaluation["requirement"]
        if requirement and is_met(requirement, self.approvals()):
            grant = requirement["grant"]
        elif self.evaluation["effect"] == "permit":
            grant = max(0, self.expires - since) // 1_000_000
        if grant is not None and all(settled for _, settled in self.questions.values()):
            self.state, self.since, self.deadline = "approved", since, since + grant * 1_000_000
        else:
            self.state, self.since, self.deadline = "pending", None, self.expires

    def step(self, event, time, origin, known):
        self.follow(event, time, origin, known)
        if self.state in self.ENDED and self.ended is None:
            self.ended = time

    def follow(self, event, time, origin, known):
        word = event["type"]
        if word == "later-reviewed":
            statement = check_later(event["review"], self, origin, known)
            demand(time < statement["expires"], "the statement had expired")
            self.later = {"statement": statement, "review": event["review"], "at": time}
            return
        if word == "finished":
            demand(self.state == "executing", f"the request is {self.state} already")
            self.state, self.outcome = "finished", event["outcome"]
            return
        demand(self.state in ("pending", "approved"), f"the request is {self.state} already")
        lapsed = time >= self.deadline
        if word == "expired":
            demand(lapsed, "the request has not expired yet")
            self.state = "expired"
            return
        demand(not lapsed, "the request has expired; nothing may follow")
        since = time if self.since is None else self.since
        if word in ("reviewed", "asked"):
            self.review(event, time, origin, known)
            self.settle_after_review(event, time, since)
        elif word in ("answered", "withdrawn"):
            asker, settled = self.questions.get(event["question"], (None, True))
            demand(not settled, "there is no such open question")
            if word == "answered":
                demand(event["by"] in self.action["parties"], "an answer is for those who asked for the action")
                text(event["text"], "the answer", TEXT_LIMIT)
            else:
                demand(event["by"] == asker, "a question is withdrawn by who asked it")
            self.questions[event["question"]] = (asker, True)
            self.settle(time)
        elif word == "reevaluated":
            demand(event["evaluation"]["action"] == self.action["digest"], "the evaluation is of another action")
            self.evaluation = event["evaluation"]
            if self.evaluation["effect"] == "deny":
                self.state = "denied"
            else:
                self.settle(since)
        elif word == "dismissed":
            people = {reviewer for reviewer, _ in event["reviews"]}
            demand(people and len(people) == len(event["reviews"]), "a dismissal of nobody, or of one twice")
            for person in people:
                record = next((record for record in self.reviews if record["statement"]["reviewer"] == person
                               and record["statement"]["verdict"] == "approve" and not record["dismissed"]), None)
                demand(record, "a dismissal of an approval that does not count")
                record["dismissed"] = True
            self.settle(since)
        elif word == "cancelled":
            demand(event["by"] in self.action["parties"], "cancelling is for those who asked for the action")
            text(event["reason"], "the reason", TEXT_LIMIT)
            self.state = "cancelled"
        else:
            self.redeem(event, time, origin, known)

    def review(self, event, time, origin, known):
        requirement = self.evaluation["requirement"]
        demand(requirement, "nobody was asked: policy permits it outright")
        statement = check_review(event["review"], self.action, requirement, origin, known)
        demand(time < statement["expires"], "the statement had expired")
        named = statement["evaluation"]
        demand((named["requirement"], named["policy"], named["digest"]) ==
               (requirement, self.evaluation["policy"], self.evaluation["digest"]),
               "the review was signed under another evaluation than the one that stood")
        demand(statement["nonce"] not in self.nonces, "one signed statement was submitted twice")
        twice = any(record["statement"]["reviewer"] == statement["reviewer"] and not record["dismissed"]
                    for record in self.reviews)
        demand(statement["verdict"] != "approve" or not twice, "one human counts once")
        demand((statement["verdict"] == "ask") == (event["type"] == "asked"), "a question that is none")
        self.nonces.add(statement["nonce"])
        event["statement"] = statement

    def settle_after_review(self, event, time, since):
        statement = event["statement"]
        if event["type"] == "asked":
            self.questions[event["question"]] = (statement["reviewer"], False)
            self.settle(time)
            return
        record = {"statement": statement, "review": event["review"], "dismissed": False, "at": time}
        self.reviews.append(record)
        if statement["verdict"] == "deny":
            self.state = "denied"
        else:
            self.settle(since)

    def redeem(self, event, time, origin, known):
        """An approval is evidence, not authority: everything is checked again."""
        demand(self.state == "approved", f"the request is {self.state} already")
        fresh = event["evaluation"]
        demand(fresh["action"] == self.action["digest"], "the evaluation is of another action")
        demand(fresh["effect"] != "deny", "policy, asked again before running, denies")
        counted = set()
        if fresh["requirement"]:
            groups = {}
            for record in self.reviews:
                if record["dismissed"]:
                    continue
                try:
                    statement = check_review(record["review"], self.action, fresh["requirement"], origin, known)
                except Refused:
                    continue
                if statement["verdict"] == "approve" and statement["reviewer"] not in counted:
                    counted.add(statement["reviewer"])
                    under = counted_under(statement)
                    groups[under] = groups.get(under, 0) + 1
            demand(is_met(fresh["requirement"], groups), "the reviews do not satisfy what policy asked for at the run")
        demand(event["counted"] == sorted(counted), "it does not count the reviews that count")
        self.state, self.evaluation, self.counted, self.started = "executing", fresh, event["counted"], time
        self.grant = event["grant"]


def read_request(entry, approval):
    """A request's action and event; twice None where something of it is withheld."""
    record, data = entry.values("action", "event")
    if record is None or data is None:
        return None, None
    action, event = read_action(record), read_event(entry, data)
    demand(event["id"] == action["id"] == approval, "the request is of another approval")
    demand(event["action"] == event["evaluation"]["action"] == action["digest"],
           "the action's record does not hash to the digest that was held")
    demand(event["chain"] == action["chain"], "the request names another chain than the action's record")
    return action, event


class Replay:
    """All cases, side by side. `only` looks at one, and at those in which keys and standings were signed for; `tail` says that the log's beginning is not shown."""

    def __init__(self, origin, trust, only=None, tail=False):
        self.origin, self.only, self.tail = origin, only, tail
        self.known, self.cases, self.blind, self.last = Known(trust), {}, {}, None
        self.decision = None

    def take(self, entry, payload=None):
        if self.last is not None:
            demand(self.last[0] < entry.index, f"entry {entry.index} stands behind entry {self.last[0]}")
            demand(self.last[1] <= entry.time, f"entry {entry.index} is dated before entry {self.last[0]}")
        self.last = (entry.index, entry.time)
        try:
            self.step(entry, payload)
        except Invalid as error:
            raise Invalid(f"entry {entry.index} ({entry.kind}): {error}") from error

    def step(self, entry, payload):
        if entry.kind == "directory/1":
            demand(payload is None, "it is no request and has a payload")
            self.known.learn(entry, self.case_of)
            return
        of_case = entry.kind in EVENTS or entry.kind == "decision/1"
        if not of_case or (self.only and entry.subject != self.only and not self.is_of_people(entry)):
            demand(payload is None, "it is no request of a case that is looked at, and has a payload")
            return
        if not self.only:
            demand(entry.subject is not None and uuid(entry.subject) == entry.subject, "it is of no approval")
        demand(payload is None or entry.kind == "request/1", "it is no request and has a payload")
        approval = entry.subject
        if entry.kind == "decision/1":
            self.decision = entry.index if self.decision is None else self.decision
        elif entry.kind == "request/1":
            self.request(entry, approval, payload)
        else:
            self.event(entry, approval)

    def is_of_people(self, entry):
        """Whether an entry of a receipt is of another case, in which a key or a standing in a group was signed for."""
        if entry.kind != "request/1":
            return entry.subject in self.cases and entry.kind != "decision/1"
        if entry.subject is None or not re.fullmatch(UUID, entry.subject) or uuid(entry.subject) != entry.subject:
            return False
        action, _ = read_request(entry, entry.subject)
        return action is not None and is_of(action, "config.key", "config.group")

    def case_of(self, approval):
        """A case, or why nothing can be said of it."""
        return self.cases.get(approval), self.blind.get(approval)

    def request(self, entry, approval, payload):
        demand(approval not in self.cases and approval not in self.blind, "a second request of one case")
        action, event = read_request(entry, approval)
        if action is None:
            self.blind[approval] = f"entry {entry.index}: the request is withheld, so nobody can say what was asked"
            return
        if payload is not None:
            payload = [read_field(field) for field in listed(payload, "the payload")]
            demand(fields_root(payload) == action["payload"],
                   "the payload is not the one that the action's record commits to")
        self.cases[approval] = Case(event, action, entry.time, payload)

    def event(self, entry, approval):
        data, = entry.values("event")
        event = None if data is None else read_event(entry, data)
        if approval not in self.cases:
            if approval not in self.blind:
                demand(self.tail, "the request that it follows on is missing")
                self.blind[approval] = "its request is not shown, so nobody can say what was asked"
            return
        case = self.cases[approval]
        if event is None:
            demand(case.broken is not None or not case.is_over(), "it comes after the case's end")
            case.broken = entry.index if case.broken is None else case.broken
        elif case.broken is None:
            case.step(event, entry.time, self.origin, self.known)
            case.missing |= self.known.missing
            self.known.missing = set()

    def close(self):
        """Each case with what it lacks, by approval."""
        told = []
        for approval in [self.only] if self.only else sorted({**self.cases, **self.blind}):
            case = self.cases.get(approval)
            if case is None:
                told.append((approval, None, [self.blind[approval]]))
                continue
            lacks = sorted(case.missing)
            if case.broken is not None:
                lacks.append(f"entry {case.broken}, an event of the case, is withheld: nothing after it can be judged")
            told.append((approval, case, lacks))
        return told


# --- Receipts (section 10) -------------------------------------------------------------------------------------------------


class Report:
    def __init__(self):
        self.missing, self.cases, self.lines, self.known = [], [], [], None

    def close(self, replay):
        self.known = replay.known
        for approval, case, lacks in replay.close():
            self.cases.append((approval, case, lacks))
            self.missing += [f"the case {approval}: {lack}" for lack in lacks]


def quorum(report, trust, note):
    """Notes who cosigned, and whether it is enough."""
    found = cosignatures(note, trust)
    for witness in trust.witnesses:
        when = moment(found[witness] * 1_000_000) if witness in found else None
        report.lines.append(f"Witness    {witness} " + (f"cosigned {when}" if when else "did not cosign"))
    if trust.quorum and not trust.is_met(trust.quorum, found):
        report.missing.append(f"too few witnesses cosigned the checkpoint: `{trust.quorum}` is not met")


def verify_receipt(data, trust, report):
    receipt = read_json(data)
    more = ("keys",) if isinstance(receipt, dict) and "keys" in receipt else ()
    receipt = shaped(receipt, "the receipt", ("v", "origin", "approval", "checkpoint", "entries", "payload", *more))
    version_one(receipt["v"], "a receipt")
    origin, approval = text(receipt["origin"]), uuid(receipt["approval"])
    note = Note(text(receipt["checkpoint"]).encode())
    checkpoint, key = open_checkpoint(note, trust.keys_of(origin))
    report.lines += [f"Log        {origin}, {checkpoint.size} entries", f"Key        {key.spelled}"]
    quorum(report, trust, note)
    entries = listed(receipt["entries"], "entries")
    demand(entries, "it has no entries")
    payload = listed(receipt["payload"], "the payload")
    for field in payload:
        read_field(field)
    keys = []
    demand(not more or receipt["keys"], "a list of no keys is left out")
    for value in listed(receipt["keys"], "keys") if more else ():
        value = shaped(value, "a key's payload", ("entry", "payload"))
        keys.append((number(value["entry"], "entry"), listed(value["payload"], "the payload")))
    replay = Replay(origin, trust, only=approval)
    for value in entries:
        entry = read_entry(value, origin, checkpoint)
        ours = entry.kind == "request/1" and entry.subject == approval
        of_a_key = keys.pop(0)[1] if keys and keys[0][0] == entry.index else None
        demand(not ours or of_a_key is None, f"entry {entry.index}: its payload stands twice")
        replay.take(entry, payload if ours else of_a_key)
    demand(not keys, "a payload stands where none is looked for")
    if replay.decision is not None:
        report.missing.append("a decision on which no people were asked has no receipt that can be verified")
        return
    demand(approval in replay.cases or approval in replay.blind,
           "the request is missing: a receipt has a case's first event")
    report.close(replay)


# --- Bundles (section 11) ----------------------------------------------------------------------------------------------------

ORDER = ["about.json", "checkpoint", "keys.jsonl", "period.json", "before", "entries.jsonl", "leaves.jsonl"]


def tar_header(filename, size):
    """The only header of a file: POSIX ustar with everything but name and size fixed."""
    block = bytearray(512)
    block[0:len(filename)] = filename.encode()
    block[100:136] = b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[148:157] = b" " * 8 + b"0"
    block[257:265] = b"ustar\x0000"
    block[329:345] = b"0000000\0" * 2
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


class Archive:
    def __init__(self, source):
        self.source = source
        header = self.exactly(512)
        size = header[124:135]
        demand(re.fullmatch(rb"[0-7]{11}", size), "its first file is not `manifest.json`")
        size = int(size, 8)
        demand(header == tar_header("manifest.json", size), "its first file is not `manifest.json`")
        demand(size <= 32 << 10, "the manifest is too large")
        data = self.exactly(size)
        self.padding(size)
        self.manifest = read_manifest(data)
        self.left = list(self.manifest["files"])

    def exactly(self, length):
        data = self.source.read(length)
        demand(len(data) == length, "it is cut short")
        return data

    def padding(self, size):
        demand(not any(self.exactly(-size % 512)), "what stands behind a file is not zeros")

    def has(self, filename):
        return bool(self.left) and self.left[0]["name"] == filename

    def open(self, filename):
        demand(self.has(filename), f"it has no `{filename}` where one is expected")
        listed_file = self.left.pop(0)
        header = self.exactly(512)
        demand(header == tar_header(filename, listed_file["bytes"]), f"`{filename}` has another header than its only one")
        return listed_file["bytes"], listed_file["sha256"]

    def whole(self, filename, limit):
        size, digest = self.open(filename)
        demand(size <= limit, f"`{filename}` is too large")
        data = self.exactly(size)
        self.padding(size)
        demand(sha256(data) == digest, f"`{filename}` does not hash to what the manifest says")
        return data

    def lines(self, filename):
        size, digest = self.open(filename)
        running, left = hashlib.sha256(), size
        while left:
            line = self.source.readline(min(left, RECORD_LIMIT + 1))
            demand(line, "it is cut short")
            left -= len(line)
            running.update(line)
            demand(line.endswith(b"\n") and len(line) > 1, f"a line of `{filename}` is empty, too long or not ended")
            yield line[:-1]
        self.padding(size)
        demand(running.digest() == digest, f"`{filename}` does not hash to what the manifest says")

    def end(self):
        demand(not self.left, "it has a file that a bundle of its kind has not")
        demand(not any(self.exactly(1024)) and not self.source.read(1), "something stands behind its files")


def read_manifest(data):
    value = read_json(data)
    demand(canonical(value).encode() == data, "the manifest is not canonical JSON")
    needed = ("format", "origin", "kind", "entries", "cases", "files")
    manifest = shaped(value, "the manifest", needed)
    demand(manifest["format"] == "countersign/bundle/v1", "a bundle of version 1 is expected")
    demand(manifest["kind"] in ("cases", "period"), "a bundle of an unknown kind")
    text(manifest["origin"])
    number(manifest["entries"])
    number(manifest["cases"])
    manifest["files"] = [shaped(item, "a file", ("name", "bytes", "sha256")) for item in listed(manifest["files"], "files")]
    for item in manifest["files"]:
        number(item["bytes"], "bytes", FILE_LIMIT)
        item["sha256"] = digest_of(item["sha256"])
    names = [item["name"] for item in manifest["files"]]
    demand(names == [known for known in ORDER if known in names], "the manifest lists other files, or in another order")
    demand({"about.json", "checkpoint", "entries.jsonl"} <= set(names), "the manifest lacks a file")
    of_period = manifest["kind"] == "period"
    demand(of_period == ("period.json" in names) == ("leaves.jsonl" in names) and (of_period or "before" not in names),
           "the manifest has what belongs to the other kind")
    return manifest


def read_period_file(data):
    period = shaped(read_json(data), "the period", ("first", "end", "frontier", "consistency"), ("since", "until"))
    for member in ("first", "end", "since", "until"):
        demand(member in ("since", "until") and period[member] is None or number(period[member]) is not None, member)
    demand(period["first"] < period["end"], "the period has no entries")
    period["frontier"], period["consistency"] = read_proof(period["frontier"]), read_proof(period["consistency"])
    return period


def read_key(data):
    try:
        return VerifierKey(data.decode("utf-8"), {VerifierKey.LOG})
    except UnicodeDecodeError as error:
        raise Invalid("a verifier key is not UTF-8") from error


def follow_rotations(lines, origin, trust):
    """The keys that may sign now, and the trees that must be extended (section 4.4)."""
    keys, trees = trust.keys_of(origin), []
    for line in lines:
        value = shaped(line, "a change of the log's key", ("checkpoint", "entry", "consistency"))
        note = Note(text(value["checkpoint"]).encode())
        try:
            checkpoint, old = open_checkpoint(note, keys)
        except NotSigned:
            demand(not trees, "a change of the log's key is not signed by the key before it")
            continue
        entry = read_entry(value["entry"], origin, checkpoint)
        demand(entry.index + 1 == checkpoint.size, "a change of the log's key is not its checkpoint's last entry")
        demand(entry.kind == "rotation/1", "a change of the log's key that is none")
        new, was, _ = entry.values("new", "old", "reason")
        demand(new is not None and was is not None, "a change of the log's key is withheld")
        new, was = read_key(new), read_key(was)
        demand(was.same(old) and new.name == old.name and not new.same(old), "a change of the log's key does not hold")
        keys = [new]
        trees.append((checkpoint, read_proof(value["consistency"]), old, entry))
    return keys, trees


def verify_bundle(source, trust, report):
    archive = Archive(source)
    manifest = archive.manifest
    origin = manifest["origin"]
    about = read_json(archive.whole("about.json", 64 << 10))
    about = shaped(about, "about.json", ("query", "made", "maker"), ("by",))
    number(about["made"])
    for member in ("query", "maker"):
        text(about[member])
    demand(about["by"] is None or isinstance(about["by"], str), "about.json: text is expected")
    note = Note(archive.whole("checkpoint", NOTE_LIMIT))
    lines = [read_json(line) for line in archive.lines("keys.jsonl")] if archive.has("keys.jsonl") else []
    demand(len(lines) <= 256, "the log's key changes too often to be followed")
    keys, trees = follow_rotations(lines, origin, trust)
    checkpoint, key = open_checkpoint(note, keys)
    report.lines += [f"Log        {origin}, {checkpoint.size} entries", f"Key        {key.spelled}"]
    for tree, proof, old, entry in trees:
        check_consistency(tree.size, tree.root, checkpoint.size, checkpoint.root, proof)
        report.lines.append(f"  handed over by {old.spelled} in entry {entry.index}")
    quorum(report, trust, note)
    period, before = None, None
    if manifest["kind"] == "period":
        period = read_period_file(archive.whole("period.json", 32 << 10))
    if archive.has("before"):
        known_keys = trust.keys_of(origin)
        known_keys += [new for new in keys if not any(new.same(known) for known in known_keys)]
        earlier = Note(archive.whole("before", NOTE_LIMIT))
        before, _ = open_checkpoint(earlier, known_keys)
        cosignatures(earlier, trust)
    replay = Replay(origin, trust, tail=bool(period and period["first"] > 0))
    counts, edges = {"entries": 0, "cases": 0}, {}
    for line in archive.lines("entries.jsonl"):
        take_entry(read_json(line), origin, checkpoint, period, replay, counts, edges)
    if period:
        read_period(archive, origin, checkpoint, period, before, replay, counts, edges, report)
    archive.end()
    demand(counts == {"entries": manifest["entries"], "cases": manifest["cases"]},
           "it has another number of entries or requests than its manifest says")
    report.lines.append(f"Maker      says, and nothing proves: {about['query']!r}, {moment(about['made'])}, by {about['maker']!r}")
    report.close(replay)


def take_entry(value, origin, checkpoint, period, replay, counts, edges):
    value = shaped(value, "a line", ("entry",), ("payload",))
    entry = read_entry(value["entry"], origin, checkpoint)
    counts["entries"] += 1
    if period and entry.index >= period["first"]:
        demand(entry.index == period["end"] and "behind" not in edges and value["payload"] is None,
               f"entry {entry.index} stands within the period, or behind it")
        edges["behind"] = entry.time
        return
    if period and entry.index + 1 == period["first"]:
        edges["before"] = entry.time
    counts["cases"] += entry.kind == "request/1"
    replay.take(entry, value["payload"])


def read_period(archive, origin, checkpoint, period, before, replay, counts, edges, report):
    """Rebuilds the tree from all leaves of the period, so that none can be left out, put in or moved."""
    tree = Frontier(period["first"], period["frontier"])
    if before:
        demand((before.size, before.root) == (tree.size, tree.root()), "the earlier checkpoint is of another tree")
    pruned = 0
    for line in archive.lines("leaves.jsonl"):
        index = tree.size
        demand(index < period["end"], "the period has more entries than the manifest says")
        value = shaped(read_json(line), "a line", (), ("leaf", "hash", "fields", "payload"))
        counts["entries"] += 1
        demand((value["leaf"] is None) != (value["hash"] is None), f"entry {index}: a leaf, or the hash of a pruned one")
        if value["leaf"] is None:
            demand(value["fields"] is None and value["payload"] is None, f"entry {index}: a pruned leaf shows nothing")
            tree.append(digest_of(value["hash"]))
            pruned += 1
            replay.tail = True
            continue
        data = blob(value["leaf"])
        entry = Entry(index, data, value["fields"], origin)
        counts["cases"] += entry.kind == "request/1"
        replay.take(entry, value["payload"])
        tree.append(leaf_hash(data))
    demand(tree.size == period["end"], "the period has fewer entries than the manifest says")
    check_consistency(tree.size, tree.root(), checkpoint.size, checkpoint.root, period["consistency"])
    if period["since"] is not None and period["first"] > 0:
        demand("before" in edges and edges["before"] < period["since"], "nothing shows that the period begins in time")
    if period["until"] is not None and period["end"] < checkpoint.size:
        demand("behind" in edges and edges["behind"] >= period["until"], "nothing shows that the period ends in time")
    if pruned:
        report.missing.append(f"{pruned} entries of the period were pruned: what they said is not shown")
    report.lines.append(f"Period     every entry from {period['first']} to {period['end'] - 1}")


# --- What a person reads ---------------------------------------------------------------------------------------------------


def verify(source, trust):
    """The verdict on a file, the reasons, and the report; nothing of an invalid file is reported."""
    report = Report()
    try:
        start = source.peek(13)[:13] if hasattr(source, "peek") else source.read(13)
        if not hasattr(source, "peek"):
            source.seek(0)
        if start == b"manifest.json":
            verify_bundle(source, trust, report)
        else:
            verify_receipt(source.read(RECORD_LIMIT + 1), trust, report)
    except Invalid as error:
        return "invalid", [str(error)], Report()
    return ("indeterminate" if report.missing else "valid"), report.missing, report


def plain(words):
    """Text from outside on one line, without characters that a terminal obeys or hides."""
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in str(words))


def state_of(case):
    return "undetermined" if case is None or case.broken is not None else case.state


def tell_key(key):
    if "revoked" in key:
        how = (f"under approval {key['under']}, {tell_vouch(key['signed'])}" if key["under"]
               else "at once: nobody signed for that")
        return f"with a key that entry {key['revoked']} revoked, by {key['by']}, {how}"
    return f"with the key `{key['label']}`, enrolled by entry {key['enrolled']}, {tell_vouch(key['vouch'])}"


def tell_click(account, link):
    provider, team, user = account.decode().split("\n")
    linked = f"linked by entry {link['linked']}" if link else "UNCHECKED whose: no entry here links it"
    return f"by a CLICK in {provider} by {user} of {team}, {linked}; no key signed, that it was made is the log's word"


def tell_vouch(vouch):
    word, who = vouch
    return f"countersigned by {', '.join(who)}" if word == "signed" else "NOT SHOWN to be countersigned"


def tell_case(approval, case, known):
    lines = [f"\nAction     {approval}", f"State      {state_of(case)}"]
    if case is None:
        return lines
    action = case.action

    def called(who):
        return f"{known.names[who]} ({who})" if who in known.names else who

    for record in case.reviews:
        if glass_of(record["statement"]):
            lines.append(f"*** BREAK-GLASS. {called('person:' + record['statement']['reviewer'])} approved this alone: "
                         f"{record['statement']['note']} ***")
    lines.append(f"Asked      {moment(case.requested)} by {called(action['chain']['caller'])}")
    lines += [f"  {role:<9}{called(who)}" for who, role in action["chain"]["behind"]]
    lines.append(f"What       {action['verb']} on {action['resource']['name']} in {action['resource']['environment']}")
    for record in case.reviews:
        statement = record["statement"]
        key = known.keys.get((statement["reviewer"], record["review"]["proof"]["key"]))
        key = tell_key(key) if key else "key not shown"
        if record["review"]["kind"] == "chat":
            key = tell_click(record["review"]["proof"]["key"], known.accounts.get(record["review"]["proof"]["key"]))
        counted = ", counted" if statement["reviewer"] in case.counted and statement["verdict"] == "approve" else ""
        lines.append(f"{statement['verdict'].capitalize():<10} {moment(record['at'])} by "
                     f"{called('person:' + statement['reviewer'])}{counted}; {key}")
        member = known.groups.get((statement["reviewer"], statement["group"]))
        if statement["verdict"] == "approve" and member:
            lines.append(f"  in `{statement['group']}` by entry {member[0]}, {tell_vouch(member[1])}")
    if case.started is not None:
        lines.append(f"Started    {moment(case.started)}, once")
    if case.outcome is not None:
        lines.append(f"Ended      {moment(case.ended)}: {case.outcome['ending']}, {case.outcome['detail']}")
    if case.later is not None:
        statement = case.later["statement"]
        key = known.keys.get((statement["reviewer"], case.later["review"]["proof"]["key"]))
        lines.append(f"Afterwards {moment(case.later['at'])} {called('person:' + statement['reviewer'])} for {statement['group']} "
                     f"found it {statement['finding']}: {statement['note']}; {tell_key(key) if key else 'key not shown'}")
    elif case.broken_glass():
        lines.append("Afterwards nobody had looked at the broken glass when the last of these entries was written")
    return lines


def read_bootstrap(word):
    """A fingerprint, or the first word of a file."""
    if word is None or word.startswith("SHA256:"):
        found = word
    else:
        with open(word, encoding="utf-8", errors="replace") as file:
            found = (file.read(262_144).split() or [""])[0]
    return found if found is None else matched(found, r"SHA256:[0-9A-Za-z+/]{43}", "fingerprint of a bootstrap key")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="Exit codes: 0 valid, 1 invalid, "
                                     "2 indeterminate, 3 nothing was verified.")
    parser.add_argument("file", help="a receipt or a bundle")
    parser.add_argument("--trust", required=True, help="a C2SP tlog-policy, or a file with the log's verifier key alone")
    parser.add_argument("--rp-id", help="every passkey must have been enrolled for this relying party")
    parser.add_argument("--web-origin", action="append", help="every passkey must have signed at this origin")
    parser.add_argument("--bootstrap-key", help="the first administrator's key: its fingerprint `SHA256:...`, or a file "
                        "that begins with it; without it, the log is taken at its word for that key")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    try:
        options = parser.parse_args()
    except SystemExit as end:
        return 3 if end.code else 0
    try:
        with open(options.trust, "rb") as file:
            trust = Trust(file.read(262_145), options.rp_id, options.web_origin, read_bootstrap(options.bootstrap_key))
        with open(options.file, "rb") as file:
            verdict, reasons, report = verify(file, trust)
    except (OSError, Invalid) as error:
        print(f"countersign_verify: {plain(error)}", file=sys.stderr)
        return 3
    if options.json:
        cases = [{"approval": approval, "state": state_of(case), "lacks": lacks} for approval, case, lacks in report.cases]
        print(json.dumps({"verdict": verdict, "reasons": reasons, "cases": cases}, indent=2))
    else:
        print(verdict.upper())
        lines = [f"  - {reason}" for reason in reasons] + report.lines
        for approval, case, _ in report.cases:
            lines += tell_case(approval, case, report.known)
        for line in lines:
            print("\n".join(map(plain, line.split("\n"))) if line.startswith("\n") else plain(line))
    return {"valid": 0, "invalid": 1, "indeterminate": 2}[verdict]


if __name__ == "__main__":
    sys.exit(main())
