"""What an app's configuration says of its evaluation is read as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federator.runtime.protocol.evaluation.settings import POOLINGS, EvaluationSettings, Surfaces
from federator.runtime.protocol.evaluation.tasks import NAMES, Task

WORDS = st.text("abc xyz-é", min_size=1, max_size=8).filter(lambda text: text == text.strip())
UNITS = st.sampled_from(["mm", "voxels"])
NUMBERS = st.floats(-1e9, 1e9)


@given(data=st.data(), task=st.sampled_from(NAMES))
def test_settings_are_read_as_they_were_written(data, task):
    names = tuple(data.draw(st.lists(WORDS, min_size=1, max_size=5, unique=True)))
    metrics = st.dictionaries(
        st.from_regex(r"[a-z_]+", fullmatch=True), st.sampled_from(POOLINGS), max_size=3
    )
    settings = EvaluationSettings(
        Task(task, len(names)),
        names,
        data.draw(st.none() | st.integers(0, len(names) - 1)),
        tuple((low, low + 1.5) for low in data.draw(st.lists(NUMBERS, max_size=len(names)))),
        data.draw(st.none() | st.floats(0.5, 1e6)),
        data.draw(metrics),
        data.draw(st.none() | st.builds(Surfaces, st.integers(1, 9999).map(float), UNITS)),
    )
    assert EvaluationSettings.of(settings.write()) == settings


def test_a_task_of_a_later_version_is_refused():
    with pytest.raises(ValueError, match="unknown task counting"):
        EvaluationSettings.of({"task": "counting", "labels": "a,b"})
