"""The exporter behind ``jupyter nbconvert --to federator``; nbconvert is imported here only.

nbconvert's main output is ``task.py``; the other files of the app travel in
``resources["outputs"]`` as an exporter's support files do.
"""

from pathlib import Path
from typing import Any, NoReturn

from nbconvert.exporters import Exporter
from nbconvert.utils.exceptions import ConversionException
from nbformat import NotebookNode
from traitlets import Unicode, default
from traitlets.config import Application, Config

from federator.app.render import render_app
from federator.errors import FederatorError
from federator.federation.schema import read as read_federation
from federator.notebook import contract, reader

_MAIN = "task"


class FederatorExporter(Exporter):
    """Turn a notebook into the files of a Flower App.

    On the command line the files go to nbconvert's ``<notebook>_files`` beside the notebook,
    or wherever ``--output-dir`` and ``--NbConvertApp.output_files_dir`` say.
    """

    export_from_notebook = "Flower App"
    output_mimetype = "text/x-python"

    federation = Unicode(
        help="A federation's folder (compose/NAME). With it the app is complete: its "
        "pyproject.toml, and the repository's own templates."
    ).tag(config=True)

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".py"

    @property
    def default_config(self) -> Config:
        """Drop the outputs before anything else sees the notebook: they may show data."""
        config = Config({"ClearOutputPreprocessor": {"enabled": True}})
        config.merge(super().default_config)
        return config

    def from_filename(  # type: ignore[override]  # text, as TemplateExporter returns it
        self, filename: str, resources: dict[str, Any] | None = None, **kw: object
    ) -> tuple[str, dict[str, Any]]:
        """Convert a notebook file; see :meth:`from_notebook_node`."""
        try:
            reader.read(Path(filename))
        except FederatorError as error:
            self._refuse(error)
        return super().from_filename(filename, resources, **kw)  # type: ignore[return-value]

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: object
    ) -> tuple[str, dict[str, Any]]:
        """Convert a notebook.

        Returns:
            The text of ``task.py``, and the resources with all other files under ``outputs``.

        Raises:
            ConversionException: if the notebook cannot be converted, with every problem, its
                place and its remedy. Under ``jupyter nbconvert`` they are printed instead, and
                the command ends with exit code 2.
        """
        nb, resources = super().from_notebook_node(nb, resources, **kw)
        name = f"{resources['metadata']['name']}.ipynb"
        try:
            chosen = read_federation(Path(self.federation)) if self.federation else None
            lies_in = Path(resources["metadata"].get("path") or ".")
            read = reader.from_node(nb, name, lies_in)
            parts = contract.take_apart(read)
            rendered = render_app(name, parts, chosen, read.layout)
        except FederatorError as error:
            self._refuse(error)
        for warning in parts.warnings:
            self.log.warning("%s", warning)
        files = dict(rendered.files)
        task = files.pop(f"{_MAIN}.py")
        folder = Path(resources["output_files_dir"])
        resources["outputs"] = {
            **(resources["outputs"] or {}),
            **{str(folder / file): text.encode() for file, text in files.items()},
        }
        resources["unique_key"] = str(folder / _MAIN)
        return task, resources

    def _refuse(self, error: FederatorError) -> NoReturn:
        """End the conversion: nbconvert's own command would print a traceback."""
        if Application.initialized() and Application.instance().name == "jupyter-nbconvert":
            self.log.error("%s", error)
            Application.instance().exit(error.exit_code)
        raise ConversionException(str(error)) from error
