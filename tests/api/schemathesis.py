"""schemathesis against the API's own document: as nobody, as an agent, as a person, as two agents, and as one who leaves.

Every operation is called with data that fits its description and data that does not, and in sequences in which one call
uses what another made. Every check of schemathesis is on. Every answer must be one that the document names, of the type
and shape that it gives; the first event of a stream is one. The first argument is how many cases an operation gets.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import House, Tally  # noqa: E402

POLICY = """
@id("all") @why("everything may be asked")
permit (principal, action, resource);
@id("hold-removal") @hold("reviewers:1") @ttl("30m") @grant("10m") @why("removes something")
forbid (principal, action in Action::"destroy", resource);
"""

# The test is a proxy that says for whom it calls: `hooks.py` says why.
GATEWAY = '[log]\nlevel = "warn"\n'
TRUSTED = 'trusted_proxies = ["127.0.0.1", "::1"]\n'

# How long one call may take, in seconds.
PATIENCE = 20
# How long a stream is listened to for its first event: a trail in which nothing happens stays silent.
STREAM_PATIENCE = 3

# Operations that may refuse data which fits its description, with the status and why no description could say so.
SAYS_MORE_THAN_A_SCHEMA = {
    "tradeAssertion": ("400", "RFC 6749 wants 400 for an assertion that nobody signed"),
    "reportActivity": ("400", "CloudEvents and OTLP have rules of their own for names, ids and times"),
    "makeBundle": ("400", "a bundle is of approvals or of a period, whose ends are dates, indices or signed checkpoints"),
    "prepareStatement": ("422", "a question needs words; an approval needs none"),
    "setRoute": ("422", "a route's document is read by the point that owns it, not by the API"),
    "applyPolicy": ("422", "a policy's text must be Cedar"),
    "searchTrail": ("400", "a search is a language of its own, with times, places and names in it"),
    "exportTrail": ("400", "its ends are indices, dates or times"),
    "followTrail": ("400", "where to begin is an index, a date or a time"),
}
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "429", "5xx"]

# The session that a run lives by is not to be ended by it: a run of its own does that.
ENDS_THE_SESSION = "logout"

# What may be said of data that does not fit: the usual, and 413 of a part that is too long.
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]


def configuration(peers):
    lines = [
        f"max-stream-events = 1\nhooks = {json.dumps(str(Path(__file__).with_name('hooks.py')))}\n"
        f"checks.negative_data_rejection.expected-statuses = {json.dumps(REFUSED)}\n"
    ]
    if peers:
        lines.append('[auth.wfc]\npath = "peers.json"\n' + f"peers = {json.dumps(list(peers))}\n")
    for operation, (status, _why) in SAYS_MORE_THAN_A_SCHEMA.items():
        lines.append(
            f'[[operations]]\ninclude-operation-id = "{operation}"\n'
            f"checks.positive_data_acceptance.expected-statuses = {json.dumps([*ACCEPTED, status])}\n"
            + (f"request-timeout = {STREAM_PATIENCE}\n" if operation == "followTrail" else "")
        )
    return "\n".join(lines)


def run(house, who, cases, *selection, token=None, peers=None):
    """One run. `peers` are agents, by name, none of whom may read what another made."""
    (house.folder / "schemathesis.toml").write_text(configuration(peers))
    command = [
        "schemathesis", "run", f"{house.url}/openapi.json", "--url", house.url, "--checks", "all",
        "--max-examples", str(cases), "--request-timeout", str(PATIENCE), "--suppress-health-check", "all",
        "--continue-on-failure", "--seed", "7", "--no-color", "--phases", "examples,coverage,fuzzing,stateful",
        "--warnings", "off", "--header", "Prefer: respond-async", *selection,
    ]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    if peers:
        users = [
            {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {agent.token()}"}]}
            for name, agent in peers.items()
        ]
        (house.folder / "peers.json").write_text(json.dumps({"auth": users}))
    done = subprocess.run(command, capture_output=True, text=True, cwd=house.folder,
                          env={**os.environ, "NO_COLOR": "1"}, timeout=3000)
    if done.returncode != 0:
        print(done.stdout[-12000:] + done.stderr[-2000:], flush=True)
    found = re.search(r"Test cases:\s*(\d+ .*)", done.stdout)
    print(f"{who}: {found.group(1) if found else done.stdout[-400:]}", flush=True)
    assert done.returncode == 0, f"schemathesis as {who} found faults"
    assert house.process.poll() is None, "the gateway ended"


def main():
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    tally = Tally()
    with House(TRUSTED + GATEWAY) as house:
        admin = house.bootstrap()
        house.add_person("Rita Reviewer")
        agent = house.add_agent(sponsor=admin)
        other = house.add_agent("other-agent", sponsor=admin)
        house.apply_policy(POLICY)
        session = lambda human: human.cookie.split("=", 1)[1]  # noqa: E731
        leaving = lambda: session(admin.login())  # noqa: E731
        stay = ("--exclude-operation-id", ENDS_THE_SESSION)
        person = session(admin)
        tally.check("as nobody", lambda: run(house, "nobody", cases))
        tally.check("as an agent", lambda: run(house, "agent", cases, token=agent.token()))
        tally.check("as two agents", lambda: run(house, "two agents", cases, peers={"one": agent, "other": other}))
        tally.check("as a person", lambda: run(house, "person", cases, *stay, token=person))
        tally.check("as one who leaves", lambda: run(
            house, "one who leaves", cases, "--include-operation-id", ENDS_THE_SESSION, token=leaving()))

        def still_well():
            assert house.run("--help").returncode == 0
            assert admin.call("GET", "/v1/info").status == 200

        tally.check("the gateway is well after all of it", still_well)
    tally.close()


if __name__ == "__main__":
    main()
