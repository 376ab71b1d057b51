"""What images cost: built and pushed from nothing, again, and after one new line in ``train``.

The engine is given a base image of which it has no layers yet (what pip has downloaded before, it
keeps), and the registry is a new one, so the first build is a cold one. All three builds are made
in the same run; beside the sizes stand those of the paper of 2022.
"""

import argparse
import ast
import json
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from rich.console import Console
from rich.table import Table

from federator.app.convert import convert
from federator.deploy.local.superlink import free_port
from federator.federation import schema
from federator.federation.schema import FILE, Federation
from federator.images import engine
from federator.images.build import Images, build
from federator.images.registry import Registry

PAPER_MB = {"server": 1900, "client": 3160}
MB = 10**6


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Serve a registry that keeps its files in a folder, and yield its address."""
    host = f"127.0.0.1:{free_port()}"
    config = {"version": 0.1, "http": {"addr": host}, "log": {"accesslog": {"disabled": True}}}
    config["storage"] = {"filesystem": {"rootdirectory": str(folder)}}
    file = folder / "config.yml"
    file.write_text(json.dumps(config))
    command = ["docker-registry", "serve", file]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        time.sleep(1)
        yield host
        process.terminate()


def new_base(name: str) -> str:
    """Return the name of a base image on which nothing was built before."""
    new = f"federator-benchmark:{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory() as context:
        (Path(context) / "Dockerfile").write_text(f"FROM {name}\nRUN echo {new} > /etc/benchmark\n")
        engine.docker("buildx", "build", "--load", "--tag", new, context)
    return new


def lay_out(read: Federation, root: Path, images: str, base: str, torch_index: str) -> Federation:
    """Copy a federation, with its notebook beside it, and set what its images are made from."""
    folder = root / "compose" / read.name
    folder.mkdir(parents=True)
    shutil.copy(read.notebook, folder)
    lines = (read.folder / FILE).read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("notebook:", "images:", "build:"))]
    settings = [
        f"notebook: {read.notebook.name}",
        f"images: {images}",
        f"build: {{base: {base}, torch_index: {torch_index}}}",
    ]
    (folder / FILE).write_text("\n".join(kept + settings))
    return schema.read(folder)


def change_train(notebook: Path) -> None:
    """Put a new line before the last statement of ``train``."""
    read = nbformat.read(notebook, as_version=4)
    cell = next(cell for cell in read.cells if "def train(" in cell.source)
    (train,) = (
        part for part in ast.parse(cell.source).body if getattr(part, "name", "") == "train"
    )
    last = train.body[-1]
    lines = cell.source.splitlines()
    lines.insert(last.lineno - 1, f"{' ' * last.col_offset}changed = True")
    cell.source = "\n".join(lines)
    nbformat.write(read, notebook)


def chosen(name: str, description: str | None, arguments: list[str]) -> tuple[Federation, str]:
    """Return the federation that a benchmark is asked to build, and the index for PyTorch."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=description)
    parser.add_argument("--federation", type=Path, default=Path("compose/breast-cancer"))
    parser.add_argument("--torch-index", help="instead of that of the federation file; '' for none")
    options = parser.parse_args(arguments)
    read = schema.read(options.federation)
    index = options.torch_index
    return read, (read.build.torch_index or "") if index is None else index


def main(arguments: list[str]) -> None:
    read, index = chosen("images", __doc__, arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root, stored = Path(folder), Path(folder) / "registry"
        stored.mkdir()
        with registry(stored) as host:
            base = new_base(read.build.base)
            copy = lay_out(read, root, f"{host}/benchmark", base, index)
            table = Table(title=f"images of {read.name}")
            for column in ("", "s", "kB uploaded"):
                table.add_column(column, justify="left" if not column else "right")
            result: dict[str, object] = {"benchmark": "images"}
            took: dict[str, float] = {}
            for name in ("cold", "again", "changed train"):
                if name == "changed train":
                    change_train(copy.notebook)
                seconds, uploaded, images = measure(copy, stored)
                took[name] = seconds
                result[name] = {"s": round(seconds, 1), "kB": round(uploaded / 1000, 1)}
                table.add_row(name, f"{seconds:.1f}", f"{uploaded / 1000:,.1f}")
            sizes = {name: Registry().size(str(one)) / MB for name, one in images.by_name().items()}
            made = engine.docker("images", "--quiet", f"--filter=reference={host}/benchmark/*")
            engine.docker("rmi", "--force", base, *set(made.split()))
    Console().print(table)
    table = Table(title="to download, compressed")
    for column in ("", "MB", "2022, MB"):
        table.add_column(column, justify="left" if not column else "right")
    for name, size in sizes.items():
        table.add_row(name, f"{size:.0f}", str(PAPER_MB.get(name, "")))
    Console().print(table)
    result["MB"] = {name: round(size) for name, size in sizes.items()}
    result["ratio"] = round(took["changed train"] / took["cold"], 4)
    print(json.dumps(result))


def measure(read: Federation, stored: Path) -> tuple[float, int, Images]:
    """Convert, build and push; return the seconds, the bytes that the registry took, the images."""
    before, began = _size(stored), time.monotonic()
    images = build(read, convert(read, read.root / "build"), push=True)
    return time.monotonic() - began, _size(stored) - before, images


def _size(stored: Path) -> int:
    return sum(path.stat().st_size for path in stored.rglob("data"))
