"""What a site warns of."""

import pytest

from federator.runtime.protocol.notices import NOTICES, Notice

DECLARED = frozenset({"auc"})
GOOD = {"code": "accuracy", "set": "val", "name": "", "value": 0.9583333, "other": 0.0416667}


@pytest.mark.parametrize("code", NOTICES)
def test_each_code_has_words(code):
    assert "{" not in str(Notice(code, "val", "auc", 0.25, 12.0))


def test_a_warning_is_told_with_its_set_and_rounded_numbers():
    notice = Notice.of(GOOD, DECLARED)
    assert notice == Notice("accuracy", "val", "", 0.958, 0.042)
    assert str(notice).startswith("test says an accuracy of 0.958, the counts say 0.042")
    assert "(validation set)" in str(notice)


@pytest.mark.parametrize(
    "changed",
    [
        {"code": "Jane Doe"},
        {"code": ["accuracy"]},
        {"set": "Jane Doe"},
        {"set": ["val"]},
        {"name": "Jane Doe"},
        {"name": 4711},
        {"value": "Jane Doe"},
        {"value": float("nan")},
        {"other": True},
        {"other": 10**400},
    ],
)
def test_a_warning_of_another_form_is_none(changed):
    assert Notice.of({**GOOD, **changed}, DECLARED) is None


@pytest.mark.parametrize("value", [None, "accuracy", 1, [], ["accuracy"], {}])
def test_what_is_no_warning_is_none(value):
    assert Notice.of(value, DECLARED) is None
