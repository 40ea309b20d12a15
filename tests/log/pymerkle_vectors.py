#!/usr/bin/env python3
"""Trades test vectors with our log from pymerkle's side, in the form of crates/audit/examples/log_vectors.rs:
`check DIR` judges roots and proofs, `write DIR SEED` makes good and spoiled ones.

pymerkle keeps RFC 6962's tree. Its inclusion proofs are the same hashes with the leaf in front. Its consistency proofs
are RFC 6962's only where the old tree's end does not fall on a node of the new one to whose right it goes on: the
others start further down, and are left to the Go implementations, as are notes, tiles and policies."""

import base64
import random
import sys
from pathlib import Path

from pymerkle import ConsistencyProof, InclusionProof, InmemoryTree, InvalidProof, verify_consistency, verify_inclusion
from pymerkle.core import _consistency_path_layout, _inclusion_path_layout

LARGEST = 65_537
SIZES = [1, 2, 255, 256, 257, 65_535, 65_536, 65_537]


def entry(index):
    return f"entry {index}".encode()


def spell(digest):
    return base64.b64encode(digest).decode()


def read(word):
    return base64.b64decode(word, validate=True)


def hashes(word):
    return [] if word == "-" else [read(part) for part in word.split(",")]


def inclusion_proof(index, size, leaf, path):
    rule, _ = _inclusion_path_layout(index + 1, size)
    return InclusionProof("sha256", True, size, index + 1, rule, [leaf, *path])


def consistency_proof(old, new, old_root, path):
    """pymerkle's form of an RFC 6962 proof; nothing where it has another shape."""
    rule, subset, ranges = _consistency_path_layout(old, new)
    if not subset[0]:
        return None
    whole = ranges[0][0] == 0  # RFC 6962 leaves out what the verifier has: the old root
    return ConsistencyProof("sha256", True, new, old, rule, subset, [old_root, *path] if whole else path)


def judge(tree, kind, words):
    """True or false; nothing for what pymerkle does not judge."""
    try:
        if kind == "root":
            return tree.get_root(int(words[0])) == read(words[1])
        if kind == "inclusion":
            index, size, leaf, root, path = int(words[0]), int(words[1]), *map(read, words[2:4]), hashes(words[4])
            verify_inclusion(leaf, root, inclusion_proof(index, size, leaf, path), index + 1, size)
            return True
        if kind == "consistency":
            old, new, old_root, new_root, path = int(words[0]), int(words[1]), *map(read, words[2:4]), hashes(words[4])
            proof = consistency_proof(old, new, old_root, path)
            if proof is None:
                return None
            verify_consistency(old_root, new_root, proof, old, new)
            return True
    except InvalidProof:
        return False
    return None


def check(folder):
    tree = grown()
    passed = failed = left = 0
    for line in (folder / "cases").read_text().splitlines():
        verdict, kind, *words = line.split(" ")
        judged = judge(tree, kind, words)
        if judged is None:
            left += 1
        elif judged == (verdict == "good"):
            passed += 1
        else:
            failed += 1
            print(f"FAILED  {line}")
    print(f"left to others: {left}")
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(1 if failed or not passed else 0)


def write(folder, seed):
    tree, draw, cases = grown(), random.Random(seed), []

    def flip(digest):
        at = draw.randrange(256)
        return bytes(b ^ (1 << at % 8) if i == at // 8 else b for i, b in enumerate(digest))

    def say(verdict, kind, *words):
        words = [",".join(map(spell, w)) or "-" if isinstance(w, list) else spell(w) if isinstance(w, bytes) else str(w) for w in words]
        cases.append(" ".join([verdict, kind, *words]))

    def spoiled(path):
        yield [*path, bytes(32)]
        if path:
            yield path[:-1]
            at = draw.randrange(len(path))
            yield [flip(digest) if i == at else digest for i, digest in enumerate(path)]

    for size in SIZES + [1 + draw.randrange(65_000) for _ in range(6)]:
        root = tree.get_root(size)
        say("good", "root", size, root)
        say("bad", "root", size, flip(root))
        for index in {0, size - 1, *(draw.randrange(size) for _ in range(6))}:
            leaf, *path = tree.prove_inclusion(index + 1, size).path
            say("good", "inclusion", index, size, leaf, root, path)
            say("bad", "inclusion", index, size, flip(leaf), root, path)
            for other in spoiled(path):
                say("bad", "inclusion", index, size, leaf, root, other)
        for old in {1, size, *(1 + draw.randrange(size) for _ in range(6))}:
            proof = tree.prove_consistency(old, size)
            if not proof.subset[0]:
                continue
            whole = _consistency_path_layout(old, size)[2][0][0] == 0
            path, old_root = proof.path[1:] if whole else proof.path, tree.get_root(old)
            say("good", "consistency", old, size, old_root, root, path)
            say("bad", "consistency", old, size, flip(old_root), root, path)
            for other in spoiled(path):
                say("bad", "consistency", old, size, old_root, root, other)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases").write_text("\n".join(cases) + "\n")
    print(f"{len(cases)} cases")


def grown():
    tree = InmemoryTree(algorithm="sha256")
    tree.append_entries(entry(index) for index in range(LARGEST))
    return tree


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check", folder]:
            check(Path(folder))
        case ["write", folder, seed]:
            write(Path(folder), int(seed))
        case _:
            raise SystemExit("expected: check DIR | write DIR SEED")
