"""What `%federator diff` says would change at the sites."""

from fakes import images
from fixtures.jupyter_run import Typist
from fixtures.small_notebook import MODEL, cells, write

from federator.federation import schema
from federator.jupyter import changes
from federator.jupyter.subject import Kernel, found


def text_of(read) -> str:
    kernel = Kernel(read.root, read.notebook, Typist().run)
    page, text = changes.page(found(kernel, None))
    assert ("<pre" in page) == ("\n  " in text)
    return text


def test_what_each_site_has_to_review_is_shown_line_by_line(tmp_path):
    read = images.lay_out(tmp_path, content=cells(plot=None))
    images.write(read)
    assert "north, south: nothing changes in code and settings" in text_of(read)
    write(read.notebook, cells(model=MODEL.replace("nn.ReLU()", "nn.GELU()")))  # and a plot
    told = text_of(read)
    assert "north, south: the site's operator has to review this and take it over" in told
    assert "\n  +        self.layers = nn.Sequential(nn.Linear(4, WIDTH), nn.GELU()" in told
    assert "plt" not in told


def test_another_setting_of_one_site_is_shown_for_that_site(tmp_path):
    read = images.lay_out(tmp_path)
    images.write(read)
    file = read.folder / schema.FILE
    text = file.read_text().replace("{name: north}", "{name: north, min_cell_count: 9}")
    file.write_text(text.replace("{name: south}", "{name: south}, {name: east}"))
    told = text_of(schema.read(read.folder))
    assert "north: the site's operator has to review this" in told
    assert "\n  -FEDERATOR_MIN_CELL_COUNT: ${MIN_CELL_COUNT:-5}" in told
    assert "\n  +FEDERATOR_MIN_CELL_COUNT: ${MIN_CELL_COUNT:-9}" in told
    assert "south: nothing changes" in told and "east: no file yet" in told
