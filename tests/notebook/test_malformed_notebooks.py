"""Notebooks that cannot be converted: what is wrong, where, and what to write instead.

Those that are no notebooks at all are in ``test_notebook.py``.
"""

import pytest
from fixtures.filled import filled, of, problems
from fixtures.malformed_notebooks import CASES, DEFS
from fixtures.small_notebook import TRAIN


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_notebook_is_refused_in_one_message(case):
    changed, message = CASES[case]
    found = problems(filled(**changed))
    assert len(found) == 1
    assert found[0].startswith(message)


def test_a_part_that_is_missing_may_be_in_a_cell_that_is_not_valid_python():
    found = problems(filled(train=TRAIN.replace("def train", "deff train")))
    assert len(found) == 2
    assert found[0].startswith("the notebook defines no `train`")
    assert found[1].startswith("cell 7, line 1: this is not valid Python: ")


def test_every_unfilled_part_of_the_published_template_is_told():
    parts = [
        "class CustomDataset:\n    def __init__(self):\n        self.X = #TODO",
        "def load_data():\n    trainset = #TODO",
        f"def {DEFS}:\n    criterion = #TODO Define loss function",
        "def test(net, testloader):\n    criterion = #TODO Define loss function",
        "class Model(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        ### START CODE HERE ###\n        #TODO\n        ### END CODE HERE ###",
    ]
    assert [problem.split("\n")[0] for problem in problems(of("import torch", *parts))] == [
        f"cell {cell}, line {line}: this part of the template is not filled in"
        for cell, line in [(2, 3), (3, 2), (4, 2), (5, 2), (6, 5)]
    ]
