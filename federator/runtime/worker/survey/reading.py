"""A site's loaders read for the survey: each set once, so many examples, so many seconds."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.survey import Survey
from federator.runtime.untrusted import MALFORMED
from federator.runtime.worker.author_code import reporting_failures, seed_all
from federator.runtime.worker.survey.batches import examples_in
from federator.runtime.worker.survey.counting import Counter

log = logging.getLogger("federator")

# A site answers when its data are loaded and its model has been tried, which takes seconds, too.
SECONDS = 10.0
_END = object()
MOST = 5_000  # examples of a set; of each, 4 kB are held at most (512 figures by label)


def take_survey(
    loaders: Mapping[str, object],
    examples: Mapping[str, int],
    task: Task,
    salt: bytes,
    seconds: float = SECONDS,
) -> Survey:
    """Read a site's sets and count what they hold; what is not read is told.

    Args:
        loaders: by set; those of sets with examples.
        examples: of each set, as ``load_data`` says.
        task: the federation's.
        salt: of the records' hashes.
        seconds: for all sets; one batch more may be read of each.

    Raises:
        Failure: if the author's code fails while a loader is read.
    """
    counter, partial, ends = Counter(task), [], time.monotonic() + seconds
    for done, (part, loader) in enumerate(loaders.items()):
        seed_all(0, part)
        until = time.monotonic() + (ends - time.monotonic()) / (len(loaders) - done)
        with _unchanged(loader):
            for batch in _batches(loader):
                try:
                    count = counter.take(part, examples_in(batch, task, salt))
                except MALFORMED:
                    log.info("survey: a batch of the %s set cannot be taken apart", part)
                    break
                if count >= MOST or time.monotonic() > until:
                    break
        if counter.count(part) < examples[part]:
            partial.append(part)
    log.info("survey: read %s", {part: counter.count(part) for part in loaders})
    return counter.survey(tuple(partial))


def _batches(loader: object) -> Iterator[object]:
    batches: Iterator[object] | None = None
    while True:
        with reporting_failures(part="load_data"):
            batches = iter(loader) if batches is None else batches  # type: ignore[call-overload]
            batch = next(batches, _END)
        if batch is _END:
            return
        yield batch


@contextmanager
def _unchanged(loader: object) -> Iterator[None]:
    """Leave a loader's own generators of random numbers as they were: training goes on with them.

    So a model is the same with and without a survey.
    """
    owners = (loader, getattr(loader, "sampler", None))
    found = [getattr(one, "generator", None) for one in owners]
    states = [
        (one, one.get_state()) for one in found if one is not None and hasattr(one, "set_state")
    ]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)
