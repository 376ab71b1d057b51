"""What a server does that was taken over: Python runs this before anything else.

TAKEN_OVER says whether it forges instructions (unsigned) or sends them twice (replayed).
"""

import os
import sys

if any("flwr-serverapp" in word for word in sys.orig_argv):
    from flwr.app import Message

    from federator.runtime.conversation import Conversation

    if os.environ["TAKEN_OVER"] == "unsigned":
        from federator.runtime import conversation

        conversation.sign = lambda *_: b"x" * 64
    else:
        begin = Conversation.__init__

        def replaying(self, grid, *rest, **more):
            push = grid.push_messages

            def twice(messages):
                ids = list(push(messages))
                for m in messages:
                    about = m.metadata
                    to = (about.dst_node_id, about.message_type)
                    push([Message(m.content, *to, ttl=about.ttl, group_id=about.group_id)])
                return ids

            grid.push_messages = twice
            begin(self, grid, *rest, **more)

        Conversation.__init__ = replaying
