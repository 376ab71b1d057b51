"""The private optimizer: clips each record's gradient, adds noise to their sum, and makes a step.

One step of DP-SGD (Abadi et al. 2016, https://arxiv.org/abs/1607.00133, algorithm 1), with the
sum divided by the expected size of a batch. Gradients by record, and clipping, are Opacus's.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from opacus.optimizers import DPOptimizer

from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.worker.privacy.randomness import normal

_SAME = 0.05  # how far the mean of the gradients by record may be from autograd's, in its norm
_LEAST = 1e-6  # the norm of a gradient that is as good as none


class PrivateOptimizer(DPOptimizer):  # type: ignore[misc]
    """Takes the place of an optimizer of the author's.

    Args:
        optimizer: of the author's.
        settings: the federation's.
        batch: the expected number of units in a batch.
        before: told before each step by how many records its gradients are.
        after: told after each step.
        unlike: told that the loss is not a mean over records.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        settings: PrivacySettings,
        batch: int,
        before: Callable[[set[int]], None],
        after: Callable[[], None],
        unlike: Callable[[], None],
    ) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=settings.noise,
            max_grad_norm=settings.clip,
            expected_batch_size=batch,
        )
        self._before, self._after, self._unlike = before, after, unlike
        self._steps = 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401  # torch's
        """Make one private step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        given = [one for one in self.params if getattr(one, "grad_sample", None) is not None]
        self._before({_rows(one.grad_sample) for one in given})
        if self._steps.bit_count() < 2 and not all(map(_is_mean, given)):  # at 0, 1, 2, 4, 8 …
            self._unlike()
        for one in self.params:  # a part that the forward pass did without
            if getattr(one, "grad_sample", None) is None:
                one.grad_sample = one.new_zeros((_rows(given[0].grad_sample), *one.shape))
        _drop_infinite([one.grad_sample for one in self.params])
        self.clip_and_accumulate()
        self._finish()
        return loss

    def step_of_noise(self) -> None:
        """Make the step of a batch without records, which is one of noise alone."""
        for one in self.params:
            one.summed_grad = torch.zeros_like(one)
        self._finish()

    def add_noise(self) -> None:
        """Add noise to the sums, in float64, and divide by the expected size of a batch."""
        deviation = self.noise_multiplier * self.max_grad_norm
        for one in self.params:
            noise = torch.from_numpy(normal(one.numel())).to(one.device).view_as(one)
            noised = one.summed_grad.double() + deviation * noise
            one.grad = (noised / self.expected_batch_size).to(one.dtype)

    def _finish(self) -> None:
        self.add_noise()
        self.original_optimizer.step()
        for one in self.params:
            one.grad_sample = one.summed_grad = None
        self._steps += 1
        self._after()


def _rows(gradients: "torch.Tensor | list[torch.Tensor]") -> int:
    """Return by how many records gradients are; of several backward passes, -1."""
    return len(gradients) if isinstance(gradients, torch.Tensor) else -1


def _is_mean(one: Any) -> bool:  # noqa: ANN401  # a parameter, with what Opacus adds to it
    """Tell whether autograd's gradient of a parameter is the mean of those by record."""
    if one.grad is None or not len(one.grad_sample):
        return True
    mean, whole = one.grad_sample.mean(dim=0), one.grad
    most = max(float(mean.norm()), float(whole.norm()))
    return not float((mean - whole).norm()) > _SAME * most + _LEAST


def _drop_infinite(samples: Iterable[torch.Tensor]) -> None:
    """Set the gradients of a record to 0 if one of them is not finite: clipping leaves NaN."""
    listed = list(samples)
    finite = [one.flatten(1).isfinite().all(dim=1) for one in listed]
    good = torch.stack([one.to(finite[0].device) for one in finite]).all(dim=0)
    if not bool(good.all()):
        for one in listed:
            one[~good.to(one.device)] = 0
