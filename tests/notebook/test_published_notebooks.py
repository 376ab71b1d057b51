"""The published notebooks of 2022, written to the template of that year."""

from fixtures.component_text import text
from fixtures.filled import of

from federator.notebook import contract
from federator.notebook.signatures import PARTS

# Our own, in the form of the notebook published with the template of 2022.
PUBLISHED = (
    "import torch\nimport torch.nn as nn\nimport os\n\n# import ...\nimport numpy as np\n"
    'DEVICE = torch.device("cpu")',
    "class CustomDataset(torch.utils.data.Dataset):\n"
    "    def __init__(self, folder):\n"
    "        ### START CODE HERE ###\n"
    '        self.X = np.load(folder + "/x.npy")\n'
    "        ### END CODE HERE ###\n"
    "    def __len__(self):\n        return len(self.X)",
    "def load_data(data_path, input_shape=(224, 224)):\n"
    "    loader = torch.utils.data.DataLoader(CustomDataset(data_path))\n"
    '    return loader, loader, loader, {"trainset": 1, "valset": 1, "testset": 1}',
    "class Model(nn.Module):\n    def __init__(self, n_classes=2):\n"
    "        super(Model, self).__init__()\n        self.layer = nn.Linear(2, n_classes)",
    "def train(net, trainloader, valloader, epochs):\n    #TODO Define optimizer\n"
    "    for i in range(epochs):\n        print(test(net.to(DEVICE), valloader))",
    "def test(net, testloader):\n    return 0.5, 0.5",
    "# https://flower.dev/docs/implementing-strategies.html\n\n"
    "strategy = fl.server.strategy.FedAvg(\n    # ... other arguments\n    fraction_fit=1,\n"
    "    fraction_eval=1,\n    min_fit_clients=3,\n    min_available_clients=2,\n)\n\n"
    'config = {"num_rounds": 3}\ngrpc_max_message_length = 895_870_912',
)


def test_a_notebook_of_2022_converts():
    made = contract.take_apart(of(*PUBLISHED))
    assert [str(warning) for warning in made.warnings] == [
        "tumour.ipynb: cell 7, line 3: this is the spelling of Flower's old API; it is translated\n"
        "    Write: strategy = fl.serverapp.strategy.FedAvg(fraction_train=1, fraction_evaluate=1, "
        "min_train_nodes=3, min_available_nodes=2)",
        "tumour.ipynb: cell 7, line 3: `min_train_nodes` is 3, but `min_available_nodes` only 2\n"
        "    How many sites a round needs is min_sites: in the federation file.",
        "tumour.ipynb: cell 7, line 3: `fl` is never imported; `import flwr as fl` is supplied\n"
        "    Write the import in the notebook.",
    ]
    assert text(made.aggregation) == (
        "import flwr as fl\nstrategy = fl.serverapp.strategy.FedAvg(\n    fraction_train=1,\n"
        "    fraction_evaluate=1,\n    min_train_nodes=3,\n    min_available_nodes=2,\n)\n"
        'config = {"num_rounds": 3}'
    )
    assert (made.strategy, made.rounds) == ("FedAvg", 3)
    assert made.task.imports.keys() == {"torch", "numpy"}
    exec(text(made.task), names := {})
    assert all(part.name in names for part in PARTS if part.required)


def test_short_names_are_supplied_where_they_are_used():
    load = "def load_data(data_path):\n    return F(data_path), np, pd, torch"
    train = "def train(net, trainloader, valloader, epochs): print(net)"
    made = contract.take_apart(of(load, PUBLISHED[3], train, PUBLISHED[5]))
    assert [(s.source, s.cell, s.line) for s in made.task.statements[:5]] == [
        ("import numpy as np", 1, 2),
        ("import pandas as pd", 1, 2),
        ("import torch", 1, 2),
        ("import torch.nn as nn", 2, 1),
        ("import torch.nn.functional as F", 1, 2),
    ]
    assert len(made.warnings) == 5
    assert made.task.imports.keys() == {"numpy", "pandas", "torch"}
