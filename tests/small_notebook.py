"""A small notebook in the published template's form, and a federation around it."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from federator import federation
from federator.federation import Federation

IMPORTS = """\
import numpy as np
import torch
import matplotlib.pyplot as plt
from torch import nn
from torch.utils.data import DataLoader, TensorDataset"""
PARAMETERS = """\
WIDTH = 8  # hidden units
RATE = 0.01
NAME = "tumour" """
LOAD_DATA = """\
def load_data(data_path):
    features = torch.from_numpy(np.load(f"{data_path}/features.npy"))
    labels = torch.from_numpy(np.load(f"{data_path}/labels.npy"))
    loader = DataLoader(TensorDataset(features, labels), batch_size=16)
    size = len(labels)
    return loader, loader, loader, {"trainset": size, "valset": size, "testset": size}"""
MODEL = """\
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))

    def forward(self, x):
        return self.layers(x)"""
TRAIN = """\
def train(net, trainloader, valloader, epochs):
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    for _ in range(epochs):
        for x, y in trainloader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()"""
TEST = """\
def test(net, testloader):
    loss, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for x, y in testloader:
            scores = net(x)
            loss += nn.functional.cross_entropy(scores, y, reduction="sum").item()
            right += int((scores.argmax(1) == y).sum())
            seen += len(y)
    return loss / seen, right / seen"""
STRATEGY = """\
from flwr.serverapp.strategy import FedAdam

strategy = FedAdam(eta=0.1)
config = {"num_rounds": 4}"""
PLOT = """\
%matplotlib inline
plt.plot(np.random.rand(9))"""


def cells(**changed: str | None) -> list[NotebookNode]:
    """Return the notebook's cells; ``train="…"`` puts another text, None leaves the cell out."""
    sources: dict[str, str | None] = {
        "imports": IMPORTS,
        "parameters": PARAMETERS,
        "load_data": LOAD_DATA,
        "plot": PLOT,
        "model": MODEL,
        "train": TRAIN,
        "test": TEST,
        "strategy": STRATEGY,
    }
    made = [new_markdown_cell("# Tumours")]
    for name, source in (sources | changed).items():
        if source is not None:
            tags = ["parameters"] if name == "parameters" else []
            made.append(new_code_cell(source, metadata={"tags": tags}))
    return made


def write(path: Path, content: list[NotebookNode] | None = None) -> Path:
    """Write a notebook file of these cells, or of the small notebook's."""
    nbformat.write(new_notebook(cells=cells() if content is None else content), path)
    return path


def federate(
    root: Path, settings: str = "", content: list[NotebookNode] | None = None
) -> Federation:
    """Lay out a repository with one federation of two sites; ``settings`` is added YAML."""
    folder = root / "compose" / "tumours"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "notebooks").mkdir(exist_ok=True)
    write(root / "notebooks" / "tumour.ipynb", content)
    (folder / federation.FILE).write_text(
        "notebook: ../../notebooks/tumour.ipynb\n"
        f"sites: [{{name: north}}, {{name: south}}]\n{settings}"
    )
    return federation.read(folder)
