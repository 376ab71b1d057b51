"""Code that works on the author's machine only: its paths, data read early, IPython syntax."""

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from federator.errors import Problem, Where
from federator.notebook.magics import INSTALLS
from federator.notebook.signatures import definition
from federator.notebook.slicing import imports
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.definitions import Function
from federator.notebook.slicing.names import own_nodes
from federator.notebook.slicing.statements import Step, star_imports

_OWN_PATH = re.compile(
    r"(?:file://)?/(?:home|Users|content|kaggle|mnt|media|data\d*|scratch\w*|root|workspaces?|Volumes"
    r"|gpfs\w*|lustre\w*|nfs\w*|opt|srv|storage|projects?|datasets?|drive|work)(?:/.*)?"
    r"|~(?:/.*)?|[A-Za-z]:[\\/].*|\\\\\w.*",
    re.DOTALL,
)
_ELSEWHERE = r"/(?!(?:tmp|var|usr|etc|dev|proc|sys|run|bin|lib\w*|opt)/)[^/]+/"
_DATA_FILE = re.compile(
    _ELSEWHERE + r".*\.(?:[ct]sv|txt|json|npy|npz|h5|hdf5|parquet|pkl|pickle|pth?|ckpt|safetensors"
    r"|nii(?:\.gz)?|dcm|mha|nrrd|png|jpe?g|tiff?|svs|xlsx?|zip)",
    re.IGNORECASE,
)
_FOLDER = re.compile(_ELSEWHERE + r".*")
_ASKS = ("input", "getpass.getpass")


def is_own_path(text: str) -> bool:
    """Whether a text is an absolute path as they are on a person's own machine.

    That is one below a folder where people's files lie, or to a file of a type that data have.
    Other texts begin with a slash, too (``/api/v1``).
    """
    found = _OWN_PATH.fullmatch(text) or _DATA_FILE.fullmatch(text)
    return "\n" not in text and found is not None


def _is_here(text: str) -> bool:
    """Whether a text is a path to what is there on this machine, and on few others."""
    return "\n" not in text and bool(_FOLDER.fullmatch(text)) and Path(text).exists()


def problems(program: Program, steps: list[Step]) -> Iterator[Problem]:
    """Yield an error for every question that a site would be asked when it imports the code."""
    for step in steps:
        for call in program.effects[step.index].reads:
            if program.dotted(call.func) in _ASKS:
                message = f"`{ast.unparse(call.func)}()` waits for an answer, and nobody is there"
                hint = "Write the value itself, for example in a cell tagged `parameters`."
                yield Problem(f"{message} when a site runs this", step.where(call), hint)


def not_python(step: Step) -> Iterator[Problem]:
    """Yield what keeps a statement that goes in from running outside of its notebook."""
    lines = range(step.line, step.line + step.source.count("\n") + 1)
    for line, text in step.cell.foreign.items():
        if line in lines and not INSTALLS.match(text):
            message = f"`{text}` is not Python, and this statement goes in"
            where = Where(step.file, step.cell.number, line)
            yield Problem(message, where, "Write it in Python, or move it to a cell of its own.")
    for _, star in star_imports([step]):
        message = f"`{ast.unparse(star)}` hides which names it brings"
        yield Problem(message, step.where(star), "Import the names that are used, one by one.")
    for node in step.walk():
        if isinstance(node, ast.ImportFrom) and node.level:
            message = "a relative import works in a package only"
            absolute = ast.unparse(
                ast.ImportFrom(node.module, node.names, 0)
                if node.module
                else ast.Import(node.names)
            )
            yield Problem(message, step.where(node), f"Write: {absolute}")
    for node in own_nodes(step.nodes):
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            message = "`await` outside of a function works in Jupyter only, and this goes in"
            hint = "Write it without await, or in an async function that asyncio.run() calls."
            yield Problem(message, step.where(node), hint)
            break
    for node in own_nodes(step.nodes):
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            message = f"what is under `if {ast.unparse(node.test)}` exists in the notebook only"
            yield Problem(message, step.where(node), "Take what is needed out of the `if`.")


