"""The process of a link: when it asks the server, and what it does when it cannot be reached."""

import time

import pytest
from fakes.coordinator import NODE, OURS, order
from flwr.app import Message, RecordDict

from federator.errors import InputError
from federator.runtime.link.fleet import Unreadable
from federator.runtime.link.gateway import Folder
from federator.runtime.link.polling import NotificationCounter
from federator.runtime.link.process import main, serve
from federator.runtime.protocol import replies
from federator.runtime.server.storage.store import Store

pytestmark = pytest.mark.usefixtures("in_a_run")


def test_a_key_folder_that_cannot_be_written_is_told(tmp_path):
    options = ["--server", "127.0.0.1:1", "--insecure", "--site", "north", "--labels", "2",
               "--app-hash", "a", "--socket", str(tmp_path / "s")]  # fmt: skip
    with pytest.raises(InputError, match="the folder of the site's key must be writable"):
        main([*options, "--followed", str(tmp_path / "absent" / "site.followed")])


class Away(Exception):
    """The link is not to go on."""


@pytest.mark.parametrize(
    ("silences", "beats"), [([0, 0, 0], 0), ([0, 0.3, 0], 1), ([0.3, 0, 0], 1)]
)
def test_who_was_out_of_touch_says_so_at_once(link, monkeypatch, silences, beats):
    class Fleet:
        node_id, beaten = NODE, 0

        def receive(self):
            if not silences:
                raise Away
            time.sleep(silences.pop(0))

        def heartbeat(self):
            self.beaten += 1

    monkeypatch.setattr("federator.runtime.link.process._GAP", 0.2)
    monkeypatch.setattr(link.pace, "found_nothing", lambda _: 0.01)
    fleet = Fleet()
    with pytest.raises(Away):
        serve(link, fleet)
    assert fleet.beaten == beats


class Poisoned:
    """A server whose first messages cannot be received, and whose run ends before the third."""

    node_id = NODE

    def __init__(self):
        self.replies, self.runs = [], [None, OURS]
        head = Message(RecordDict(), NODE, "train")
        self.waiting = [
            Unreadable(None, ValueError()),
            Unreadable(head, TypeError()),
            head,
            order(),
        ]

    def receive(self):
        if not self.waiting:
            raise Away
        first = self.waiting.pop(0)
        if isinstance(first, Unreadable):
            raise first
        return first

    def run(self, _):
        return self.runs.pop(0)

    def reply(self, reply, _):
        self.replies.append(reply)


def test_what_cannot_be_received_is_counted_and_told_and_the_next_is_answered(link, monkeypatch):
    fleet = Poisoned()
    monkeypatch.setattr(link.pace, "found_nothing", lambda _: 0.01)
    with pytest.raises(Away):
        serve(link, fleet)
    refused, done = fleet.replies
    assert "no known form" in str(replies.read_failure(refused.error)[1])
    assert replies.forged_in(done.content) == 2


def test_the_coordinator_says_how_many_sites_there_are(link):
    link.answer(order("join", epochs=0, sites=30), OURS, NODE)
    assert link.pace.sites == 30


class Told:
    """A server with messages for a site, each of which rings its counter; none of them is good."""

    node_id = NODE

    def __init__(self, store):
        self.store, self.counter, self.waiting = store, store.new_counter(), []
        self.asked, self.answered, self.beaten = [], [], 0

    def send(self):
        self.waiting.append(Message(RecordDict(), NODE, "train"))
        self.store.increment(self.counter)

    def receive(self):
        self.asked.append(time.monotonic())
        return self.waiting.pop(0) if self.waiting else None

    def run(self, _):
        return OURS

    def reply(self, reply, _):
        self.answered.append(reply)

    def heartbeat(self):
        self.beaten += 1


def test_where_there_is_a_counter_the_server_is_asked_when_it_changes(link, tmp_path, monkeypatch):
    server, looks = Told(Store(tmp_path / "store")), []
    link.notifications = NotificationCounter(Folder(tmp_path / "store"))
    link.notifications.subscribe(server.counter)
    server.send()
    server.send()
    scenes = iter(
        [*[None] * 20, server.send, *[None] * 20, lambda: server.store.increment(server.counter)]
    )

    def wait(_):
        looks.append(len(server.asked))
        if (scene := next(scenes, None)) is not None:
            scene()
        elif len(looks) > 60:
            raise Away

    monkeypatch.setattr("federator.runtime.link.process.time.sleep", wait)
    with pytest.raises(Away):
        serve(link, server)
    assert len(server.answered) == 3
    assert looks[19] == 3, "both that were there at first, and once in vain"
    assert looks[40] == 4, "it knew that there was one"
    assert looks[60] == 5, "it changed for nothing"


def test_a_counter_that_is_not_heard_is_none(link, tmp_path, monkeypatch):
    server = Told(Store(tmp_path / "store"))
    link.notifications = NotificationCounter(Folder(tmp_path / "store"))
    link.notifications.subscribe(server.counter)
    Store(tmp_path / "store")  # another run's
    looks = []

    def wait(_):
        looks.append(len(server.asked))
        if len(looks) > 5:
            raise Away

    monkeypatch.setattr("federator.runtime.link.process.time.sleep", wait)
    with pytest.raises(Away):
        serve(link, server)
    assert looks == [1, 2, 3, 4, 5, 6]


def test_a_link_without_a_key_of_the_coordinator_s_does_not_start(tmp_path):
    options = ["--server", "fl.example.org:443", "--site", "north", "--labels", "2",
               "--app-hash", "a", "--socket", str(tmp_path / "s")]  # fmt: skip
    with pytest.raises(InputError, match="0 keys of the coordinator's: one or 2"):
        main(options)
    with pytest.raises(InputError, match="'made-up' is no key of the coordinator's"):
        main([*options, "--coordinator-key", "made-up"])
