"""Two verifiers before one set of files: `countersign-verify` and `verifier/countersign_verify.py`, which share no code.

Every file has the verdict that the set names, from both; of the cases of a file that is not invalid both say the same
state. Then bytes of small bundles and of a receipt are flipped, cut and doubled: both refuse them. By default a sample is
flipped, of a seed that is printed; with `all` every bit of every byte is.
"""

import io
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
sys.path.insert(0, str(ROOT / "verifier"))
from countersign_verify import Trust, state_of, verify  # noqa: E402
from house import Tally  # noqa: E402

BINARIES = Path(os.environ.get("COUNTERSIGN_BIN", ROOT / "target/debug/countersign")).parent
CODES = {"valid": 0, "invalid": 1, "indeterminate": 2}
SAMPLE = 400  # flips of each small file, unless all are asked for


def by_rust(file, trust, entry=None):
    """The verdict, and each case's state."""
    command = [str(BINARIES / "countersign-verify"), str(file), "--trust", str(trust), "--json"]
    if entry and entry["rp_id"]:
        command += ["--rp-id", entry["rp_id"]]
    if entry and entry["web_origin"]:
        command += ["--web-origin", entry["web_origin"]]
    if entry and entry.get("bootstrap"):
        command += ["--bootstrap-key", entry["bootstrap"]]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode in (0, 1, 2), (done.returncode, done.stderr)
    report = json.loads(done.stdout)
    whole = report.get("bundle") or report["receipt"]
    assert CODES[whole["verdict"]] == done.returncode
    cases = report.get("cases", [])
    if "receipt" in report and whole["summary"]:
        cases = [{"approval": whole["summary"]["approval"], "summary": whole["summary"]}]
    states = {case["approval"]: case["summary"]["state"]["word"] if case["summary"] else "undetermined" for case in cases}
    return whole["verdict"], states


def by_python(data, trust, entry=None):
    entry = entry or {"rp_id": None, "web_origin": None}
    trust = Trust(trust, entry["rp_id"], [entry["web_origin"]] if entry["web_origin"] else None, entry.get("bootstrap"))
    verdict, reasons, report = verify(io.BytesIO(data), trust)
    assert (verdict == "valid") == (not reasons), reasons
    return verdict, {approval: state_of(case) for approval, case, _ in report.cases}


def check_entry(folder, entry):
    file, trust = folder / entry["name"], folder / f"{entry['name']}.trust"
    rust = by_rust(file, trust, entry)
    python = by_python(file.read_bytes(), trust.read_bytes(), entry)
    assert rust[0] == entry["verdict"], f"countersign-verify says {rust[0]}, not {entry['verdict']}"
    assert python[0] == entry["verdict"], f"countersign_verify.py says {python[0]}, not {entry['verdict']}"
    # A case of which nothing can be said may be told or not.
    told = [{key: state for key, state in one[1].items() if state != "undetermined"} for one in (rust, python)]
    assert told[0] == told[1], told


def command_line(folder):
    """The Python verifier as its users call it."""
    script = [sys.executable, str(ROOT / "verifier" / "countersign_verify.py")]
    for name, code, word in (("cases-two", 0, "VALID"), ("receipt-one-human-twice", 1, "INVALID"),
                             ("cases-enrolment-missing", 2, "INDETERMINATE")):
        command = [*script, str(folder / name), "--trust", str(folder / f"{name}.trust")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout.split("\n")[0]) == (code, word), done
        told = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60).stdout)
        assert CODES[told["verdict"]] == code
    for arguments in ([], [str(folder / "missing"), "--trust", str(folder / "small.trust")]):
        assert subprocess.run([*script, *arguments], capture_output=True, timeout=60).returncode == 3


def tar_opens(folder):
    """Any tar opens a bundle."""
    names = subprocess.run(["tar", "-tf", str(folder / "period-whole")], capture_output=True, text=True, timeout=60)
    assert names.stdout.split() == ["manifest.json", "about.json", "checkpoint", "period.json", "entries.jsonl",
                                    "leaves.jsonl"], names


def flipped(folder, name, trust, draw, whole):
    """Flips of single bits, each of which both refuse; Rust's own tests flip every byte."""
    data = (folder / name).read_bytes()
    start = data.find(b'"approval":"')
    free = range(start + 12, start + 48) if name.startswith("receipt") else range(0)
    places = [(at, bit) for at in range(len(data)) for bit in range(8)]
    if not whole:
        places = draw.sample(places, SAMPLE)
    for at, bit in places:
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        verdict, _ = by_python(bytes(changed), trust)
        # The letters of an id mean the same in either case.
        same = at in free and bit == 5 and chr(data[at]).isalpha()
        assert verdict == ("valid" if same else "invalid"), f"byte {at}, bit {bit}: {verdict}"
    for at, bit in draw.sample(places, min(20, len(places))):
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        file = folder / "flipped"
        file.write_bytes(changed)
        (folder / "flipped.trust").write_bytes(trust)
        rust, python = by_rust(file, folder / "flipped.trust")[0], by_python(bytes(changed), trust)[0]
        assert rust == python, f"byte {at}, bit {bit}: {rust} and {python}"


def cut(folder, name, trust, draw):
    data = (folder / name).read_bytes()
    for end in draw.sample(range(len(data)), 60):
        assert by_python(data[:end], trust)[0] == "invalid", f"cut at {end}"
    for more in (b"\0", b"\0" * 512, b"x"):
        assert by_python(data + more, trust)[0] == "invalid" or name.startswith("receipt")


def main():
    whole = "all" in sys.argv[1:]
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed}", flush=True)
    draw, tally = random.Random(seed), Tally()
    with tempfile.TemporaryDirectory(prefix="countersign-verify-") as place:
        folder = Path(place)
        subprocess.run([str(BINARIES / "examples" / "vectors"), str(folder)], check=True, timeout=120)
        for entry in json.loads((folder / "set.json").read_text()):
            tally.check(entry["name"], lambda entry=entry: check_entry(folder, entry))
        frozen = ROOT / "tests" / "verify" / "frozen"
        for entry in json.loads((frozen / "set.json").read_text()):
            tally.check(f"frozen {entry['name']}", lambda entry=entry: check_entry(frozen, entry))
        tally.check("the command line of the Python verifier", lambda: command_line(folder))
        tally.check("tar opens a bundle", lambda: tar_opens(folder))
        for name, trust in (("small-cases", "small"), ("small-period", "small"), ("receipt-ssh-ecdsa", "receipt-ssh-ecdsa")):
            key = (folder / f"{trust}.trust").read_bytes()
            tally.check(f"bits of {name} flipped", lambda name=name, key=key: flipped(folder, name, key, draw, whole))
            tally.check(f"{name} cut short", lambda name=name, key=key: cut(folder, name, key, draw))
    tally.close()


if __name__ == "__main__":
    main()
