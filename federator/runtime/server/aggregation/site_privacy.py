"""Site-level differential privacy: clipped updates, a mean over the planned sites, and noise.

The Gaussian mechanism on the sum of the sites' changes (McMahan et al. 2018, algorithm 1,
https://arxiv.org/abs/1710.06963, with all sites in every round): each change is shortened to the
norm C over all parameters together, the sum gets noise of standard deviation noise x C and is
divided by the number of planned sites, n. That is a constant, also where a site drops out, so that
one site more or less changes the mean by at most C / n. No amplification by sampling is counted.

Noise comes from a generator (PCG64) that the operating system seeds anew for each block, never from
the run's seed. Attacks on the digits of floating-point noise (Mironov 2012) are not covered.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from federator.errors import RunError
from federator.runtime.plain_strategy import unbounded
from federator.runtime.protocol.privacy.gaussian import epsilon_of
from federator.runtime.protocol.privacy.settings import MOST_EPSILON
from federator.runtime.server.aggregation.geometry import Geometry
from federator.runtime.server.aggregation.robust import Weighting, shortening
from federator.runtime.weights.format import Tensor


@dataclass(frozen=True)
class SitePrivacy:
    """What a federation hides of its sites.

    Attributes:
        clip: C, the largest norm of an update.
        noise: standard deviation of the noise on the sum of the updates, in units of C.
        delta: the probability with which the guarantee may fail.
        sites: n, how many were planned.
    """

    clip: float
    noise: float
    delta: float
    sites: int

    @staticmethod
    def of(found: Mapping[str, float] | None, sites: int) -> "SitePrivacy | None":
        """Return what the server's settings have of it; None if nothing.

        Raises:
            RunError: if the sites are not known, so that there is nothing to divide by.
        """
        if not found:
            return None
        if not sites:
            raise RunError("site_privacy needs the sites that are planned: use `federator run`")
        return SitePrivacy(found["clip"], found["noise"], found["delta"], sites)

    def epsilon(self, rounds: int) -> float:
        """Return what so many rounds cost together (exact: protocol/privacy/gaussian.py)."""
        return epsilon_of(self.delta, self.noise, rounds)

    def require_fitting(
        self,
        strategy: str,
        tensors: Mapping[str, Tensor],
        buffers: Collection[str],
        rounds: int,
        baselines: bool,
    ) -> None:
        """Check that the guarantee holds for a run, and is one.

        Args:
            strategy: its name.
            tensors: the model's.
            buffers: names of those that are no parameters.
            rounds: the last one's number.
            baselines: whether each site is also trained alone.

        Raises:
            RunError: if it does not, or is none.
        """
        if baselines:
            raise RunError("site_privacy: the baselines get no noise: order none")
        if (why := unbounded(strategy, ["max_share"])) is not None:
            raise RunError(f"site_privacy: {why}: use FedAvg")
        running = [name for name in buffers if tensors[name].is_float]
        if running:
            raise RunError(
                f"site_privacy: the model has running statistics ({min(running)}), which noise "
                "makes useless: use GroupNorm or LayerNorm in place of BatchNorm"
            )
        if (cost := self.epsilon(rounds)) > MOST_EPSILON:
            raise RunError(
                f"site_privacy: epsilon would be {cost:.3g} after round {rounds}, which hides "
                f"nothing (at most {MOST_EPSILON:g}): raise noise, or run fewer rounds"
            )

    def weigh(self, geometry: Geometry) -> Weighting:
        """Return how much each update counts: the same, with noise on the mean."""
        norms, share = geometry.norms, 1 / self.sites
        scales = shortening(norms, self.clip)
        return Weighting(
            (share,) * len(norms), scales, (0.0,) * len(norms),
            noise=self.noise * self.clip * share,
        )  # fmt: skip
