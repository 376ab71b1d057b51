"""A run of a federation in a cell: what the journal says, as it is written, and then the report."""

import base64
import os
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from IPython.display import DisplayHandle

from federator.app.convert import convert
from federator.deploy.local import local_run
from federator.errors import FederatorError, Problem
from federator.jupyter import pages
from federator.jupyter.subject import Subject
from federator.results import history, report
from federator.results.drawing import charts, plots
from federator.results.drawing.plots import Chart
from federator.results.progress.standing import Standing


def run(subject: Subject, rounds: int | None, resume: bool, baselines: bool | None) -> None:
    """Run a federation on this machine, and show how it goes in the cell's output.

    An interrupt of the kernel ends the run and all its processes.

    Raises:
        InputError: if the notebook or the federation file has a mistake.
        RunError: if the run ends without a model.
    """
    read = subject.required()
    components = convert(read, read.root / "build", subject.notebook.source)
    local = local_run.prepare(read, components, rounds, resume, baselines)
    view = RunView(subject, local.folder, [*components.warnings, *local.doubts()])
    try:
        with closing(local.events()) as events:
            for event in events:
                view.take(event)
    finally:
        view.end(local.afterthoughts())


class RunView:
    """The output of a cell that runs a federation.

    Attributes:
        standing: where the run stands; :meth:`show` shows it.
    """

    def __init__(self, subject: Subject, folder: Path, doubts: Iterable[Problem]) -> None:
        self.standing = Standing()
        self._subject, self._folder, self._doubts = subject, folder, list(doubts)
        self._handle: DisplayHandle | None = None
        self._curves: list[Chart] = []
        self.show()

    def take(self, event: dict[str, Any]) -> None:
        """Take in an event, and show what follows from it."""
        self.standing.take(event)
        if event["event"] == "validation":  # which the curves are of
            self._draw()
        self.show()

    def _draw(self) -> None:
        with suppress(FederatorError):  # a run that has not started has no journal
            self._curves = charts.learning(history.read(self._folder))

    def show(self, page: Path | None = None) -> None:
        """Show where the run stands, and its report if it has ended."""
        here = self._subject.notebook.path.parent
        html = pages.fill(
            "cell_run.html.j2",
            self._subject.notebook,
            subject=self._subject,
            standing=self.standing,
            failures=self.standing.failures,
            doubts=self._doubts,
            charts=self._curves,
            plots=plots,
            report=base64.b64encode(page.read_bytes()).decode() if page else "",
            link=quote(os.path.relpath(page, here)) if page else "",
        )
        lines = [self.standing.headline]
        lines += [f"warning: {pages.text_of(one, self._subject.notebook)}" for one in self._doubts]
        lines += [f"report: {page}"] if page else []
        self._handle = pages.shown(html, "\n".join(lines), self._handle)

    def end(self, doubts: Iterable[Problem]) -> None:
        """Write the report, and show it; a run that never started has none."""
        self._doubts += doubts
        page = None
        with suppress(FederatorError):
            if end := history.read(self._folder).end:  # one that was stopped is written, not told
                told = {"event": "end", "state": end.state, "reason": end.reason}
                self.standing.take(told)
            page = report.write(self._folder)
        self.standing.close()
        self._draw()
        self.show(page)
