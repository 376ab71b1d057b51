"""The magic ``%federator``: each command reads, calls the engine of the command line, and shows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from federator.errors import FederatorError
from federator.jupyter import options, pages
from federator.jupyter.cells_run import CellsRun
from federator.jupyter.open_notebook import OpenNotebook, path_here
from federator.jupyter.subject import Kernel, Subject, found

if TYPE_CHECKING:
    from argparse import Namespace

    from IPython.core.interactiveshell import InteractiveShell


class Told(Exception):
    """Ends a cell, and with it what Jupyter would run next, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows instead of a traceback."""
        return [str(self)]


class Federator:
    """The magic of one kernel."""

    def __init__(self, shell: "InteractiveShell") -> None:
        self.run = CellsRun()
        self._shell = shell
        self._commands: dict[str, Callable[[Namespace, Subject], None]] = {
            "check": self._check,
            "run": self._run,
            "diff": self._diff,
            "push": self._push,
        }

    def __call__(self, line: str) -> None:
        """Check, run, compare or push a federation: %federator help."""
        notebook: list[OpenNotebook] = []
        with _told(notebook):
            asked = options.parse(line)
            if asked.command == "help":
                print(options.text())
                return
            names = self._shell.user_ns
            kernel = Kernel(Path.cwd(), path_here(names), self.run)
            subject = found(kernel, asked.target)
            notebook.append(subject.notebook)
            self._commands[asked.command](asked, subject)

    def _check(self, _: "Namespace", subject: Subject) -> None:
        from federator.app.check import check_federation, check_notebook

        source = subject.notebook.source
        read = subject.federation
        checked = check_federation(read, source) if read else check_notebook(source)
        pages.shown(*pages.check(checked, subject))

    def _run(self, asked: "Namespace", subject: Subject) -> None:
        from federator.jupyter import live_run

        live_run.run(subject, asked.rounds, asked.resume, asked.baselines)

    def _diff(self, _: "Namespace", subject: Subject) -> None:
        from federator.jupyter import changes

        pages.shown(*changes.page(subject))

    def _push(self, asked: "Namespace", subject: Subject) -> None:
        from federator.jupyter import commit

        commit.push(subject, asked.message, asked.yes)


@contextmanager
def _told(notebook: list[OpenNotebook]) -> Iterator[None]:
    """Show an expected error as the command line does, with links to the cells that it names.

    Raises:
        Told: for an expected error, or if a person stopped the cell.
    """
    try:
        yield
    except FederatorError as error:
        pages.shown(*pages.problems(error, notebook[0] if notebook else None))
        count = len(error.problems)
        raise Told(f"{count} problem{'s' if count != 1 else ''}: see above") from None
    except KeyboardInterrupt:
        hint = "stopped; what is finished is kept (continue: %federator run --resume)"
        raise Told(hint) from None


def load(shell: Any) -> None:  # noqa: ANN401  # IPython's InteractiveShell
    """Register the magic in a kernel, and note from now on which cells are run."""
    magic = Federator(shell)
    shell.register_magic_function(magic, "line", "federator")
    shell.events.register("post_run_cell", magic.run.note)
