"""schemathesis against the API's own document, as a person, as an agent, and as nobody.

Every operation is called with data that fits its description and data that does not; every answer must be one that the
document names, of the type and shape that it gives. The first argument is how many cases an operation gets.
"""

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

# Left out for the person: what ends the session that the run lives by. Endless streams and the
# long-poll have tests of their own.
ENDS_THE_SESSION = ["logout"]
STREAMS = ["followApproval", "followInbox", "waitForApproval", "followTrail"]
# `positive_data_acceptance`: most operations name things that must exist, and a made-up id is rightly refused.
# `ignored_auth` is asked by the run without a credential.
LEFT_OUT = "positive_data_acceptance,use_after_free,ensure_resource_availability,object_level_authorization"


def run(house, who, token, cases, left_out):
    command = [
        "schemathesis", "run", f"{house.url}/openapi.json", "--url", house.url, "--checks", "all",
        "--exclude-checks", LEFT_OUT, "--max-examples", str(cases), "--request-timeout", "20",
        "--suppress-health-check", "all", "--continue-on-failure", "--seed", "7", "--no-color",
        "--phases", "examples,coverage,fuzzing", "--warnings", "off", "--header", "Prefer: respond-async",
    ]
    for operation in left_out:
        command += ["--exclude-operation-id", operation]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=house.folder,
                          env={**os.environ, "NO_COLOR": "1"}, timeout=1500)
    if done.returncode != 0:
        print(done.stdout[-12000:] + done.stderr[-2000:], flush=True)
    found = re.search(r"(\d+) passed", done.stdout)
    print(f"{who}: {found.group(0) if found else done.stdout[-400:]}", flush=True)
    assert done.returncode == 0, f"schemathesis as {who} found faults"
    assert house.process.poll() is None, "the gateway ended"


def main():
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    tally = Tally()
    with House('[log]\nlevel = "warn"\n') as house:
        admin = house.bootstrap()
        house.add_person("Rita Reviewer")
        agent = house.add_agent(sponsor=admin)
        house.apply_policy(POLICY)
        person = admin.cookie.split("=", 1)[1]
        tally.check("as nobody", lambda: run(house, "nobody", None, cases, STREAMS))
        tally.check("as an agent", lambda: run(house, "agent", agent.token(), cases, STREAMS))
        tally.check("as a person", lambda: run(house, "person", person, cases, STREAMS + ENDS_THE_SESSION))

        def still_well():
            assert house.run("--help").returncode == 0
            assert admin.call("GET", "/v1/info").status == 200

        tally.check("the gateway is well after all of it", still_well)
    tally.close()


if __name__ == "__main__":
    main()
