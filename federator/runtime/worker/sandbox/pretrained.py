"""Pretrained weights: fetched where the first model is made, and nowhere else.

A site has no network, and calls ``Model()`` for the model's structure only: its weights come from
the server. So there, while ``Model()`` runs, a fetch of weights gives nothing, and loading nothing
into a module leaves it as it is. That holds for what goes through ``torch.hub`` (torchvision,
MONAI), timm and Hugging Face's hub; for all else a ``Model`` that takes ``pretrained`` is told
True where the first model is made, unless its default is False, and False at a site.
"""

import errno
import gc
import inspect
import logging
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from federator.errors import chain
from federator.runtime.protocol.outcomes import Failure

log = logging.getLogger("federator")

ARGUMENT = "pretrained"

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pth.tar")
_NO_TENSORS = b"\x02\0\0\0\0\0\0\0{}"  # a whole safetensors file
# segmentation_models_pytorch asks for a configuration before its weights, and does not read it.
_UNREAD = ("smp-hub/", "config.json")
_FETCHES = frozenset({
    *("urllib", "http", "socket", "ssl", "requests", "urllib3", "httpx", "httpcore", "aiohttp"),
    *("huggingface_hub", "gdown", "wget"),
})  # fmt: skip
_NO_NETWORK = frozenset({"OSError", "TransportError"})  # the second is httpx's
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH})


class NotFetched(Exception):
    """``Model()`` needs more of what it fetches than the weights that come from the server."""


class Nothing(OrderedDict[Any, Any]):
    """The state dictionary of weights that were not fetched: each entry of it is nothing, too."""

    def __getitem__(self, _name: object) -> "Nothing":
        return self

    def __delitem__(self, _name: object) -> None:
        """Leave it empty."""

    def get(self, _name: object, default: object = None) -> object:
        """Return the default, or nothing."""
        return self if default is None else default

    def pop(self, _name: object, default: object = None) -> object:
        """Return the default, or nothing."""
        return self if default is None else default


def first_model(model: Callable[..., object]) -> Any:  # noqa: ANN401  # the author's
    """Return the author's ``Model()`` with what it fetches, if that is what ``Model()`` means."""
    asks = takes_argument(model) and inspect.signature(model).parameters[ARGUMENT].default
    return model() if asks is False else model(**{ARGUMENT: True})


def structure(model: Callable[..., object]) -> Any:  # noqa: ANN401  # the author's
    """Return the author's ``Model()`` without what it fetches.

    Raises:
        Failure: ``fetch-kept``, if fetched weights are needed that are not part of its state.
        NotFetched: if it does not get along without what it fetches.
    """
    arguments = {ARGUMENT: False} if takes_argument(model) else {}
    with _Skipped().active() as skipped:
        try:
            made = model(**arguments)
        except Exception as error:
            if skipped.names:
                raise NotFetched(*skipped.names).with_traceback(error.__traceback__) from error
            raise
        if skipped.names:
            log.info("not fetched, since the server sends it: %s", ", ".join(skipped.names))
            skipped.check(made)
    return made


def takes_argument(model: Callable[..., object]) -> bool:
    """Tell whether the author's ``Model`` takes ``pretrained``."""
    try:
        return ARGUMENT in inspect.signature(model).parameters
    except (TypeError, ValueError):
        return False


def is_fetch(error: BaseException) -> bool:
    """Tell whether an exception, or what led to it, comes of a fetch without a network."""
    return any(map(_needs_network, chain(error)))


def _needs_network(error: BaseException) -> bool:
    kind = type(error)
    if isinstance(error, NotFetched):
        return True
    if kind.__module__.partition(".")[0] in _FETCHES:
        return not _NO_NETWORK.isdisjoint(base.__name__ for base in kind.__mro__)
    if isinstance(error, OSError):
        return error.errno in _UNREACHABLE
    # nltk prints why a download failed, and then looks for what is not there.
    return kind is LookupError and "nltk.download" in str(error)


@contextmanager
def _replaced(place: object, name: str, instead: object) -> Iterator[None]:
    original = getattr(place, name)
    setattr(place, name, instead)
    try:
        yield
    finally:
        setattr(place, name, original)


