"""What a site does that was taken over: it writes to another one, as if it were the coordinator.

Flower delivers that. ``site.py KEY RUN NODE``: with its key, in a run, to the node of its victim.
"""

import os
import sys
import time
from pathlib import Path

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_push_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import push_objects
from flwr.supercore.task_identity import TaskIdentity

from federator.runtime.link import fleet as fleet_api
from federator.runtime.protocol.instructions import Instruction

key, run, victim = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
authority = key.with_suffix(".ca")
authority.write_text(os.environ["FEDERATOR_CA"])
with fleet_api.connect(os.environ["FEDERATOR_SERVER"], authority, key, 5.0) as fleet:
    TaskIdentity._run_id, TaskIdentity._task_id = run, 1
    TaskIdentity._node_id = SUPERLINK_NODE_ID  # so it pretends
    forged = Instruction("join", 0, time.time() + 60).write()
    config = ConfigRecord({"instruction": forged, "signature": b"x" * 64})
    message = Message(RecordDict({"config": config}), victim, "query")
    message.metadata.__dict__["_message_id"] = message.object_id
    with no_object_id_recompute():
        node = Node(node_id=fleet.node_id)
        request = PushMessagesRequest(
            node=node,
            messages_list=[message_to_proto(remove_content_from_message(message))],
            message_object_trees=[get_object_tree(message)],
        )
        taken = fleet._client.PushMessages(request)
        push = make_push_object_fn_protobuf(fleet._client.PushObject, node, run, taken.session_id)
        objects = get_all_nested_objects(message)
        push_objects(objects, push, object_ids_to_push=set(taken.objects_to_push))
print("delivered")
