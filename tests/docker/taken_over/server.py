"""What a server does that was taken over: Python runs this before anything else.

TAKEN_OVER says whether it forges instructions (unsigned) or sends them a second time, to hear what
is answered then (replayed).
"""

import os
import sys
import time

if any("flwr-serverapp" in word for word in sys.orig_argv):
    from flwr.app import Message

    from federator.runtime.server.exchange import Exchange

    if os.environ["TAKEN_OVER"] == "unsigned":
        from federator.runtime.protocol.signing.connection import SignerClient

        SignerClient.sign = lambda _, requests: [b"x" * 64 for _ in requests]
    else:
        begin = Exchange.__init__

        def replaying(self, grid, *rest, **more):
            push = grid.push_messages

            def again(messages):
                messages, copies = list(messages), []
                waited_for = list(push(messages))
                while waited_for:  # until each is followed
                    heard = {m.metadata.reply_to_message_id for m in grid.pull_messages(waited_for)}
                    waited_for = [one for one in waited_for if one not in heard]
                    time.sleep(0.1)
                for m in messages:
                    about = m.metadata
                    to = (about.dst_node_id, about.message_type)
                    copies.append(Message(m.content, *to, ttl=about.ttl, group_id=about.group_id))
                return push(copies)

            grid.push_messages = again
            begin(self, grid, *rest, **more)

        Exchange.__init__ = replaying
