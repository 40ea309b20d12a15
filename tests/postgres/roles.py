"""A role for each session, end to end: a gateway whose database says `acts_as`, a server, and psycopg."""

import sys
from pathlib import Path

import psycopg

from harness import until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import ROOT, House, Tally, free_port  # noqa: E402
from postgres import Postgres  # noqa: E402

MADE = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'countersign!_made!_%' ESCAPE '!'"


class Story:
    def __init__(self, server):
        self.server, self.port = server, free_port()
        server.sql("CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items VALUES (1, 'one');"
                   "CREATE ROLE app; GRANT ALL ON items TO app;"
                   "CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'the gateway alone knows it'; GRANT app TO maker WITH ADMIN OPTION")
        config = f'[postgres]\nlisten = "127.0.0.1:{self.port}"\n[secrets]\nitems = {{ env = "ITEMS_PASSWORD" }}\n'
        self.house = House(config, env={"ITEMS_PASSWORD": "the gateway alone knows it"}).start()
        self.house.bootstrap(groups=("dba",))
        self.house.set_route("items", {
            "point": "postgres", "name": "items", "server": f"127.0.0.1:{server.port}", "database": "postgres",
            "user": "maker", "acts_as": "app", "credential": {"secret": "items"}, "tls": "loopback",
            "environment": "prod"})
        self.house.apply_policy((ROOT / "policies" / "postgres.cedar").read_text())
        self.agent = self.house.add_agent()

    def connect(self):
        return psycopg.connect(host="127.0.0.1", port=self.port, user="agent", password=self.agent.token(),
                               dbname="items", autocommit=True, connect_timeout=20)

    def each_session_has_a_role_of_its_own(self):
        with self.connect() as first, self.connect() as second:
            for client in (first, second):
                assert client.execute("SELECT name FROM items").fetchone() == ("one",)
            names = self.server.sql("SELECT DISTINCT usename FROM pg_stat_activity "
                                    "WHERE usename LIKE 'countersign!_made!_%' ESCAPE '!'").split()
            assert len(names) == 2, names
            password = "an agent knows no password of its role"
            for name in names:
                try:
                    psycopg.connect(host="127.0.0.1", port=self.server.port, user=name, password=password,
                                    dbname="postgres", connect_timeout=20)
                    raise AssertionError("it got in directly")
                except psycopg.OperationalError as refusal:
                    assert "authentication failed" in str(refusal), refusal
        until("both are gone", lambda: self.server.sql(MADE) == "0")


def main():
    tally, server, story = Tally(), Postgres().start(), None
    try:
        story = Story(server)
        tally.check("each session has a role of its own", story.each_session_has_a_role_of_its_own)
    finally:
        if story:
            story.house.stop()
        server.stop()
    tally.close()


if __name__ == "__main__":
    main()
