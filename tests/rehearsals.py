"""Federations of the small notebook on this machine, with a data folder for each site."""

import json
from pathlib import Path

import numpy as np
from small_notebook import cells, write

from federator import federation
from federator.convert import convert
from federator.federation import Federation
from federator.local import Rehearsal, prepare

# torch.optim imports torch._dynamo, 1.4 s of computing in every worker.
PLAIN_TRAIN = """\
def train(net, trainloader, valloader, epochs):
    for _ in range(epochs):
        for x, y in trainloader:
            net.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            for weights in net.parameters():
                weights.data -= RATE * weights.grad"""


def lay_out_site(data: Path, seed: int, *, size: int = 64, single: bool = False) -> Path:
    """Write a site's features and labels: which side of a plane a point lies on."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(size, 4)).astype(np.float32)
    labels = (features.sum(axis=1) > 0).astype(np.int64)
    data.mkdir(parents=True)
    np.save(data / "features.npy", features)
    np.save(data / "labels.npy", labels * 0 if single else labels)
    return data


def lay_out(root: Path, sites: dict[str, Path], settings: str = "", **changed: str) -> Federation:
    """Write a repository with one federation of these sites, of the small notebook changed."""
    folder = root / "compose" / "tumours"
    folder.mkdir(parents=True)
    (root / "notebooks").mkdir()
    write(root / "notebooks" / "tumour.ipynb", cells(**{"train": PLAIN_TRAIN, **changed}))
    listed = [
        {"name": name, "data": str(data), "min_cell_count": 1} for name, data in sites.items()
    ]
    (folder / federation.FILE).write_text(
        f"notebook: ../../notebooks/tumour.ipynb\nsites: {json.dumps(listed)}\n{settings}"
    )
    return federation.read(folder)


def in_messages(read: Federation, site: str) -> Federation:
    """Let one site's weights travel in Flower's messages."""
    file, name = read.folder / federation.FILE, f'"name": "{site}", '
    text = file.read_text()
    assert name in text
    file.write_text(text.replace(name, f'{name}"transport": "messages", '))
    return federation.read(read.folder)


def rehearse(
    read: Federation,
    rounds: int | None = None,
    *,
    resume: bool = False,
    baselines: bool | None = None,
) -> Rehearsal:
    """Convert a federation and return the run that is then to be made."""
    components = convert(read, read.root / "build")
    return prepare(read, components, rounds, resume, baselines)


def events(folder: Path, kind: str) -> list[dict]:
    """Return a run's events of one kind."""
    lines = (folder / "rounds.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]
