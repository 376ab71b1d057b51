"""How much noise an epsilon takes."""

from collections.abc import Callable, Iterable

from federator.runtime.protocol.privacy.accountant import epsilon
from federator.runtime.protocol.privacy.settings import PrivacySettings

_HALVINGS = 40


def noise_for(cost: Callable[[float], float], most: float, low: float, high: float) -> float:
    """Return the least noise that costs no more than an epsilon, to one part in a billion.

    Args:
        cost: epsilon by noise; it falls.
        most: the epsilon.
        low: less noise is not sought.
        high: nor more.
    """
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if cost(middle) > most:
            low = middle
        else:
            high = middle
    return high


def settings_for(
    most: float, delta: float, clip: float, plans: Iterable[tuple[float, int]]
) -> PrivacySettings:
    """Return settings with which no site's trainings cost more than an epsilon.

    Args:
        most: the epsilon.
        delta: at which.
        clip: the clipping norm.
        plans: of each site the sample rate, and how many steps it makes in all.
    """
    listed = list(plans)

    def cost(noise: float) -> float:
        return max(epsilon({(rate, noise): steps}, delta) for rate, steps in listed)

    return PrivacySettings(most, delta, clip, noise_for(cost, most, 0.3, 1e4))
