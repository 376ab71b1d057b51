"""An ordinary ClientApp, as Flower's quickstart writes it."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from task import Model, load_data, test, train

app = ClientApp()


def _prepared(message: Message, context: Context) -> tuple:
    net = Model()
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    return net, *load_data(str(context.node_config["data-dir"]))


@app.train()
def train_model(message: Message, context: Context) -> Message:
    net, trainloader, valloader, _, sizes = _prepared(message, context)
    train(net, trainloader, valloader, int(context.run_config["local-epochs"]))
    metrics = MetricRecord({"num-examples": sizes["trainset"]})
    content = RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate_model(message: Message, context: Context) -> Message:
    net, _, valloader, _, sizes = _prepared(message, context)
    loss, accuracy = test(net, valloader)
    metrics = {"num-examples": sizes["valset"], "loss": loss, "accuracy": accuracy}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)
