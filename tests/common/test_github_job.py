"""A job of GitHub Actions: marks in its log, and its summary."""

import pytest

from federator.common import github_job
from federator.errors import InputError, Problem, Where


@pytest.fixture
def summary(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


def test_a_problem_is_marked_in_one_line_whatever_it_says(capsys):
    where = Where("a\n::warning::b.ipynb", 5, 3)
    github_job.annotate("error", Problem("100 %\r\n::add-mask::x", where, "mend it"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "::error::a%0A::warning::b.ipynb: cell 5, line 3: 100 %25%0D%0A::add-mask::x%0A    mend it"
    )


def test_a_failure_is_in_the_log_and_in_the_summary(summary, capsys):
    error = InputError(Problem("one", hint="do this"), Problem("two"))
    github_job.fail(error)
    assert capsys.readouterr().err.splitlines() == ["::error::one%0A    do this", "::error::two"]
    assert summary.read_text() == "### Stopped\n\n```text\none\n    do this\ntwo\n```\n\n"


def test_summaries_add_up(summary):
    github_job.summarise("one\n")
    github_job.summarise("two\n")
    assert summary.read_text() == "one\n\ntwo\n\n"


def test_without_a_summary_it_is_printed_beside_the_output(capsys):
    github_job.summarise("one")
    assert capsys.readouterr() == ("", "one\n")
    github_job.fail(InputError("wrong"))
    assert capsys.readouterr().err == "::error::wrong\n"
