"""Flower's internals: this version and no other."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import PullMessagesResponse, PushMessagesResponse
from flwr.proto.message_pb2 import ObjectTree, PullObjectResponse, PushObjectResponse
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.run import RunNotRunningException
from google.protobuf.message import DecodeError

from federator.runtime.flower import FLWR_VERSION
from federator.runtime.link import fleet as fleet_api
from federator.runtime.link.admission import ConnectionRefused


def test_the_installed_flower_is_the_one_whose_internals_are_known():
    assert version("flwr") == FLWR_VERSION


def test_another_version_of_flower_is_refused_at_import():
    code = "import flwr; flwr.__version__ = '1.43.0'; import federator.runtime.flower"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "speaks flwr 1.42.0, but 1.43.0 is installed" in done.stderr


def test_a_superlink_out_of_reach_is_an_error_not_the_end_of_the_process():
    with (
        pytest.raises(ConnectionRefused),
        fleet_api.connect("127.0.0.1:9", None, None, patience=0.1),
    ):
        pass


class Server:
    """Flower's server, made up: it loses what is pushed to it as often as it is told to."""

    def __init__(self, *losses, message=None):
        self.losses, self.sessions, self.stored = list(losses), 0, {}
        self.tree, self.objects = None, {}
        if message is not None:
            message.metadata.__dict__["_message_id"] = message.object_id
            self.head = message_to_proto(remove_content_from_message(message))
            self.tree = get_object_tree(message)
            self.objects = {k: o.deflate() for k, o in get_all_nested_objects(message).items()}
        self.confirmed = []

    def PullMessages(self, _):
        tree, self.tree = self.tree, None
        if tree is None:
            return PullMessagesResponse()
        return PullMessagesResponse(messages_list=[self.head], message_object_trees=[tree])

    def PullObject(self, request):
        content = self.objects.get(request.object_id)
        return PullObjectResponse(
            object_found=content is not None, object_available=True, object_content=content or b""
        )

    def ConfirmMessageReceived(self, request):
        self.confirmed.append(request.message_object_id)

    def PushMessages(self, request):
        self.sessions += 1
        (tree,) = request.message_object_trees
        wanted = [one.object_id for one in iterate_object_tree(tree)]
        return PushMessagesResponse(objects_to_push=wanted, session_id=str(self.sessions))

    def PushObject(self, request):
        if self.losses:
            if (loss := self.losses.pop(0)) is None:
                return PushObjectResponse(stored=False)
            raise loss
        self.stored[request.object_id] = request.object_content
        return PushObjectResponse(stored=True)


def question(ttl=600.0):
    return Message(RecordDict({"config": ConfigRecord({"a": 1})}), 42, "train", ttl=ttl)


@pytest.fixture
def pauses(monkeypatch):
    monkeypatch.setattr(fleet_api, "_PAUSES", (0.01, 0.02))
    return fleet_api._PAUSES


@pytest.mark.usefixtures("in_a_run", "pauses")
@pytest.mark.parametrize("loss", [None, ValueError("session"), DecodeError("odd")], ids=repr)
def test_a_reply_that_is_lost_is_sent_again(loss):
    server = Server(loss, loss)
    reply = Message(RecordDict({"site": ConfigRecord({"b": 2})}), reply_to=question())
    fleet_api.Fleet(server, 42).reply(reply, 0.1)
    assert server.sessions in (2, 3), "an answer may be lost twice in one session"
    whole = [one.object_id for one in iterate_object_tree(get_object_tree(reply))]
    assert set(whole) <= server.stored.keys()


@pytest.mark.usefixtures("in_a_run")
def test_a_reply_that_is_lost_again_and_again_costs_that_reply(pauses, caplog):
    server = Server(*[None] * 50)
    reply = Message(RecordDict({"site": ConfigRecord({"b": 2})}), reply_to=question())
    fleet_api.Fleet(server, 42).reply(reply, 0.1)
    assert server.sessions == 1 + len(pauses)
    assert "a reply was lost (ObjectPushError): the server takes this site for late" in caplog.text


@pytest.mark.usefixtures("in_a_run", "pauses")
def test_a_reply_for_which_nobody_waits_any_more_is_not_sent_again():
    server = Server(*[None] * 50)
    reply = Message(RecordDict({"site": ConfigRecord({"b": 2})}), reply_to=question(ttl=0.005))
    fleet_api.Fleet(server, 42).reply(reply, 0.1)
    assert server.sessions == 1


@pytest.mark.usefixtures("in_a_run", "pauses")
@pytest.mark.parametrize("error", [RunNotRunningException, ConnectionRefused("down")], ids=repr)
def test_only_a_server_out_of_reach_is_told_to_who_sends(error):
    server = Server(error)
    reply = Message(RecordDict({"site": ConfigRecord({"b": 2})}), reply_to=question())
    if isinstance(error, ConnectionRefused):
        with pytest.raises(ConnectionRefused):
            fleet_api.Fleet(server, 42).reply(reply, 0.1)
    else:
        fleet_api.Fleet(server, 42).reply(reply, 0.1)
    assert server.sessions == 1


@pytest.mark.usefixtures("in_a_run")
def test_a_message_is_received_with_what_it_carries():
    server = Server(message=question())
    fleet = fleet_api.Fleet(server, 42)
    assert fleet.receive().content["config"]["a"] == 1
    assert server.confirmed
    assert fleet.receive() is None


@pytest.mark.usefixtures("in_a_run")
@pytest.mark.parametrize(
    "change",
    [
        lambda server: server.objects.clear(),
        lambda server: server.objects.update(dict.fromkeys(server.objects, b"")),
        lambda server: server.objects.update(dict.fromkeys(server.objects, b"\xff" * 99)),
        lambda server: server.objects.update(
            {k: v.replace(b"Message", b"Nothing") for k, v in server.objects.items()}
        ),
        lambda server: server.objects.update(
            {k: v.replace(b"RecordDict", b"Message") for k, v in server.objects.items()}
        ),
        lambda server: setattr(server, "tree", ObjectTree(object_id="x")),
    ],
    ids=["gone", "empty", "noise", "no message", "another kind", "another tree"],
)
def test_what_is_no_message_is_unreadable_and_has_a_head_to_answer(change):
    server = Server(message=question())
    change(server)
    with pytest.raises(fleet_api.Unreadable) as caught:
        fleet_api.Fleet(server, 42).receive()
    reply = Message(Error(2023, "refused"), reply_to=caught.value.head)
    assert reply.metadata.dst_node_id == 1


def test_settings_are_joined_by_dots(tmp_path):
    from federator.runtime.app_config import app_config

    (tmp_path / "pyproject.toml").write_text(
        '[tool.flwr.app.config]\nrounds = 3\nlabels = "a,b"\n'
        "[tool.flwr.app.config.parameters]\nrate = 0.1\n"
    )
    assert app_config(tmp_path) == {"rounds": 3, "labels": "a,b", "parameters.rate": 0.1}
