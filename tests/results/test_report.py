"""The report says what the journal says, all of it, and does not hide what is missing."""

import io
import re
from pathlib import Path

import pytest
from fakes import run_journal
from fixtures.report_pages import Page
from rich.console import Console

from federator.errors import RunError
from federator.results import history, report
from federator.results.comparison import compare
from federator.results.drawing import charts, plots
from federator.results.drawing.plots import Point, Series
from federator.runtime.server import journal


def _page(run: Path, **options: object) -> Page:
    return Page(report.write(run_journal.write(run, **options)))


def _terminal(run: Path, width: int = 80, **options: object) -> str:
    run_journal.write(run, **options)
    out = io.StringIO()
    Console(file=out, width=width).print(report.comparison_table(history.read(run)))
    return out.getvalue()


# -- the comparison -------------------------------------------------------------------------


def test_models_are_compared_on_the_sum_of_all_test_sets(tmp_path: Path) -> None:
    read = history.read(run_journal.write(tmp_path))
    rows = compare(read)
    assert [row.model for row in rows] == ["federation", *run_journal.SITES]
    for row in rows:
        counts = [result.tables["confusion"] for result in read.tests[row.model].sites.values()]
        tn, fp, fn, tp = (sum(c[i][j] for c in counts) for i in (0, 1) for j in (0, 1))
        assert row.result.examples == 126
        assert row.figures["sensitivity"].value == pytest.approx(tp / (tp + fn))
        assert row.figures["specificity"].value == pytest.approx(tn / (tn + fp))
        assert row.figures["accuracy"].value == pytest.approx((tp + tn) / 126)
        low, high = row.figures["accuracy"].low, row.figures["accuracy"].high
        assert low < row.figures["accuracy"].value < high


def test_the_best_is_best_and_a_draw_of_all_has_none(tmp_path: Path) -> None:
    read = history.read(run_journal.write(tmp_path))
    for site in (None, *read.sites):
        rows = compare(read, site)
        for name in read.view.columns:
            best = {row.figures[name].value for row in rows if name in row.best}
            values = [row.figures[name].value for row in rows]
            assert best == ({max(values)} if min(values) < max(values) else set())
    assert compare(read, None, ["federation"])[0].best == frozenset()


def test_a_model_tested_on_other_patients_is_not_compared(tmp_path: Path) -> None:
    run_journal.write(tmp_path)
    run_journal.change(
        tmp_path, lambda test: test["sites"].pop("birch"), event="test", model="alder"
    )
    read = history.read(tmp_path)
    rows = {row.model: row for row in compare(read)}
    assert rows["alder"].missing == ("birch",)
    assert rows["alder"].best == frozenset()
    assert rows["federation"].best
    assert "alder alone was not tested at birch" in Page(report.write(tmp_path)).text


def test_areas_from_different_numbers_of_bins_are_not_compared(tmp_path: Path) -> None:
    def coarsen(test: dict) -> None:
        for result in test["sites"].values():
            scores = result["tables"]["scores.1"]
            result["tables"]["scores.1"] = [[sum(row[:8]), sum(row[8:])] for row in scores]

    run_journal.change(run_journal.write(tmp_path), coarsen, event="test", model="birch")
    rows = compare(history.read(tmp_path))
    assert all(row.figures["auc"].value is not None and "auc" not in row.best for row in rows)
    assert any("accuracy" in row.best for row in rows)


# -- the terminal ---------------------------------------------------------------------------


def test_the_table_fits_a_terminal(tmp_path: Path) -> None:
    text = _terminal(tmp_path, sites={"a-site-with-a-long-name": (9, 5, 9)} | run_journal.SITES)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "all sites (n = 135)" in text and "cedar (n = 14)" in text
    assert text.count("Federation") == 1 + 4
    assert text.count("birch alone") == 2, "over all sites and at its own, not at the others'"
    assert re.search(r"\d\.\d{3}\*", text) and "* best" in text


