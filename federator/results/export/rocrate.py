"""The target ``rocrate``: a folder that describes a run to machines, as RO-Crate 1.1.

The specification: https://www.researchobject.org/ro-crate/specification/1.1/
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from federator.results import publication, report
from federator.results.export.measurements import Measurement, measurements
from federator.results.export.source import MODEL, Source
from federator.runtime.files import file_sha256
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.journal import FILE as JOURNAL
from federator.runtime.server.proof import manifest

FILE = "ro-crate-metadata.json"
_VERSION = "https://w3id.org/ro/crate/1.1"
# The context of 1.1 is older than schema.org's property for a SHA-256.
_CONTEXT = [f"{_VERSION}/context", {"sha256": "https://schema.org/sha256"}]
_STATUS = {"finished": "Completed", "failed": "Failed", "stopped": "Failed", "open": "Active"}
_KINDS = {
    JOURNAL: ("The journal: what happened, one event a line", "application/jsonl"),
    report.FILE: ("The report: curves, comparison, warnings", "text/html"),
    manifest.NAME: ("The hashes of all weights, signed by the coordinator", "application/json"),
    MODEL: ("The final global model, a state dictionary", "application/octet-stream"),
}

Entity = dict[str, object]


def write(source: Source, folder: Path) -> None:
    """Write a crate into a folder: metadata, and the files that they describe.

    The model's file is in it if it may be; its SHA-256 always. The notebook is without its outputs.

    Raises:
        OSError: if a file cannot be written.
    """
    publication.write(source.run, folder, source.settings)
    report.write(folder)
    copied = [source.model] if source.model and source.settings.publish_model else []
    if (found := source.run / manifest.NAME).is_file() and source.journal.state == "finished":
        copied.append(found)
    for path in copied:
        shutil.copyfile(path, folder / path.name)
    if source.app is not None:
        shutil.copytree(source.app, folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    notebook = _copy_notebook(source, folder)
    entities = [*_files(folder), *_code(source, notebook), *_model(source), *_metrics(source)]
    graph = [*_root(source, entities), _action(source, entities), *entities]
    text = json.dumps({"@context": _CONTEXT, "@graph": graph}, indent=2, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def _root(source: Source, entities: list[Entity]) -> Iterator[Entity]:
    start = source.journal.start
    parts = [one["@id"] for one in entities if _kinds(one) & {"File", "Dataset"}]
    yield {
        "@id": FILE,
        "@type": "CreativeWork",
        "conformsTo": _to(_VERSION),
        "about": _to("./"),
    }
    yield {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{start.federation}, run {start.run}",
        "description": f"Federated training of a model (task: {start.task}) by Notebook Federator; "
        f"sites: {len(start.sites)}",
        "datePublished": _time(source.journal.last),
        "hasPart": [_to(part) for part in parts],
        "mentions": _to("#run"),
    }


def _action(source: Source, entities: list[Entity]) -> Entity:
    journal = source.journal
    start, first = journal.start, journal.starts[0]
    made = {"PropertyValue"}, {JOURNAL, report.FILE, manifest.NAME, MODEL, "#model"}
    results = [one["@id"] for one in entities if _kinds(one) & made[0] or one["@id"] in made[1]]
    code = {"SoftwareSourceCode", "SoftwareApplication"}
    instruments = [one["@id"] for one in entities if _kinds(one) & code]
    trained = journal.trained()
    action: Entity = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Run {start.run} of the federation {start.federation}",
        "description": f"{start.strategy}, rounds run: {len(trained)}, {start.local_work} in each, "
        f"seed {start.seed}",
        "startTime": _time(first.time),
        "actionStatus": _to(f"http://schema.org/{_STATUS[journal.state]}ActionStatus"),
        "instrument": [_to(one) for one in instruments],
        "result": [_to(one) for one in results],
    }
    if journal.end is not None:
        action["endTime"] = _time(journal.end.time)
        if journal.end.reason:
            action["error"] = journal.end.reason
    return action


def _files(folder: Path) -> Iterator[Entity]:
    for name, (what, kind) in _KINDS.items():
        if (path := folder / name).is_file():
            yield {
                "@id": name,
                "@type": "File",
                "name": name,
                "description": what,
                "encodingFormat": kind,
                "contentSize": str(path.stat().st_size),
                "sha256": file_sha256(path),
            }


def _code(source: Source, notebook: Path | None) -> Iterator[Entity]:
    """Yield the notebook, the app that was made from it, and the packages that ran it."""
    if notebook is not None:
        yield {
            "@id": quote(notebook.name),
            "@type": ["File", "SoftwareSourceCode"],
            "name": notebook.name,
            "description": "The notebook as it was when this crate was made, without outputs",
            "encodingFormat": "application/x-ipynb+json",
            "programmingLanguage": "Python",
            "sha256": file_sha256(notebook),
        }
    if (told := source.manifest.get("app_hash")) is not None:
        kind = "SoftwareApplication"
        here = source.app is not None
        yield {
            "@id": "app/" if here else "#app",
            "@type": ["Dataset", kind] if here else kind,
            "name": "The Flower App that the sites ran",
            "identifier": f"sha256:{told}",
        }
    names = {"federator": "Notebook Federator", "flwr": "Flower", "python": "Python"}
    for name, version in source.journal.start.versions.items():
        yield {
            "@id": f"#{name}",
            "@type": "SoftwareApplication",
            "name": names.get(name, name),
            "softwareVersion": version,
        }


def _model(source: Source) -> Iterator[Entity]:
    """Yield a description of the model where its file is not in the crate."""
    if source.model is not None and not source.settings.publish_model:
        yield {
            "@id": "#model",
            "@type": "CreativeWork",
            "name": f"{MODEL}, which is not in this crate",
            "contentSize": str(source.model.stat().st_size),
            "sha256": file_sha256(source.model),
        }


def _metrics(source: Source) -> Iterator[Entity]:
    """Yield what the common model reached on test data."""
    for one in measurements(source.journal):
        if one.set == "test" and one.model == FEDERATION:
            yield {
                "@id": f"#{_id(one)}",
                "@type": "PropertyValue",
                "name": " ".join(filter(None, (one.metric, one.label))),
                "description": f"On the test set of {one.site}, after round {one.round}",
                "value": one.value,
                **({} if one.low is None else {"minValue": one.low}),
                **({} if one.high is None else {"maxValue": one.high}),
            }


def _copy_notebook(source: Source, folder: Path) -> Path | None:
    """Copy the notebook without its outputs, which may show patients; return its path."""
    if source.federation is None:
        return None
    import nbformat

    read = nbformat.read(source.federation.notebook, as_version=nbformat.NO_CONVERT)
    for cell in read.get("cells", []):
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    path = folder / source.federation.notebook.name
    nbformat.write(read, path)
    return path


def _id(one: Measurement) -> str:
    parts = [one.set, one.site, one.metric, one.label]
    return quote("-".join(filter(None, parts)).replace(" ", "-"))


def _kinds(entity: Mapping[str, object]) -> set[str]:
    kind = entity["@type"]
    return set(kind) if isinstance(kind, list) else {str(kind)}


def _to(identifier: object) -> Entity:
    return {"@id": identifier}


def _time(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
