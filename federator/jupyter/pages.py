"""What a cell shows, as HTML with links to cells, and as the text of the command line beside it."""

import re
from urllib.parse import quote

from IPython.display import DisplayHandle, display
from markupsafe import Markup, escape

from federator.app.check import Checked
from federator.errors import FederatorError, Problem
from federator.jupyter.open_notebook import OpenNotebook
from federator.jupyter.subject import Subject
from federator.notebook import preview
from federator.results.report import templates

_CELL = re.compile(r"\bcell (\d+)\b")


def shown(html: str, text: str, handle: DisplayHandle | None = None) -> DisplayHandle:
    """Show HTML, and where a front end has none, a text; or put them in another's place."""
    bundle = {"text/html": html, "text/plain": text}
    if handle is not None:
        handle.update(bundle, raw=True)
        return handle
    new = DisplayHandle()
    display(bundle, raw=True, display_id=new.display_id)
    return new


def check(checked: Checked, subject: Subject) -> tuple[str, str]:
    """Return the page of a notebook that can be converted: what becomes of each cell, and why."""
    numbers = subject.notebook
    verdict = "see the warnings" if checked.doubts else "all is well"
    html = fill(
        "cell_check.html.j2",
        numbers,
        checked=checked,
        subject=subject,
        verdict=verdict,
        summary=[*preview.summary(checked.parts, checked.source), *checked.local],
    )
    warnings = [f"warning: {text_of(one, numbers)}" for one in checked.doubts]
    lines = [subject.told, numbers.told, checked.text, *warnings, verdict]
    return html, "\n".join(lines)


def problems(error: FederatorError, notebook: OpenNotebook | None) -> tuple[str, str]:
    """Return the page of what is wrong."""
    return (
        fill("cell_problems.html.j2", notebook, problems=error.problems),
        "\n".join(text_of(one, notebook) for one in error.problems),
    )


def text_of(problem: Problem, notebook: OpenNotebook | None) -> str:
    """Return a problem as the command line prints it, each cell with Jupyter's number, too."""
    return _CELL.sub(lambda found: _name(int(found[1]), notebook), str(problem))


def fill(template: str, notebook: OpenNotebook | None, **values: object) -> str:
    """Fill a template, in which ``cell`` and ``linked`` name and link cells of the notebook."""

    def cell(number: int) -> Markup:
        return _link(number, notebook)

    def linked(text: object) -> Markup:
        """Escape a text, and link the cells that it names."""
        return Markup(_CELL.sub(lambda found: cell(int(found[1])), str(escape(str(text)))))

    page = templates().get_template(template)
    return page.render(cell=cell, linked=linked, notebook=notebook, **values)


def _name(number: int, notebook: OpenNotebook | None) -> str:
    count = notebook.counts.get(number) if notebook else None
    return f"cell {number}" if count is None else f"cell {number} [{count}]"


def _link(number: int, notebook: OpenNotebook | None) -> Markup:
    """Return a link to a cell, by the position among all cells and by Jupyter's number.

    JupyterLab and Notebook 7 go to a cell by the fragment ``cell-id`` of its notebook's address.
    """
    name = _name(number, notebook)
    key = notebook.ids.get(number) if notebook else None
    if notebook is None or key is None:
        return escape(name)
    address = f"{quote(notebook.path.name)}#cell-id={quote(key)}"
    return Markup('<a href="{}">{}</a>').format(address, name)
