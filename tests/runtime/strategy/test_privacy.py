"""Flower's strategies of differential privacy are refused, wherever they stand."""

import pytest
from flwr.serverapp import strategy as fs

from federator.errors import RunError
from federator.runtime.strategy.privacy import refuse_private


def noisy(inner):
    return fs.DifferentialPrivacyServerSideFixedClipping(inner, 0.1, 1.0, 3)


class OfMyOwn(fs.DifferentialPrivacyServerSideAdaptiveClipping):
    """A subclass protects no better."""


class Wrapper(fs.FedAvg):
    """A strategy that holds others."""

    def __init__(self, **held):
        super().__init__()
        vars(self).update(held)


@pytest.mark.parametrize(
    "strategy",
    [
        noisy(fs.FedAvg()),
        OfMyOwn(fs.FedAvg(), 0.1, 3),
        fs.DifferentialPrivacyClientSideFixedClipping(fs.FedAvg(), 0.1, 1.0, 3),
        fs.DifferentialPrivacyClientSideAdaptiveClipping(fs.FedAvg(), 0.1, 3),
        Wrapper(inner=noisy(fs.FedAdam())),
        Wrapper(each=[fs.FedAvg(), Wrapper(by_name={"last": noisy(fs.FedAvg())})]),
    ],
)
def test_it_is_refused_with_the_reason(strategy):
    with pytest.raises(RunError) as refused:
        refuse_private(strategy)
    said = str(refused.value)
    assert "Clipping is refused" in said or said.startswith("OfMyOwn is refused")
    assert "weighed by their numbers of examples" in said
    assert "`site_privacy` in federation.yaml" in said


def test_others_are_not():
    wrapper = Wrapper(inner=fs.Krum())
    wrapper.itself = wrapper
    for strategy in (fs.FedAvg(), fs.FedAdam(), wrapper, object()):
        refuse_private(strategy)
