"""What is known of calls by their name alone: which change what they are handed, which do not.

Lists, since a notebook is read and never run. What stands in none of them may change its
arguments; only of calls whose result is dropped is that worth a warning.
"""

import ast
import builtins
import re

# Methods that change the object they are called on, whatever built-in container it is.
CHANGERS = frozenset(
    {
        *("add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert"),
        *("pop", "popitem", "remove", "reverse", "setdefault", "sort", "update"),
        *("__setitem__", "__delitem__", "__setattr__", "__delattr__"),
    }
)

# Functions that change their first argument, in the same way each time they are called.
_CHANGE_FIRST = frozenset(
    {
        *("setattr", "delattr", "next", "object.__setattr__"),
        *(f"heapq.{name}" for name in ("heapify", "heappop", "heappush", "heappushpop")),
        *("heapq.heapreplace", "bisect.insort", "bisect.insort_left", "bisect.insort_right"),
        *(f"numpy.{name}" for name in ("copyto", "fill_diagonal", "place", "put", "putmask")),
        *("operator.setitem", "operator.delitem", "operator.iadd", "operator.iconcat"),
        *(f"torch.nn.init.{name}_" for name in ("constant", "dirac", "eye", "ones", "zeros")),
    }
)
# In-place methods of tensors and arrays that draw random numbers: another value each time.
_RANDOM = frozenset(
    {
        *("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_"),
        *("random_", "uniform_", "shuffle"),
    }
)
# Methods that usually change their object although their result is kept.
_KEPT_CHANGERS = ("fit", "partial_fit", "load_state_dict", "register_", "set_", "add_", "adapt")
# Methods that look at an object, or return another one.
_LOOKERS = frozenset(
    {
        *("all", "any", "astype", "copy", "corr", "count", "cpu", "cuda", "describe", "detach"),
        *("dtypes", "eval", "format", "get", "groupby", "head", "hist", "index", "info", "isna"),
        *("item", "items", "iterdir", "join", "keys", "max", "mean", "min", "nunique", "numpy"),
        *("parameters", "plot", "print", "sample", "save", "score", "show", "size", "split"),
        *("startswith", "state_dict", "std", "sum", "summary", "tail", "to_csv", "to_json"),
        *("tolist", "transform", "unique", "value_counts", "values", "view", "write", "zfill"),
    }
)
# Packages whose functions leave their arguments alone, but for those that end in `_`.
_LEAVE_ALONE = frozenset(
    {
        *("IPython", "PIL", "collections", "copy", "csv", "cv2", "datetime", "functools", "gc"),
        *("glob", "imageio", "io", "ipywidgets", "itertools", "joblib", "json", "logging", "math"),
        *("matplotlib", "mlflow", "numpy", "os", "pandas", "pathlib", "pickle", "plotly", "pprint"),
        *("random", "re", "rich", "scipy", "seaborn", "shutil", "skimage", "sklearn", "statistics"),
        *("string", "sys", "tabulate", "tempfile", "time", "torch", "torchinfo", "torchmetrics"),
        *("torchsummary", "torchview", "torchvision", "tqdm", "warnings", "wandb", "yaml"),
    }
)
# Functions whose result is the object that they are handed, or another view of its values.
_VIEWS = frozenset(
    {
        *("getattr", "iter", "memoryview", "vars", "numpy.asarray", "numpy.ravel"),
        *("numpy.reshape", "torch.as_tensor", "torch.from_numpy", "typing.cast"),
    }
)
_VIEW_METHODS = frozenset(
    {"detach", "flatten", "get", "numpy", "ravel", "reshape", "squeeze", "view", "__getitem__"}
)
# Functions whose result is another container of the same elements.
_COPIES = frozenset({"copy.copy", "dict", "list", "reversed", "set", "sorted", "tuple", "filter"})
_COPY_METHODS = frozenset({"copy", "values"})
# Functions that put the elements into tuples.
_ZIPS = frozenset({"enumerate", "zip"})
_ZIP_METHODS = frozenset({"items"})

_IMMUTABLE = frozenset(
    {
        *("bool", "bytes", "complex", "float", "frozenset", "hash", "id", "int", "len", "range"),
        *("repr", "round", "str", "pathlib.Path", "torch.device", "torch.cuda.is_available"),
        *("os.cpu_count", "os.getenv", "os.path.join", "os.getcwd", "time.time"),
    }
)
_BUILTINS = frozenset(dir(builtins))