def warnings(program: Program, steps: list[Step], travelling: Collection[str]) -> Iterator[Problem]:
    """Yield what the statements that go in have of the author's machine.

    ``travelling`` are the paths of the files that travel with the app.
    """
    for step in steps:
        texts = {n.value for n in step.walk() if isinstance(n, ast.Constant)}
        if not texts & {*travelling}:
            yield from _reads(program, step)
        yield from _paths(step)
        yield from _jupyters(step)
    taken = {step.index for step in steps}
    for step in (step for step in program.steps if step.index not in taken):
        yield from _awaits(step)
    load_data = program.bindings("load_data")
    if load_data:
        yield from _load_data(program, load_data[-1])


def _awaits(step: Step) -> Iterator[Problem]:
    for node in own_nodes(step.nodes):
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            message = "`await` outside of a function works in Jupyter only: this stays behind"
            yield Problem(message, step.where(node), "The other statements of the cell are read.")
            return


def _reads(program: Program, step: Step) -> Iterator[Problem]:
    for call in program.effects[step.index].reads:
        name = ast.unparse(call.func)
        if program.dotted(call.func) not in _ASKS:
            message = f"`{name}` reads outside of `load_data`: when a site imports the code"
            hint = "Read data in `load_data`, below `data_path`: each site has its own there."
            yield Problem(message, step.where(call), hint)
    direct = {id(call) for call in program.effects[step.index].reads}
    for node in step.walk():
        asks = isinstance(node, ast.Call) and program.dotted(node.func) == "input"
        if asks and id(node) not in direct:
            message = "`input()` waits for an answer, and nobody is there at a site"
            yield Problem(message, step.where(node), "Write the value itself.")


def _paths(step: Step) -> Iterator[Problem]:
    nodes = list(step.walk())
    docstrings = {id(n.value) for n in nodes if isinstance(n, ast.Expr)}
    for node in nodes:
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        if id(node) not in docstrings and (is_own_path(node.value) or _is_here(node.value)):
            message = f"the path `{node.value}` is one of your machine, and goes to the sites"
            hint = "Sites have other paths: build them from `data_path`."
            yield Problem(message, step.where(node), hint)


def _jupyters(step: Step) -> Iterator[Problem]:
    for found in imports.found(step.nodes, step.where):
        if {*found.paths, found.module} & {"tqdm.notebook", "tqdm.tqdm_notebook"}:
            message = "`tqdm.notebook` needs Jupyter's widgets, which no site has"
            yield Problem(message, found.where, "Write: from tqdm.auto import tqdm")


def _load_data(program: Program, step: Step) -> Iterator[Problem]:
    """Yield what `load_data` does not take from the folder that it is given."""
    node = definition("load_data", step)
    if not isinstance(node, Function) or isinstance(node, ast.Lambda):
        return
    arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    inside = [n for top in node.body for n in ast.walk(top) if isinstance(n, ast.Name)]
    used = {n.id for n in inside if isinstance(n.ctx, ast.Load)}
    bound = {n.id for n in inside if isinstance(n.ctx, ast.Store)} | {*arguments}
    empty = all(isinstance(n, ast.Raise | ast.Pass | ast.Expr) for n in node.body)
    if arguments and arguments[0] not in used and not empty:
        message = f"`load_data` does not use `{arguments[0]}`: all sites would have the same data"
        yield Problem(message, step.where(node), "Read the data below it.")
    for returned in (n for n in own_nodes(node.body) if isinstance(n, ast.Return)):
        value = returned.value
        names = value.elts if isinstance(value, ast.Tuple) else []
        for name in (n.id for n in names if isinstance(n, ast.Name) and n.id not in bound):
            if program.bindings(name) and not program.is_fixed(name):
                message = f"`load_data` returns `{name}`, which is made outside of it"
                hint = "Make it inside, from what lies below `data_path`."
                yield Problem(message, step.where(returned), hint)
