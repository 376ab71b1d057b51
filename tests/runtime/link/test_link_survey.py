"""A site's link and the survey: what it hands on of the question, and of the answer."""

import json
from dataclasses import replace

import pytest
from fakes.coordinator import NODE, OURS, SIZES, order

from federator.runtime.protocol import replies

pytestmark = pytest.mark.usefixtures("in_a_run")


@pytest.mark.parametrize("takes_part", [True, False])
def test_a_survey_leaves_a_site_that_takes_part_in_it_only(link, worker, takes_part):
    link.policy = replace(link.policy, survey=takes_part)
    told = {"tables": {"missing.0": [[50, 0]], "missing.1": [[46, 4]], "names": [["Jane"]]}}
    worker.answer = lambda _: {"examples": SIZES, "survey": told, "update": True}
    content = link.answer(order("join", survey=True), OURS, NODE).content
    outcome = replies.outcome_in(content, (), replace(link.policy, survey=True))
    assert json.loads(worker.packet["instruction"])["survey"] is takes_part
    assert (outcome.survey is not None) is takes_part
    assert ("survey" in content["site"]) is takes_part
    if takes_part:
        assert outcome.survey.tables == {"missing.0": [[50, 0]]}
