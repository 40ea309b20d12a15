"""Two gateways over one PostgreSQL feed one sink; one of them is killed while it delivers, and comes back.

At least once: nothing that is on record is skipped, in the log's order; what comes twice is what one delivery holds, once.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from house import Agent, House, Human, Tally  # noqa: E402
from postgres import Postgres  # noqa: E402
from receivers import SECRET, Upstream, WebhookReceiver, eventually  # noqa: E402

POLICY = """
@id("reads") @why("reading is free") permit (principal, action in Action::"read", resource);
"""
# How many events one delivery of a webhook holds at most.
BATCH = 32
# How long the right to feed a sink lasts, in seconds, and some more until another gateway takes it.
LEASE_SECONDS = 20
TAKEN_OVER_SECONDS = 3 * LEASE_SECONDS


def at(house, who):
    """The same person or agent, at another gateway."""
    if isinstance(who, Agent):
        other = Agent(house)
        other.id, other.key, other._token = who.id, who.key, who._token
        return other
    other = Human(house)
    other.passkey, other.cookie = who.passkey, who.cookie
    return other


class Story:
    def __init__(self, server):
        self.hook = WebhookReceiver()
        self.hook.failing = 0
        sink = (f'[[sinks]]\nname = "hook"\nto = {{ webhook = {{ url = "{self.hook.url}", '
                f'secret = {{ env = "HOOK_SECRET" }} }} }}\n')
        server.sql("CREATE DATABASE log")
        config, env = server.config("log") + sink, {**server.env, "HOOK_SECRET": SECRET}
        self.one = House(config, env=env).start()
        self.admin = self.one.bootstrap()
        self.agent = self.one.add_agent(sponsor=self.admin)
        self.one.apply_policy(POLICY)
        self.one.set_route("broker", {"name": "broker", "upstream": Upstream().url, "environment": "staging"})
        self.two = House(config, env=env, beside=self.one).start()

    def work(self, house, count):
        agent = at(house, self.agent)
        for number in range(count):
            agent.call("GET", f"/queues/{number}").expect(200)
        for number in range(count // 10):
            body = [{"specversion": "1.0", "id": f"{number}", "source": "/x", "type": "t"}]
            agent.ask("POST", "/v1/activity", body[0], **{"Content-Type": "application/cloudevents+json"})
        group = f"/v1/groups/g{time.monotonic_ns()}/members/{self.admin.id}"
        at(house, self.admin).call("PUT", group, {}).expect(200, 202)

    def trail(self, house):
        lines = at(house, self.admin).call("GET", "/v1/trail?format=jsonl").expect(200).body.decode().split("\n")
        return [json.loads(line) for line in lines if line]

    def on_record(self, *houses):
        """All that is to be delivered: each gateway tells the entries, and its own lines."""
        found = {}
        for house in houses:
            found.update({event["id"]: event for event in self.trail(house) if event["kind"] != "activity.elsewhere"})
        return found

    def sinks(self, house):
        return {sink["name"]: sink for sink in at(house, self.admin).call("GET", "/v1/sinks").expect(200).json()["sinks"]}

    def sender(self):
        """The gateway that sends the log's entries."""
        states = {house: self.sinks(house)["hook"]["state"] for house in (self.one, self.two)}
        sending = [house for house, state in states.items() if state == "sending"]
        return sending[0] if len(sending) == 1 else None

    def delivered(self, *houses):
        def everything():
            missing = set(self.on_record(*houses)) - set(self.hook.taken)
            return not missing
        eventually("the receiver has all that is on record", everything, 150)

    def both_feed_it(self):
        permits = lambda house: sum(event["kind"] == "activity.permit" for event in self.trail(house))  # noqa: E731
        for house in (self.one, self.two):
            self.work(house, 40)
        eventually("the segments are sealed", lambda: permits(self.one) == permits(self.two) == 40)
        eventually("one of them sends the entries", self.sender, TAKEN_OVER_SECONDS)
        self.delivered(self.one, self.two)
        kinds = [event["kind"] for event in self.on_record(self.one, self.two).values()]
        assert kinds.count("activity.permit") == 80 and "activity.missing" not in kinds, kinds
        for house in (self.one, self.two):
            told = [event["kind"] for event in self.trail(house)]
            assert told.count("activity.permit") == 40, "each tells its own"
            assert "activity.elsewhere" in told and "activity.missing" not in told

    def a_search_says_what_it_lacks(self):
        def incomplete():
            found = at(self.one, self.admin).call("GET", "/v1/search?q=kind:decision").expect(200).json()
            return found["incomplete"] and "other gateways" in found["incomplete_why"]
        eventually("the index knows that segments are elsewhere", incomplete, 30)

    def killed_while_it_delivers(self):
        """The receiver is slow; whoever sends is killed in the middle of a batch, the other goes on."""
        killed = eventually("one sends", self.sender, TAKEN_OVER_SECONDS)
        other = self.two if killed is self.one else self.one
        # Nothing is taken until there is a whole batch, so that the kill comes in the middle of it.
        self.hook.failing = 2
        for _ in range(4):
            self.work(killed, 10)
            self.work(other, 10)
        sealed = lambda: sum(event["kind"] == "activity.permit" for event in self.trail(killed)) == 80  # noqa: E731
        eventually("its segment is sealed", sealed)
        self.hook.dwell, self.hook.failing = 0.2, 0
        before = len(self.hook.ids)
        eventually("a delivery is under way", lambda: len(self.hook.ids) > before + 3, 90)
        killed.kill()
        self.work(other, 20)
        self.hook.dwell = 0
        eventually("the other took over", lambda: self.sinks(other)["hook"]["state"] == "sending", TAKEN_OVER_SECONDS)
        self.delivered(other)
        killed.start()
        self.delivered(self.one, self.two)

    def nothing_is_skipped_and_little_comes_twice(self):
        assert not self.hook.bad, self.hook.bad[:3]
        record = self.on_record(self.one, self.two)
        entries = sorted((e["log"]["index"], id) for id, e in record.items() if e["log"]["line"] is None)
        assert [index for index, _ in entries] == list(range(len(entries))), "every entry, once"
        first = list(dict.fromkeys(self.hook.ids))
        order = [record[id]["log"]["index"] for id in first if id in record and record[id]["log"]["line"] is None]
        assert order == sorted(order), "first deliveries are in the log's order"
        again = len(self.hook.ids) - len(first)
        # One gateway was killed, once, in the middle of what two of its couriers carried.
        assert 1 <= again <= 2 * BATCH, f"{again} of {len(first)} came twice"
        print(f"        {len(first)} events, {again} came twice", flush=True)

    def and_it_falls_still(self):
        """Nothing comes again once all is delivered, whoever holds the lease."""
        again = len(self.hook.ids) - len(set(self.hook.ids))
        time.sleep(LEASE_SECONDS + 5)
        later = len(self.hook.ids) - len(set(self.hook.ids))
        assert later == again, f"{later - again} more came twice while nothing happened"
        assert self.sender() is not None, "one of the two sends"


def main():
    tally = Tally()
    server = Postgres().start()
    story = None
    try:
        story = Story(server)
        tally.check("two gateways feed one sink, each its own lines", story.both_feed_it)
        tally.check("a search says which segments it lacks", story.a_search_says_what_it_lacks)
        tally.check("one is killed while it delivers; the other takes over; it comes back", story.killed_while_it_delivers)
        tally.check("nothing is skipped, and little comes twice", story.nothing_is_skipped_and_little_comes_twice)
        tally.check("and then nothing comes twice any more", story.and_it_falls_still)
    finally:
        for house in (story.one, story.two) if story else ():
            house.stop()
        server.stop()
    tally.close()


if __name__ == "__main__":
    main()
