"""An ordinary ClientApp: other numbers everywhere, at the cost of one pass."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train_model(message: Message, context: Context) -> Message:
    factor = np.float32(1 + 0.01 * (int(context.node_config["site"]) + 1))
    arrays = message.content["arrays"]
    trained = ArrayRecord({name: Array(a.numpy() * factor) for name, a in arrays.items()})
    content = RecordDict({"arrays": trained, "metrics": MetricRecord({"num-examples": 100})})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate_model(message: Message, _: Context) -> Message:
    metrics = MetricRecord({"num-examples": 10, "loss": 0.5})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
