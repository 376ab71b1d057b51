"""What the app's configuration asks for, in one run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from federator.runtime.app_config import Setting, local_steps
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.instructions import PERSONAL
from federator.runtime.weights.local_tensors import LocalTensors


@dataclass(frozen=True)
class Plan:
    """What the app's configuration asks for, in this run."""

    rounds: int
    epochs: int
    seed: int
    select: str
    settings: EvaluationSettings
    local: LocalTensors = field(default_factory=LocalTensors)
    personal: bool = False  # whether each site keeps a model for itself (Ditto)
    steps: int | None = None  # batches in an epoch; None for those that a site has

    @staticmethod
    def of(config: Mapping[str, Setting]) -> "Plan":
        """Return the plan in a run's configuration."""
        return Plan(
            rounds=int(config["rounds"]),
            epochs=int(config["local-epochs"]),
            seed=int(config["seed"]),
            select=str(config["select"]),
            settings=EvaluationSettings.of(config),
            local=LocalTensors.of(config),
            personal=bool(config.get(PERSONAL)),
            steps=local_steps(config),
        )

    @property
    def policy(self) -> Policy:
        """What sites may say; how small a count may be is for each of them to decide."""
        metrics = frozenset(self.settings.metrics)
        return Policy(self.settings.task, metrics, 0, survey=True, hears_noise=True)
