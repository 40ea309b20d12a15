"""Our cards, as the crate's snapshots have them, before Slack's own models and types.

`slack_sdk.models` parses every block and runs its validators; `tsc` compiles them as literals of `@slack/types`, which
refuses a property that Slack's types do not know. And Slack's own client for Python checks signatures as we do: see
`crates/channels/src/slack/tests/verify.rs` for the same example.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(HERE)]
from blocks import checked_blocks, checked_view  # noqa: E402
from house import Tally  # noqa: E402

SNAPSHOTS = ROOT / "crates/channels/src/slack/tests/snapshots"


def snapshots():
    """The name and the value of each snapshot of a card, a modal or a home tab."""
    for path in sorted(SNAPSHOTS.glob("*render__*.snap")):
        yield path.stem.split("__")[-1], json.loads(path.read_text().split("---\n", 2)[2])


def models(value):
    if "type" in value:
        _, errors = checked_view(value, value["type"])
    else:
        _, errors = checked_blocks(value["blocks"])
    assert not errors, errors


def types(all):
    """Compiles every value as a literal of the type that Slack gives it."""
    modules = Path(os.environ.get("NODE_PATH") or ROOT / ".tools/node/node_modules")
    lines = ['import type { KnownBlock, View } from "@slack/types";',
             "type Message = { text: string; blocks: KnownBlock[]; unfurl_links: boolean; unfurl_media: boolean };"]
    for name, value in all:
        lines.append(f"export const {name}: {'View' if 'type' in value else 'Message'} = {json.dumps(value)};")
    options = {"strict": True, "noEmit": True, "skipLibCheck": True, "module": "nodenext", "types": []}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "node_modules").symlink_to(modules)
        Path(folder, "package.json").write_text('{"type": "module"}')
        Path(folder, "cards.ts").write_text("\n".join(lines))
        Path(folder, "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["cards.ts"]}))

        def compiles():
            return subprocess.run([str(modules / ".bin/tsc"), "-p", folder], capture_output=True, text=True, timeout=120)

        done = compiles()
        assert done.returncode == 0, done.stdout[-3000:]
        # A compiler that takes anything proves nothing.
        wrong = lines[-1].replace('"type": "', '"type": "un', 1)
        Path(folder, "cards.ts").write_text("\n".join([*lines[:-1], wrong]))
        assert compiles().returncode != 0, "an unknown type was taken"


def main():
    tally = Tally()
    all = list(snapshots())
    tally.check("there are snapshots of cards, modals and home tabs",
                lambda: [next(n for n, _ in all if n.startswith(kind)) for kind in ("card_", "modal_", "home")])
    for name, value in all:
        tally.check(f"slack_sdk.models takes {name}", lambda value=value: models(value))
    tally.check("tsc takes all of them as @slack/types", lambda: types(all))
    tally.close()


if __name__ == "__main__":
    main()
