"""Subscriptions against a model."""

import random

from fairbook.streams.channel_source import Channel
from fairbook.streams.subscriptions import OPEN_CHANNEL, SEND_INITIAL, WAIT, Subscriptions

OPERATIONS = 100_000


class ModelledSubscriptions:
    """Subscriptions, their source, and a model that holds only which receiver wants which channel.

    Receivers are numbers. The test ends openings; receivers leave or disconnect at any time.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.channels = [Channel(f"c{n}", n % 2) for n in range(8)]
        self.subscriptions: Subscriptions[int] = Subscriptions()
        self.wanted: dict[Channel, list[int]] = {channel: [] for channel in self.channels}
        self.active: dict[Channel, list[int]] = {channel: [] for channel in self.channels}
        self.opening: set[Channel] = set()
        self.open: set[Channel] = set()
        self.needs_initial: set[tuple[int, Channel]] = set()
        self.seen: set[str] = set()

    def join(self, receiver: int, channel: Channel) -> None:
        if receiver in self.wanted[channel]:
            return
        self.wanted[channel].append(receiver)
        step = self.subscriptions.subscribe(receiver, channel)
        if step == OPEN_CHANNEL:
            assert channel not in self.opening | self.open, "opened twice"
            self.opening.add(channel)
        elif step == WAIT:
            assert channel in self.opening
            self.seen.add("waited" if len(self.wanted[channel]) > 1 else "came back in time")
        else:
            assert step == SEND_INITIAL and channel in self.open
            self.send_initial(receiver, channel)

    def send_initial(self, receiver: int, channel: Channel) -> None:
        """Now, or later if there is no room."""
        if self.random.random() < 0.2:
            self.needs_initial.add((receiver, channel))
            return
        self.subscriptions.activate(receiver, channel)
        self.active[channel].append(receiver)

    def leave(self, receiver: int, channel: Channel) -> None:
        if receiver in self.wanted[channel]:
            self.wanted[channel].remove(receiver)
        if receiver in self.active[channel]:
            self.active[channel].remove(receiver)
        self.needs_initial.discard((receiver, channel))
        if self.subscriptions.unsubscribe(receiver, channel):
            self.close(channel)

    def close(self, channel: Channel) -> None:
        assert channel in self.open, "closed while it was being opened"
        assert not self.wanted[channel]
        self.open.remove(channel)

    def end_opening(self, channel: Channel) -> None:
        self.opening.remove(channel)
        self.open.add(channel)
        waiting = self.subscriptions.opened(channel)
        assert waiting == self.wanted[channel]
        if not waiting:
            self.seen.add("none left")
            self.close(channel)
        for receiver in waiting:
            self.send_initial(receiver, channel)

    def step(self) -> None:
        chance = self.random.random()
        channel = self.random.choice(self.channels)
        receiver = self.random.randrange(12)
        if chance < 0.42:
            self.join(receiver, channel)
        elif chance < 0.80:
            self.leave(receiver, channel)
        elif chance < 0.84:
            for left in self.channels:  # It disconnects.
                self.leave(receiver, left)
        elif chance < 0.92 and self.opening:
            self.end_opening(self.random.choice(sorted(self.opening)))
        elif self.needs_initial:
            receiver, channel = self.random.choice(sorted(self.needs_initial))
            self.needs_initial.remove((receiver, channel))
            self.subscriptions.activate(receiver, channel)
            self.active[channel].append(receiver)

    def check(self) -> None:
        assert len(self.subscriptions) == len(self.opening | self.open)
        for channel in self.channels:
            assert list(self.subscriptions.active(channel)) == self.active[channel]
            if channel in self.open:
                assert self.wanted[channel], "open without receivers"
            elif self.wanted[channel]:
                assert channel in self.opening, "wanted, but not being opened"


def test_random_subscriptions_match_the_model() -> None:
    """Even when receivers come and go while a channel is being opened."""
    world = ModelledSubscriptions(seed=20261122)
    for _ in range(OPERATIONS):
        world.step()
        world.check()
    assert world.seen == {"waited", "came back in time", "none left"}
    for channel in world.channels:
        for receiver in range(12):
            world.leave(receiver, channel)
    while world.opening:
        world.end_opening(min(world.opening))
    assert len(world.subscriptions) == 0 and not world.open


def test_unsubscribing_without_a_subscription_changes_nothing() -> None:
    subscriptions: Subscriptions[str] = Subscriptions()
    channel = Channel("depth")
    assert not subscriptions.unsubscribe("a", channel)
    assert subscriptions.subscribe("a", channel) == OPEN_CHANNEL
    assert not subscriptions.unsubscribe("b", channel)
    assert subscriptions.opened(channel) == ["a"]
    assert subscriptions.unsubscribe("a", channel)
