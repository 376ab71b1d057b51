"""How much each site's update counts: by its examples, by its norm, and by its distances.

Sources: the norm bound is a multiple of the median of the round's norms (Nguyen et al. 2022, FLAME,
https://www.usenix.org/conference/usenixsecurity22/presentation/nguyen, has the multiple 1; Sun et
al. 2019, https://arxiv.org/abs/1911.07963, that bounding norms stops backdoors). A median follows
the training without a number that somebody has to know beforehand, and no minority of the sites
moves it beyond the others' norms. Krum and MultiKrum: Blanchard et al. 2017,
https://arxiv.org/abs/1703.02757.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from flwr.serverapp import strategy as strategies
from flwr.serverapp.strategy import FedAvg

from federator.errors import RunError
from federator.runtime.plain_strategy import unbounded
from federator.runtime.server.aggregation.geometry import (
    LEAST_SITES,
    Geometry,
    Numbers,
    Products,
    norms_of,
)


@dataclass(frozen=True)
class Robust:
    """What the federation file bounds.

    Attributes:
        norm_bound: how long an update may be, as a multiple of the median norm; None: any length.
        max_share: the largest share of the mean that a site may have; None: any.
    """

    norm_bound: float | None = None
    max_share: float | None = None

    def needs_geometry(self, strategy: FedAvg) -> bool:
        """Return whether what an update counts depends on what it holds."""
        return self.norm_bound is not None or isinstance(strategy, strategies.MultiKrum)

    def require_fitting(self, strategy: str) -> None:
        """Check that a strategy, by its name, can be bounded like this.

        Raises:
            RunError: if it cannot.
        """
        bounds = [name for name, value in asdict(self).items() if value is not None]
        if (why := unbounded(strategy, bounds)) is not None:
            raise RunError(f"robust: {', '.join(bounds)}: {why}")


@dataclass(frozen=True)
class Weighting:
    """How much the update of each site counts in the next model.

    Attributes:
        shares: of the mean, 0 for a site that is left out. What they lack of 1 together stays with
            the model that the sites started from.
        scales: what each change of the parameters is multiplied by, at most 1.
        buffer_scales: the same of the buffers.
        noise: standard deviation of Gaussian noise on the mean of the parameters. With noise, the
            other tensors stay as they were.
    """

    shares: tuple[float, ...]
    scales: tuple[float, ...]
    buffer_scales: tuple[float, ...]
    noise: float = 0.0

    @property
    def rest(self) -> float:
        """What the shares lack of 1 together."""
        rest = 1.0 - sum(self.shares)
        return rest if rest > 1e-9 else 0.0

    @staticmethod
    def of(shares: Sequence[float]) -> "Weighting":
        """Return a weighting by shares alone."""
        whole = (1.0,) * len(shares)
        return Weighting(tuple(shares), whole, whole)


def weigh(
    strategy: FedAvg, robust: Robust, geometry: Geometry | None, examples: Sequence[int]
) -> Weighting:
    """Return how much each site's update counts.

    Args:
        strategy: a plain one.
        robust: the bounds.
        geometry: of the updates, where :meth:`Robust.needs_geometry`.
        examples: number of training examples of each site.
    """
    chosen = set(range(len(examples)))
    if isinstance(strategy, strategies.MultiKrum):
        assert geometry is not None
        chosen = set(closest(geometry, strategy.num_malicious_nodes, strategy.num_nodes_to_select))
    counts = [count if site in chosen else 0 for site, count in enumerate(examples)]
    if not sum(counts):  # those that were chosen have no examples: as many from each
        counts = [int(site in chosen) for site in range(len(examples))]
    shares = [count / sum(counts) for count in counts]
    if robust.max_share is not None:
        shares = capped(shares, robust.max_share)
    if robust.norm_bound is None or len(examples) < LEAST_SITES:
        return Weighting.of(shares)
    assert geometry is not None
    bound = robust.norm_bound
    return Weighting(
        tuple(shares), _scales(geometry.parameters, bound), _scales(geometry.buffers, bound)
    )


def closest(geometry: Geometry, malicious: int, most: int) -> list[int]:
    """Return the sites that Krum (``most`` 1) or MultiKrum takes, the closest to the others first.

    Args:
        geometry: of the updates.
        malicious: how many sites may be so: of n sites, each is judged by its n - malicious - 2
            nearest ones, at least 1.
        most: how many to take.
    """
    distances = geometry.distances
    np.fill_diagonal(distances, np.inf)
    near = max(1, len(distances) - malicious - 2)
    scores = np.sort(distances, axis=1)[:, :near].sum(axis=1)
    return [int(site) for site in np.argsort(scores, kind="stable")[: max(1, most)]]


def capped(shares: Sequence[float], most: float) -> list[float]:
    """Return shares of which none is above ``most``; what is cut off goes to the others.

    These get it in proportion to their shares. If there are too few sites for ``most``, all that
    have a share get the same.
    """
    holders = sum(share > 0 for share in shares)
    if holders * most <= 1.0:
        return [1.0 / holders if share > 0 else 0.0 for share in shares]
    full: set[int] = set()
    while True:
        free = 1.0 - most * len(full)
        rest = sum(share for site, share in enumerate(shares) if site not in full)
        found = [most if site in full else share * free / rest for site, share in enumerate(shares)]
        over = {site for site, share in enumerate(found) if share > most * (1 + 1e-12)}
        if not over:
            return found
        full |= over


def _scales(products: Products, bound: float) -> tuple[float, ...]:
    """Return what shortens each change to ``bound`` times the median of the norms."""
    norms: Numbers = norms_of(products)
    longest = bound * float(np.median(norms))
    if longest == 0.0:  # most sites changed nothing: there is no usual length
        return (1.0,) * len(norms)
    return shortening(norms, longest)


def shortening(norms: Numbers, longest: float) -> tuple[float, ...]:
    """Return what shortens changes of these norms to at most ``longest``."""
    return tuple(min(1.0, longest / norm) if norm > 0 else 1.0 for norm in map(float, norms))
