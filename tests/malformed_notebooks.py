"""Notebooks that cannot be converted, and what is said about each."""

from small_notebook import LOAD_DATA, STRATEGY, TEST, TRAIN

LOADERS = "trainloader, valloader, testloader"
DEFS = "train(net, trainloader, valloader, epochs)"

# Cells that differ from the small notebook's → the only thing that is said about them.
CASES = {
    "Model missing": (
        {"model": None},
        "the notebook defines no `Model`\n"
        "    Write: class Model(nn.Module): def __init__(self): ...",
    ),
    "Model under another name": (
        {"model": "class Net(nn.Module):\n    pass"},
        "the notebook defines no `Model`\n    Is it `Net` (cell 6, line 1)? "
        "Write: class Model(nn.Module): def __init__(self): ...",
    ),
    "load_data under a similar name": (
        {"load_data": LOAD_DATA.replace("load_data", "load_dataset")},
        "the notebook defines no `load_data`\n    Is it `load_dataset` (cell 4, line 1)? Write: "
        f"def load_data(data_path): ... return {LOADERS}, num_examples",
    ),
    "Model twice": (
        {"extra": "class Model(nn.Module):\n    pass"},
        "cell 10, line 1: `Model` is defined in cell 6, line 1, and again here\n"
        "    Keep one of them; rename the other, or tag its cell `local`.",
    ),
    "train as a function and as data": (
        {"extra": "train, val = [1], [2]"},
        "cell 10, line 1: `train` is data here, and a function elsewhere\n"
        "    Rename it, for example to train_set.",
    ),
    "strategy twice": (
        {"extra": STRATEGY.replace("config", "more")},
        "cell 10, line 3: `strategy` is defined in cell 9, line 3, and again here",
    ),
    "Model is a number": (
        {"model": "Model = 3"},
        "cell 6, line 1: `Model` is neither a class nor a function\n    Write: class Model(nn.Mod",
    ),
    "Model inherits from nothing": (
        {"model": "class Model:\n    pass"},
        "cell 6, line 1: `Model` inherits from nothing, so it has no weights",
    ),
    "Model needs an argument": (
        {"model": "class Model(nn.Module):\n    def __init__(self, width, *, depth, n=2):\n"
         "        super().__init__()"},
        "cell 6, line 1: `Model()` needs `width`, `depth`, but it is built without arguments\n"
        "    Give defaults: def __init__(self, width=..., depth=...)",
    ),
    "Model inherits an argument that is needed": (
        {"model": "class Base(nn.Module):\n    def __init__(self, n):\n        self.n = n\n"
         "class Model(Base):\n    pass"},
        "cell 6, line 4: `Model()` needs `n`, but it is built without arguments",
    ),
    "load_data is a class": (
        {"load_data": "class load_data:\n    pass"},
        "cell 4, line 1: `load_data` is not a function\n    Write: def load_data(data_path): ...",
    ),
    "load_data needs more": (
        {"load_data": LOAD_DATA.replace("data_path):", "data_path, batch):")},
        "cell 4, line 1: `load_data` needs `batch` too, but is called as load_data(data_path)\n"
        "    Give every further argument a default.",
    ),
    "load_data needs a keyword": (
        {"load_data": LOAD_DATA.replace("data_path):", "data_path, *, batch):")},
        "cell 4, line 1: `load_data` needs `batch` too, but is called as load_data(data_path)",
    ),
    "load_data returns loaders only": (
        {"load_data": "def load_data(data_path):\n    a = data_path\n    return a, a, a"},
        "cell 4, line 3: `load_data` returns 3 values, not 4\n    Write: def load_data(data_path)",
    ),
    "train without valloader": (
        {"train": TRAIN.replace("valloader, ", "")},
        "cell 7, line 1: `train` takes `net`, `trainloader`, `epochs`, but is called as "
        f"{DEFS}\n    Write: def {DEFS}: ...",
    ),
    "train in another order": (
        {"train": TRAIN.replace("valloader, epochs", "epochs, valloader")},
        f"cell 7, line 1: `train` has `epochs` in another place than its call, {DEFS}",
    ),
    "train is async": (
        {"train": f"async {TRAIN}"},
        "cell 7, line 1: `train` is an async function\n    Write it without async: def train(",
    ),
    "train is a text": (
        {"train": "train = 'train.py'"}, "cell 7, line 1: `train` is not a function"
    ),
    "train is a lambda of three": (
        {"train": "train = lambda net, a, b: None"},
        f"cell 7, line 1: `train` takes `net`, `a`, `b`, but is called as {DEFS}",
    ),
    "test takes one argument": (
        {"test": "def test(net):\n    return 1, 2"},
        "cell 8, line 1: `test` takes `net`, but is called as test(net, testloader)",
    ),
    "test returns nothing": (
        {"test": "def test(net, testloader):\n    print(net)"},
        "cell 8, line 1: `test` returns nothing\n    Write: def test(net, testloader): ... return",
    ),
    "test yields": (
        {"test": "def test(net, testloader):\n    yield 1, 2"},
        "cell 8, line 1: `test` returns nothing\n    Write: def test(net, testloader): ... return",
    ),
    "test returns the loss only": (
        {"test": "def test(net, testloader):\n    return 0.5"},
        "cell 8, line 2: `test` returns one value, not 2\n    Write: def test(net, testloader)",
    ),
    "test returns three values": (
        {"test": TEST.replace("return loss / seen", "return seen, loss / seen")},
        "cell 8, line 9: `test` returns 3 values, not 2",
    ),
    "predict of three": (
        {"extra": "def predict(net, loader):\n    return 1, 2, 3"},
        "cell 10, line 2: `predict` returns 3 values, not 2",
    ),
    "part only in a local cell": (
        {"tags": {"7": ["local"]}},
        "cell 7, line 1: `train` is only defined in a cell tagged `local`\n    Take the tag off",
    ),
    "name only in a local cell": (
        {"tags": {"3": ["local"]}, "parameters": "WIDTH = 8", "train": "train = print"},
        "cell 6, line 4: `WIDTH` is not defined, and `Model` needs it\n"
        "    cell 3, line 1 defines it, but is tagged `local`: take the tag off, or move it.",
    ),
    "contradictory tags": (
        {"tags": {"5": ["local", "federate"]}},
        "cell 5: the cell is tagged both `local` and `federate`\n    Keep one of the two.",
    ),
    "syntax error in a needed cell": (
        {"train": TRAIN.replace("epochs):", "epochs)")},
        "cell 7, line 1: this is not valid Python: expected ':'\n    def train(",
    ),
    "syntax error in the strategy": (
        {"strategy": "strategy = FedAvg(\n"},
        "cell 9, line 1: this is not valid Python: '(' was never closed",
    ),
    "syntax error beside a needed import": (
        {"imports": "import numpy as np\nimport torch\nfrom torch import nn\n"
         "from torch.utils.data import DataLoader, TensorDataset\nsizes = (8,"},
        "cell 2, line 5: this is not valid Python: '(' was never closed\n    sizes = (8,",
    ),
    "syntax error in a tagged cell": (
        {"tags": {"10": ["federate"]}, "extra": "x = ("},
        "cell 10, line 1: this is not valid Python: '(' was never closed",
    ),
    "return outside of a function": (
        {"parameters": "WIDTH = 8\nRATE = 1.0\nreturn"},
        "cell 3, line 3: this is not valid Python: 'return' outside function",
    ),
    "await at the top level": (
        {"parameters": "RATE = 1.0\nWIDTH = await int()"},
        "cell 3, line 2: `await` outside of a function works in Jupyter only, and this goes in",
    ),
    "cell magic on a needed cell": (
        {"train": f"%%bash\n{TRAIN}"},
        "cell 7, line 1: `%%bash` makes this cell something else than Python",
    ),
    "cell magic below a comment": (
        {"train": f"# training\n%%time\n{TRAIN}"},
        "cell 7, line 2: `%%time` must stand in the first line of its cell",
    ),
    "shell in the middle of a function": (
        {"load_data": LOAD_DATA.replace("    size", "    !unzip data.zip\n    size")},
        "cell 4, line 5: `!unzip data.zip` is not Python, and this statement goes in\n"
        "    Write it in Python, or move it to a cell of its own.",
    ),
    "value of a shell line": (
        {"parameters": "WIDTH = !nproc\nRATE = 0.1"},
        "cell 3, line 1: `WIDTH = !nproc` is not Python, and this statement goes in",
    ),
    "star import that is needed": (
        {"imports": "from torch import *\nimport numpy as np\nimport torch\n"
         "from torch.utils.data import DataLoader, TensorDataset",
         "train": TRAIN.replace("torch.optim", "optim")},
        "cell 7, line 2: `optim` is not defined, and `train` needs it\n"
        "    If it comes from `from torch import *` (cell 2, line 1), import it by its name.",
    ),
    "star import in a tagged cell": (
        {"tags": {"10": ["federate"]}, "extra": "from math import *"},
        "cell 10, line 1: `from math import *` hides which names it brings\n"
        "    Import the names that are used, one by one.",
    ),
    "relative import": (
        {"parameters": "from .sizes import WIDTH\nRATE = 0.1"},
        "cell 3, line 1: a relative import works in a package only",
    ),
    "part that exists in the notebook only": (
        {"train": 'if __name__ == "__main__":\n    from training import train'},
        "cell 7, line 1: what is under `if __name__ == '__main__'` exists in the notebook only\n"
        "    Take what is needed out of the `if`.",
    ),
    "Model that inherits from itself": (
        {"model": "class Model(Model):\n    pass"},
        "cell 6, line 1: `Model` is not defined, and `Model` needs it\n"
        "    Define it in the notebook, or import it.",
    ),
    "name that nothing defines": (
        {"parameters": "RATES = 0.1\nWIDTH = 8"},
        "cell 7, line 2: `RATE` is not defined, and `train` needs it\n    Did you mean `RATES`?",
    ),
    "name of a magic's script": (
        {"parameters": "%run sizes.py\nRATE = 0.1"},
        "cell 6, line 4: `WIDTH` is not defined, and `Model` needs it\n"
        "    If it comes from `%run sizes.py` (cell 3), write instead: from sizes import WIDTH.",
    ),
    "name that a function keeps for itself": (
        {"parameters": "RATE = 0.1\ndef configure():\n    WIDTH = 8"},
        "cell 6, line 4: `WIDTH` is not defined, and `Model` needs it\n    It is only set inside "
        "`configure` (cell 3, line 2): return it from there, or define it outside.",
    ),
    "circular constants": (
        {"parameters": "WIDTH = RATE * 80\nRATE = WIDTH / 800"},
        "cell 3, line 1: `RATE` is not defined, and `WIDTH` needs it\n"
        "    cell 3, line 2 defines it, after its use: move it up.",
    ),
    "Jupyter's display": (
        {"train": TRAIN.replace("optimizer.step()", "display(x)")},
        "cell 7, line 7: `display` is not defined, and `train` needs it\n"
        "    `display` exists in Jupyter only: use print(), or leave it out.",
    ),
    "unfilled part": (
        {"train": f'def {DEFS}:\n    """Train."""\n    raise NotImplementedError("write it")'},
        "cell 7, line 3: `train` is not filled in: it still raises NotImplementedError\n"
        "    Write its code: write it",
    ),
    "part under another name that does not fit": (
        {"model": "class Net(nn.Module):\n    def __init__(self, n):\n        self.n = n\n"
         "Model = Net"},
        "cell 6, line 1: `Model()` needs `n`, but it is built without arguments",
    ),
    "unfilled method": (
        {"model": "class Model(nn.Module):\n    def forward(self, x):\n"
         "        raise NotImplementedError"},
        "cell 6, line 3: `Model.forward` is not filled in: it still raises NotImplementedError",
    ),
    "unfilled loop": (
        {"train": f"def {DEFS}:\n    for _ in range(epochs):\n        raise NotImplementedError()"},
        "cell 7, line 3: `train` is not filled in: it still raises NotImplementedError",
    ),
    "empty part": (
        {"train": f'def {DEFS}:\n    """Train."""\n    ...'},
        "cell 7, line 1: `train` is not filled in: its body is empty",
    ),
    "placeholder of 2022": (
        {"train": f"def {DEFS}:\n    criterion = #TODO Define loss function\n    print()"},
        "cell 7, line 2: this part of the template is not filled in\n"
        "    Write the code where the template says TODO.",
    ),
    "placeholder of 2022 that is Python": (
        {"model": "class Model(nn.Module):\n    def forward(self, x):\n"
         "        ### START CODE HERE ###\n        #TODO\n        ### END CODE HERE ###\n"
         "        return x"},
        "cell 6, line 4: this part of the template is not filled in\n"
        "    Write the code between START CODE HERE and END CODE HERE, and take TODO away.",
    ),
    "config is no dictionary": (
        {"strategy": "config = 3"},
        "cell 9, line 1: `config` is not a dictionary\n    Write: config = {\"num_rounds\": 3}",
    ),
    "no round": (
        {"strategy": "config = {'num_rounds': 0}"},
        "cell 9, line 1: `num_rounds` is 0; it counts rounds, from 1",
    ),
    "rounds as text": (
        {"strategy": "N = '3'\nconfig = dict(num_rounds=N)"},
        "cell 9, line 2: `num_rounds` is '3'; it counts rounds, from 1",
    ),
}  # fmt: skip