class _Skipped:
    """What was not fetched while a model was built, and the modules that were made meanwhile."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._files: list[Path] = []
        self._modules: list[weakref.ref[Any]] = []

    @contextmanager
    def active(self) -> Iterator["_Skipped"]:
        """Have fetches of weights give nothing."""
        import torch

        self._originals: dict[str, Callable[..., Any]] = {
            "load": torch.load,
            "state": torch.nn.Module.load_state_dict,
            "init": torch.nn.Module.__init__,
        }
        with ExitStack() as stack:
            for place, name, instead in self._replacements():
                stack.enter_context(_replaced(place, name, instead))
            try:
                yield self
            finally:
                for path in self._files:  # outside of Model(), a fetch is to fail as it does
                    path.unlink(missing_ok=True)

    def check(self, made: object) -> None:
        """Require that no module stays in use whose parameters the server does not send.

        Raises:
            Failure: if one does.
        """
        import torch

        if not isinstance(made, torch.nn.Module):
            return
        state = {id(tensor) for tensor in made.state_dict(keep_vars=True).values()}
        gc.collect()  # what Model() has thrown away is in nobody's way
        in_use = [module for reference in self._modules if (module := reference()) is not None]
        inner = {id(part) for module in in_use for part in module.modules() if part is not module}
        for module in in_use:
            own = [id(parameter) for parameter in module.parameters()]
            # One that shares some was the source of parts of the model, and may have others left.
            if id(module) not in inner and own and state.isdisjoint(own):
                raise Failure("fetch-kept", part="Model")

    def _replacements(self) -> Iterator[tuple[object, str, object]]:
        import torch

        yield torch.hub, "download_url_to_file", self._download
        yield torch, "load", self._load
        skipped = self

        def load_state_dict(module: Any, state: Any, *rest: Any, **more: Any) -> object:  # noqa: ANN401  # torch's
            return skipped._load_state(module, state, *rest, **more)

        def init(module: Any, *rest: Any, **more: Any) -> None:  # noqa: ANN401  # torch's
            skipped._originals["init"](module, *rest, **more)
            skipped._modules.append(weakref.ref(module))

        yield torch.nn.Module, "load_state_dict", load_state_dict
        yield torch.nn.Module, "__init__", init
        if timm := sys.modules.get("timm.models._builder"):
            yield timm, "load_pretrained", self._load_pretrained
        if hub := sys.modules.get("huggingface_hub.file_download"):
            for name in ("_hf_hub_download_to_cache_dir", "_hf_hub_download_to_local_dir"):
                if original := getattr(hub, name, None):
                    yield hub, name, self._from_hub(original)

    def _download(self, url: str, dst: str, *_: object, **__: object) -> None:
        self._leave(url, Path(dst))

    def _leave(self, name: str, path: Path) -> None:
        """Leave a file without tensors where a fetched one would be."""
        self.names.append(name)
        self._files.append(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_NO_TENSORS if path.suffix == ".safetensors" else b"")

    def _load(self, file: Any, *rest: Any, **more: Any) -> object:  # noqa: ANN401  # torch's
        if isinstance(file, str | Path) and Path(file) in self._files:
            return Nothing()
        return self._originals["load"](file, *rest, **more)

    def _load_state(self, module: Any, state: Any, *rest: Any, **more: Any) -> object:  # noqa: ANN401  # torch's
        if self.names and not len(state):
            from torch.nn.modules.module import _IncompatibleKeys

            return _IncompatibleKeys([], [])
        return self._originals["state"](module, state, *rest, **more)

    def _load_pretrained(self, model: object, *_: object, **__: object) -> None:
        self.names.append(f"{type(model).__name__} (timm)")

    def _from_hub(self, original: Callable[..., object]) -> Callable[..., object]:
        def fetched(**asked: Any) -> object:  # noqa: ANN401  # the hub's
            repository, file = str(asked["repo_id"]), str(asked["filename"])
            folder = Path(str(asked.get("cache_dir") or asked.get("local_dir")))
            path = folder / "not-fetched" / repository / file
            if file.endswith(_WEIGHTS):
                self._leave(f"{repository}/{file}", path)
                return str(path)
            if repository.startswith(_UNREAD[0]) and file == _UNREAD[1]:
                self.names.append(f"{repository}/{file}")
                return str(path)  # which is not there
            return original(**asked)

        return fetched