def test_the_table_without_baselines(tmp_path: Path) -> None:
    text = _terminal(tmp_path, baselines=False)
    assert text.count("Federation") == 4
    assert "alone" not in text.replace("trained alone", "")
    assert "*" not in text.replace("baselines", "")
    assert "`baselines: true`" in text


def test_the_table_of_a_run_without_tests(tmp_path: Path) -> None:
    assert "No model has been tested." in _terminal(tmp_path, tested=False, end=None)


# -- the page -------------------------------------------------------------------------------


def test_the_page_has_every_part(tmp_path: Path) -> None:
    page = _page(tmp_path / "2026-03-02-001", metrics={"dice": 0.8125})
    for words in (
        "made-up", "run 2026-03-02-001", "Finished", "FedAvg", "12 of 12 with 2 local epochs",
        "on 126 test examples", "alder alone", "dice", "0.812", "n = 14", "AUC 0.", "(16 bins)",
        "benign 42, malignant 40", "388", "48.3 kB", "11 of 12", "539.0 kB",
        "ValueError in task.py, line 31 (cell 5)", "flwr 1.42.0", "Seed 1",
        "select: last, round 12",
    ):  # fmt: skip
        assert words in page.text, words
    assert sum(tag == "figure" for tag, _ in page.tags) == 3 + 3 * 3 + 2 * 2 + 1


