"""What is exported: a run's folder, and as much of it as its federation file lets others see.

Figures of single sites, and the model, are exported only if ``publish:`` in the federation file
allows it, or if the caller wants everything for themselves. Without a federation file nothing is
allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federator.errors import RunError
from federator.federation import schema
from federator.federation.schema import FOLDER, Federation
from federator.results import history, publication
from federator.results.history import Journal
from federator.runtime.flower import app_hash
from federator.runtime.server.proof import manifest
from federator.runtime.server.proof.manifest import Manifest
from federator.runtime.server.settings import ServerSettings

MODEL = "model.safetensors"


@dataclass(frozen=True)
class Source:
    """A run to export.

    Attributes:
        run: its folder.
        journal: what of its journal may be shown.
        federation: the federation file; None if none was found.
        settings: what may be shown of it, as for a publication.
        manifest: what ``manifest.json`` says; empty if there is none.
    """

    run: Path
    journal: Journal
    federation: Federation | None
    settings: ServerSettings
    manifest: Mapping[str, Any]

    @property
    def model(self) -> Path | None:
        """The final model's file; None if the run has not finished."""
        path = self.run / MODEL
        return path if self.journal.state == "finished" and path.is_file() else None

    @property
    def app(self) -> Path | None:
        """The Flower App that was run, if the repository has just that one still."""
        if self.federation is None:
            return None
        app = self.federation.root / "build" / self.federation.name / "app"
        told = self.manifest.get("app_hash")
        return app if told and app.is_dir() and app_hash(app) == told else None

    def withheld(self, model: bool) -> str:
        """Return in words what is not shown, and why; an empty text if nothing is missing.

        Args:
            model: whether the model's file would be shown.
        """
        lacks_model = self.model is not None and not self.settings.publish_model
        lacking = {
            "figures of single sites": not self.settings.publish_sites,
            "the model's file": model and lacks_model,
        }
        names = " and ".join(name for name, lacks in lacking.items() if lacks)
        if not names:
            return ""
        why = "no federation file was found" if self.federation is None else (
            f"`publish:` in {schema.FILE} does not allow them"
        )  # fmt: skip
        return f"without {names}: {why} (--all has them, for yourself)"


def read(run: Path, federation: Path | None = None, everything: bool = False) -> Source:
    """Read a run to export.

    Args:
        run: the folder of the run.
        federation: its federation file or folder; if absent, it is looked for around the run.
        everything: whether figures of sites and the model are wanted whatever ``publish:`` says.

    Raises:
        RunError: if the folder has no journal of a run that has started.
        FederationFileError: if the federation file cannot be read.
    """
    name = history.read(run).start.federation
    found = schema.read(federation) if federation else _around(run, name)
    if found is not None and found.name != name:
        raise RunError(f"{run}: is a run of the federation {name}, not of {found.name}")
    publish = found.publish if found else None
    settings = ServerSettings(
        name,
        str(run),
        publish_sites=everything or bool(publish and publish.sites),
        publish_model=everything or bool(publish and publish.model),
    )
    shown = history.read(run) if settings.publish_sites else publication.redacted(run, settings)
    return Source(run, shown, found, settings, manifest_of(run))


def _around(run: Path, name: str) -> Federation | None:
    """Return the federation file of the repository that a run is in, or of the current folder."""
    roots = [*run.resolve().parents[:3], Path.cwd()]
    for folder in [root / FOLDER / name for root in roots] + roots:
        if folder.name == name and (folder / schema.FILE).is_file():
            return schema.read(folder)
    return None


def manifest_of(run: Path) -> Mapping[str, Any]:
    """Return what the manifest of a run says; nothing if there is none."""
    try:
        found = Manifest.read((run / manifest.NAME).read_bytes())
    except OSError:
        return {}
    return found.fields if found else {}
