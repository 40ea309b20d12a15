"""An old copy put in place: of the store, of the anchor, of what is published, in every combination, with a witness and without.

Whoever still holds something newer that the log's key has signed stops the start; the log goes on where nothing was lost.
"""

import itertools
import shutil
import sys
from pathlib import Path

for room in ("support", "faults"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / room))
from faulty import Faulty  # noqa: E402
from house import Tally  # noqa: E402
from witness import Witness  # noqa: E402

CONFIG = '[transparency]\nfolder = "public"\n'
OLD, NEW, GONE = "old", "new", "gone"
# What each part of a deployment keeps, within its folder.
PARTS = {"store": ["countersign-data"], "anchor": ["countersign-keys/last-checkpoint", "countersign-keys/last-checkpoint.latest"],
         "published": ["public"]}


class Story:
    def __init__(self):
        self.house = Faulty(None, CONFIG).start()
        self.house.bootstrap()
        key = self.house.log_key()
        self.witness = Witness(log_key=key).start()
        self.policy = self.house.folder / "policy"
        self.policy.write_text(
            f"log {key}\nwitness w {self.witness.key} http://127.0.0.1:{self.witness.port}/\nquorum w\n")
        self.alone = (self.house.folder / "countersign.toml").read_text()
        self.configure(True)
        self.house.stop()
        self.house.start()
        self.old = self.copy(".old")
        self.new = self.copy(".new", grow=True)

    def configure(self, witnessed):
        names = f'witnesses = "{self.policy}"\n' if witnessed else ""
        (self.house.folder / "countersign.toml").write_text(self.alone + names)

    def copy(self, ending, grow=False):
        """A copy of everything, at rest; everything up to there is published and cosigned."""
        if grow:
            self.house.start()
            self.house.add_agent()
        self.house.wait_published(30)
        self.house.stop()
        # What was entered while it stopped.
        self.house.start().wait_published(30)
        self.house.kill()
        to = self.house.folder.with_name(self.house.folder.name + ending)
        shutil.copytree(self.house.folder, to)
        return to

    def put(self, states, witnessed):
        for part, state in states.items():
            for name in PARTS[part]:
                target = self.house.folder / name
                shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
                source = {OLD: self.old, NEW: self.new}.get(state)
                if source and (source / name).exists():
                    copy = shutil.copytree if (source / name).is_dir() else shutil.copy
                    copy(source / name, target)
        self.configure(witnessed)

    def starts(self, states, witnessed):
        self.put(states, witnessed)
        (self.house.folder / "stderr.log").unlink(missing_ok=True)
        try:
            self.house.start()
        except AssertionError as refused:
            return False, str(refused)
        # It goes on for long enough to publish, or to say why not.
        self.house.wait_published(30)
        self.house.end()
        return True, ""

    @staticmethod
    def may_start(states, witnessed):
        """What the rule says: nothing newer than the store may be known, and an anchor must be there."""
        store, anchor, published = states["store"], states["anchor"], states["published"]
        if store == GONE or anchor == GONE:
            return False
        return store == NEW or (anchor == OLD and published != NEW and not witnessed)


def main():
    tally, story = Tally(), Story()
    try:
        for witnessed, *states in itertools.product((False, True), (NEW, OLD, GONE), (NEW, OLD, GONE), (NEW, OLD, GONE)):
            states = dict(zip(PARTS, states))
            if states["store"] == states["anchor"] == states["published"] == GONE and not witnessed:
                continue  # a new log: nobody knows of another
            # The log that goes on alone would be another history to the witness from then on.
            wanted = story.may_start(states, witnessed)

            def as_ruled(states=states, witnessed=witnessed, wanted=wanted):
                started, why = story.starts(states, witnessed)
                assert started == wanted, f"it {'started' if started else 'did not start: ' + why[-500:]}"

            said = ", ".join(f"{state} {part}" for part, state in states.items())
            tally.check(f"{said}, {'a witness' if witnessed else 'no witness'}: {'starts' if wanted else 'is refused'}", as_ruled)
            story.house.end()
    finally:
        story.house.end()
        story.witness.end()
    tally.close()


if __name__ == "__main__":
    main()
