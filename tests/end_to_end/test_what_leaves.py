"""The numbers on the page for the ethics board are those of a real run of the shipped example."""

import re

from benchmarks import leaves

ROW = re.compile(r"^\| (.+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def test_the_numbers_of_the_page_are_those_of_a_run(tmp_path):
    """How many bins of scores leave depends on the model, and so a little on the machine."""
    counted, told = (
        {what: (int(times), int(size)) for what, times, size in ROW.findall(text)}
        for text in (leaves.table(leaves.run(tmp_path, 3)), leaves.on_page())
    )
    scores = {what for what in told if "`scores." in what}
    assert told and scores and counted.keys() - scores == told.keys() - scores
    for what in told.keys() - scores:
        assert counted[what] == told[what], what
    for what in scores & counted.keys():
        assert counted[what][1] <= 2 * 64, what
    (weights,) = (size for what, (_, size) in told.items() if what.startswith("weights"))
    assert weights > 0
