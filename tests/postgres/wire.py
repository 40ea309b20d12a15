"""The PostgreSQL gate on the wire: real clients through it to a real server, and raw bytes against it."""

import sys

from harness import Scene
from wire_clients import Clients
from wire_messages import Messages
from wire_permits import Permits
from wire_startup import Startup

from house import Tally
from postgres import Postgres


class Story(Clients, Startup, Messages, Permits, Scene):
    """All of it; a name on the command line picks one."""


def main():
    tally, server = Tally(), Postgres().start()
    only = sys.argv[1:]
    story = None
    try:
        story = Story(server)
        for part in (Clients, Startup, Messages, Permits):
            for name in [name for name, value in vars(part).items() if callable(value)]:
                if not only or name in only:
                    tally.check(name, getattr(story, name))
    finally:
        if story:
            story.gate.stop()
        server.stop()
    tally.close()


if __name__ == "__main__":
    main()