def test_the_page_is_whole_in_itself(tmp_path: Path) -> None:
    page = _page(tmp_path)
    assert "://" not in page.html
    assert not {"script", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "style", "onload"} & set(attributes)
        assert attributes.get("href", "#")[0] in "#d", tag
    policy = next(a["content"] for _, a in page.tags if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_page_is_accessible(tmp_path: Path) -> None:
    page = _page(tmp_path)
    for tag, attributes in page.tags:
        if tag == "th":
            assert attributes.get("scope") in ("col", "row", "rowgroup")
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden")
    targets = {a["href"][1:] for _, a in page.tags if a.get("href", "").startswith("#")}
    assert targets == {a["id"] for tag, a in page.tags if tag == "section"}


@pytest.mark.parametrize(
    "hostile", ["<script>x</script>", "{{ 7*7 }}", '"><img src=x>', "</style>"]
)
def test_what_comes_from_outside_is_text(tmp_path: Path, hostile: str) -> None:
    page = _page(
        tmp_path,
        sites={hostile: (10, 5, 8), "birch": (10, 5, 8)},
        labels=(hostile, "other"),
        end="failed",
        reason=hostile,
        metrics={hostile: 0.5},
        failing=(hostile, 2),
    )
    assert hostile in page.text
    assert not {"script", "img"} & {tag for tag, _ in page.tags}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"baselines": False}, "No baselines: set baselines: true"),
        ({"bins": None}, "Not available: no scores of test sets"),
        ({"labels": ("a", "b", "c")}, "Not available: no scores of test sets"),
        ({"labels": ("a", "b", "c")}, "macro average"),
        ({"tested": False, "end": None}, "No test results"),
        ({"tested": False, "end": None}, "The journal has no end"),
        ({"end": "stopped", "reason": "Ctrl-C"}, "Stopped: Ctrl-C"),
        ({"failing": None}, "No failure is recorded"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(tmp_path: Path, options: dict[str, object], says: str) -> None:
    assert says in _page(tmp_path, **options).text


def test_sites_without_scores_are_named(tmp_path: Path) -> None:
    run_journal.write(tmp_path)
    run_journal.change(
        tmp_path, lambda test: test["sites"]["cedar"]["tables"].pop("scores.1"), event="test"
    )
    text = Page(report.write(tmp_path)).text
    assert "“All sites” is without cedar: no scores from there." in text
    assert "alder, AUC" in text


def test_every_prefix_of_a_run_has_a_report(tmp_path: Path) -> None:
    path = run_journal.write(tmp_path, rounds=2, end="failed", reason="no power") / journal.FILE
    lines = path.read_text().splitlines(keepends=True)
    for length in range(1, len(lines)):
        path.write_text("".join(lines[:length]) + lines[length][:20])
        assert "1 line of the journal" in Page(report.write(tmp_path)).text


@pytest.mark.parametrize(
    "sites",
    [
        {"a": (1, 1, 1)},
        {"a": (5, 0, 0), "b": (5, 0, 0)},
        {f"site-{i}": (9, 5, 7) for i in range(26)},
    ],
    ids=["one patient", "no test set", "many"],
)
def test_federations_of_odd_sizes(tmp_path: Path, sites: dict[str, tuple[int, int, int]]) -> None:
    page = _page(tmp_path, sites=sites, rounds=2)
    assert next(iter(sites)) in page.text
    assert not re.search(r"\b(nan|None|inf)\b", page.text)


def test_the_page_of_a_run_without_a_named_site(tmp_path: Path) -> None:
    path = run_journal.write(tmp_path) / journal.FILE
    path.write_text(path.read_text().replace('"sites": ["alder", "birch", "cedar"]', '"sites": []'))
    assert "alder alone" in Page(report.write(tmp_path)).text


def test_a_resumed_run_tells_why_it_stopped_before(tmp_path: Path) -> None:
    path = run_journal.write(tmp_path, rounds=3, end="failed", reason="no power") / journal.FILE
    first = path.read_text()
    run_journal.write(tmp_path / "again", rounds=6)
    path.write_text(first + (tmp_path / "again" / journal.FILE).read_text())
    text = Page(report.write(tmp_path)).text
    assert "Finished" in text and "Started 2 times" in text
    assert "failed no power" in text


def test_a_round_that_nobody_delivered_does_not_count(tmp_path: Path) -> None:
    sites = {"alder": (20, 8, 8)}
    page = _page(tmp_path, sites=sites, rounds=4, failing=("alder", 4), end="failed", reason="x")
    assert "Rounds 3 of 4 with" in page.text


def test_a_round_in_which_a_site_gave_no_numbers_is_marked(tmp_path: Path) -> None:
    run_journal.write(tmp_path, rounds=4, baselines=False)
    run_journal.change(
        tmp_path, lambda done: done["sites"].pop("cedar"), event="validation", round=2
    )
    for chart in charts.learning(history.read(tmp_path)):
        cedar, pooled = chart.lines[2:]
        assert [point.whole for point in pooled.points] == [True, True, False, True, True]
        assert "2 of 3 sites" in pooled.points[2].tip
        assert len(cedar.points) == 4


def test_no_line_leads_to_a_round_of_other_sites(tmp_path: Path) -> None:
    run_journal.write(tmp_path, rounds=6, baselines=False)
    for number in (2, 5):
        run_journal.change(
            tmp_path, lambda e: e["sites"].pop("cedar"), event="validation", round=number
        )
    read = history.read(tmp_path)
    for chart in charts.learning(read):
        pooled = chart.lines[-1]
        at = {point.x: number for number, point in enumerate(pooled.points)}
        strokes = [
            (pen, at[float(x)]) for pen, x in re.findall(r"([ML])([\d.]+) [\d.]+", pooled.path)
        ]
        assert strokes == [("M", 0), ("L", 1), ("L", 3), ("L", 4), ("L", 6), ("M", 2), ("L", 5)]
    assert charts.measured(read) == ["Rounds 2, 5: measured at 2 of 3 sites, without cedar."]
    assert "measured at 2 of 3 sites, without cedar" in Page(report.write(tmp_path)).text


def test_no_journal_no_page(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        report.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


# -- charts ---------------------------------------------------------------------------------


def _chart(*values: float | None, **options: object) -> plots.Chart | None:
    points = [Point(x, y) for x, y in enumerate(values)]
    return plots.chart("Loss", "Round", [Series("a", 0, points)], **options)


def test_a_chart_holds_its_points_between_round_ticks() -> None:
    chart = _chart(0.93, 0.41, 0.27, 0.22)
    assert chart is not None
    assert [label for _, label in chart.y_ticks] == ["0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [label for _, label in chart.x_ticks] == ["0", "1", "2", "3"]
    low, high = chart.y_ticks[0][0], chart.y_ticks[-1][0]
    assert all(high <= point.y <= low for point in chart.lines[0].points)
    assert chart.lines[0].points[0].x == plots.LEFT
    assert chart.lines[0].points[-1].x == plots.WIDTH - plots.RIGHT


@pytest.mark.parametrize(
    ("values", "strokes", "points"),
    [
        ((0.3, None, 0.2, 0.1), ["M", "M", "L"], 3),
        ((float("nan"), 0.2, float("inf")), ["M"], 1),
        ((1.0, 1.0), ["M", "L"], 2),
        ((0.0,), ["M"], 1),
    ],
)
def test_a_line_is_broken_where_a_value_lacks(
    values: tuple[float | None, ...], strokes: list[str], points: int
) -> None:
    chart = _chart(*values)
    assert chart is not None
    assert re.findall("[ML]", chart.lines[0].path) == strokes
    assert len(chart.lines[0].points) == points
    assert "nan" not in chart.lines[0].path


@pytest.mark.parametrize("values", [(), (None, None), (float("nan"),)])
def test_no_chart_without_a_value(values: tuple[float | None, ...]) -> None:
    assert _chart(*values) is None


@pytest.mark.parametrize("high", [1e-7, 0.02, 3, 17, 4.2e6])
def test_ticks_are_few_and_differ(high: float) -> None:
    chart = _chart(0.0, high)
    assert chart is not None
    labels = [label for _, label in chart.y_ticks]
    assert 2 <= len(labels) <= 7
    assert len(set(labels)) == len(labels)


def test_what_encoding_and_known_parts_have_saved_is_told_by_site(tmp_path: Path) -> None:
    run = run_journal.write(tmp_path, rounds=2, baselines=False)
    assert "Not sent again" not in Page(report.write(run)).text

    def travelled(event: dict) -> None:
        for part in event["sites"].values():
            part |= {"bytes_down": 200_000, "bytes_up": 100_000, "bytes_known": 300_000}

    run_journal.change(
        run, lambda event: event.update(model_bytes=1_000_000, encoding="int8"), event="start"
    )
    run_journal.change(run, travelled, event="round", model="federation")
    page = Page(report.write(run))
    assert "weights are 1.0 MB, and travel as int8." in page.text
    assert "Received Sent Not sent again Saved by int8" in page.text
    assert page.text.count("400.0 kB 200.0 kB 600.0 kB 2.8 MB") == len(run_journal.SITES)


def test_means_over_other_labels_are_not_compared(tmp_path: Path) -> None:
    """One model's counts of a label are withheld: its mean is over the other label alone."""
    path = run_journal.write(tmp_path, bins=None)
    counts = {f"confusion.{k}": [[9, 1], [2, 8]] for k in (0, 1)}

    def as_multilabel(event: dict) -> None:
        event["task"], event["positive"] = "multilabel", None

    def counted(event: dict) -> None:
        kept = counts if event["model"] != "birch" else {"confusion.0": counts["confusion.0"]}
        for result in event["sites"].values():
            result["tables"] = kept

    run_journal.change(path, as_multilabel, event="start")
    run_journal.change(path, counted, event="test")
    rows = {row.model: row for row in compare(history.read(path))}
    assert rows["birch"].figures["f1"].note == "over 1 of 2 labels"
    assert rows["federation"].figures["f1"].note == ""
    assert all(row.best == frozenset() for row in rows.values())
