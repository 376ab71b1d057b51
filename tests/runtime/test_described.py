"""What the author says of the data stands where a site's data do not fit."""

from federator.runtime import described


def test_it_is_shown_without_what_a_terminal_would_act_on(tmp_path):
    assert described.layout(tmp_path) == ""
    (tmp_path / described.LAYOUT).write_text("# Data\n\n- \x1b[31m`train.csv`\n")
    assert described.layout(tmp_path).splitlines() == [
        "",
        "      the notebook describes the data as:",
        "      | # Data",
        "      |",
        "      | - ?[31m`train.csv`",
    ]