# Calls that read what the author's machine has: files, folders, the network, the keyboard.
_READERS = re.compile(
    r"""(?: open | input | getpass\.getpass | io\.open | codecs\.open
    | numpy\.(?: load | loadtxt | genfromtxt | fromfile | memmap )
    | (?: pandas | polars )\.(?: read | scan )_\w+
    | torch\.load | torchaudio\.load | safetensors\..*load_file
    | torchvision\.(?: datasets\.[A-Z]\w+ | io\.read_\w+ ) | .*\.ImageFolder
    | PIL\.Image\.open | cv2\.imread | imageio(?:\.\w+)?\.imread | skimage\.io\.\w+
    | os\.(?: listdir | walk | scandir ) | glob\.i?glob | natsort\.\w+
    | scipy\.io\.loadmat | h5py\.File | zarr\.open\w* | nibabel\.load | pydicom\.(?: dcm )?read\w*
    | SimpleITK\.ReadImage | tifffile\.imread | openslide\.OpenSlide | joblib\.load
    | sklearn\.datasets\.fetch_\w+ | datasets\.load_\w+ | medmnist\.[A-Z]\w+
    | requests\.(?: get | post ) | urllib\.request\.url\w+ | gdown\.\w+ | kagglehub\.\w+ | wget\.\w+
    | subprocess\.\w+ | os\.(?: system | popen ) | sqlite3\.connect
    | zipfile\.ZipFile | tarfile\.open
    )""",
    re.VERBOSE,
)
_READING_METHODS = frozenset(
    {"read_text", "read_bytes", "iterdir", "glob", "rglob", "extractall", "urlopen"}
)
# Functions of a module that set how it works from then on.
_SETTERS = re.compile(
    r"(?:set|use|enable|disable|allow|register)(?:_\w+)?|set[A-Z]\w*|\w+_options|pandas"
    r"|filterwarnings|simplefilter|resetwarnings|putenv|config(?:ure)?|patch_\w+"
)
_NO_SETTINGS = re.compile(r".*seed.*|set_determinism|set_rng_state\w*|set_trace", re.IGNORECASE)


def reads(dotted: str, method: str) -> bool:
    """Whether a call reads files, the network or the keyboard, by its full name or method."""
    return method in _READING_METHODS or _READERS.fullmatch(dotted) is not None


def sets(dotted: str) -> bool:
    """Whether a function of a module does nothing but set how the module works."""
    last = dotted.rsplit(".", 1)[-1]
    if _NO_SETTINGS.fullmatch(last):
        return False
    changes = last in CHANGERS and dotted.count(".") > 1  # os.environ.update
    return changes or _SETTERS.fullmatch(last) is not None


def changes_first(dotted: str) -> bool:
    """Whether a function surely changes its first argument, by the function's full name."""
    kind, _, method = dotted.rpartition(".")
    return (
        dotted in _CHANGE_FIRST
        or (kind in ("dict", "list", "set") and method in CHANGERS)
        or (kind.startswith("numpy.") and method == "at")
    )


def may_change(dotted: str, kept: bool) -> bool:
    """Whether a function may change what it is handed; ``kept``: its result is used."""
    root, last = dotted.split(".")[0], dotted.rsplit(".", 1)[-1]
    if (last.endswith("_") and not last.endswith("__")) or last == "shuffle":
        return True
    if kept or dotted in _BUILTINS or dotted == "display" or last[:1].isupper():
        return False
    return dotted.startswith("torch.nn.utils.") or root not in _LEAVE_ALONE


def method_changes(name: str, call: ast.Call) -> bool:
    """Whether a method surely changes its object, and in the same way each time."""
    in_place = any(
        k.arg == "inplace" and isinstance(k.value, ast.Constant) and k.value.value
        for k in call.keywords
    )
    ends = name.endswith("_") and not name.startswith("_") and name not in _RANDOM
    return name in CHANGERS or in_place or ends


def method_may_change(name: str, kept: bool) -> bool:
    """Whether a method may change its object; ``kept``: its result is used."""
    if name in _RANDOM:
        return True
    if kept:
        return name.startswith(_KEPT_CHANGERS)
    return name not in _LOOKERS


def random_in_place(name: str) -> bool:
    """Whether a method changes what it is handed, in another way each time."""
    return name == "shuffle"


def level(dotted: str | None, method: str | None) -> int | None:
    """Return what the result of a call has to do with the object that the call was handed.

    0: it is the object itself or a view of it, 1: another container of its elements, 2: tuples
    of its elements, None: nothing. ``method`` is given for a call of a method, which is handed
    its object.
    """
    for at, (functions, methods) in enumerate(
        [(_VIEWS, _VIEW_METHODS), (_COPIES, _COPY_METHODS), (_ZIPS, _ZIP_METHODS)]
    ):
        if dotted in functions or method in methods:
            return at
    return None


def immutable(dotted: str) -> bool:
    """Whether the result of a function is something that nothing can change."""
    return dotted in _IMMUTABLE
