"""What may leave a site: the link passes on what is listed here, and nothing else.

Weights with the names, shapes and types of the global model's; counts; a loss; the numbers that
the federation file declares; warnings of a fixed table; of a failure its kind, type, file and
line, and the shape of what was found. What this cannot stop are values hidden inside weights or
counts by a hostile notebook: docs/threat-model.md. The server holds what arrives to the same rules:
a site need not run this link.
"""

import builtins
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

from federator.runtime.protocol.evaluation import noise, release
from federator.runtime.protocol.evaluation.labels import DTYPES, FORMS
from federator.runtime.protocol.evaluation.tables import LARGEST, MOST, Tables, rounded
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.notices import SET_NAMES, Notice
from federator.runtime.protocol.outcomes import (
    LIBRARIES,
    OF_LINKS,
    OF_SERVERS,
    PARTS,
    REASONS,
    Evaluation,
    Failure,
    Outcome,
)
from federator.runtime.protocol.privacy.account import PrivacyAccount
from federator.runtime.protocol.privacy.spending import Spending
from federator.runtime.protocol.survey import vet
from federator.runtime.untrusted import printable

SETS = ("trainset", "valset", "testset")
_MOST_EXAMPLES = 10**9
_FILES = frozenset({"task.py", "aggregation.py", "client_app.py"})
_MOST_WARNINGS = 30
_MOST_WORDS = 300  # characters of a link's own words
_LARGEST_SIZE = 2**31  # of a shape's numbers
# An author may name a type after a patient, so only these are told; and the parts' own names.
_TYPES = frozenset(
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
) | {
    "OutOfMemoryError", "AcceleratorError", "LinAlgError", "ParserError", "EmptyDataError",
    "UnidentifiedImageError", *PARTS, *FORMS,
}  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """What a site lets out.

    Attributes:
        task: what the federation predicts: which tables there are.
        metrics: names of further numbers that the federation file declares.
        min_cell_count: smallest count, other than 0, that a table may hold: counts are joined or,
            in a confusion matrix, rounded; of a table of sums, the fewest examples that it may be
            over.
        survey: whether what the data hold is told before training (survey.py).
        loss_digits: significant digits of a loss; 0 for all.
        metric_digits: those of the further numbers.
        sum_digits: those of sums in tables.
        bins: the sets of which tables of bins may leave, such as of scores.
        losses: the sets of which a loss may leave, and the further numbers.
        sums: the sets of which tables of sums may leave, such as of errors.
        noise: under differential privacy, the epsilon of an evaluation by set: of it, only matrices
            of counts leave, with noise; of a set that is not named, nothing. Otherwise None.
        hears_noise: whether an answer may say that noise is in its counts already: the server's
            policy, since a link believes no worker that.
    """

    task: Task
    metrics: frozenset[str] = frozenset()
    min_cell_count: int = 5
    survey: bool = False
    loss_digits: int = 0
    metric_digits: int = 0
    sum_digits: int = 0
    bins: tuple[str, ...] = ("train", "val", "test")
    losses: tuple[str, ...] = ("train", "val", "test")
    sums: tuple[str, ...] = ("train", "val", "test")
    noise: Mapping[str, float] | None = None
    hears_noise: bool = False


def _count(value: object, most: int = MOST) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= most


def _number(value: object, digits: int) -> float:
    """Return a number that may leave, to so many significant digits; 0 for all.

    Raises:
        Failure: if it is none.
    """
    if type(value) is int and abs(value) <= MOST:
        return rounded(float(value), digits)
    if type(value) is not float or not math.isfinite(value):
        raise Failure("withheld", "a loss or metric that is not a finite number")
    if abs(value) > LARGEST:
        raise Failure("withheld", f"a loss or metric beyond {LARGEST:.0e}")
    return rounded(value, digits)


def _tables(value: object, task: Task) -> Tables:
    """Return the tables of a task, each of its declared form; all others are left out."""
    if not isinstance(value, Mapping):
        raise Failure("withheld", "counts")
    given = value
    try:
        return {name: form.read(given[name]) for name, form in task.forms.items() if name in given}
    except ValueError as error:
        raise Failure("withheld", f"counts: {error}") from None


def _evaluation(value: object, name: str, examples: int, policy: Policy) -> Evaluation:
    if not isinstance(value, Mapping):
        raise Failure("withheld", "evaluation")
    tables = _tables(value.get("tables"), policy.task)
    if policy.noise is not None:
        return _noised(tables, examples, policy.task, policy.noise.get(name, 0.0))
    if policy.hears_noise and (said := value.get("noise")) is not None:
        return _said_to_be_noised(tables, examples, policy.task, said)
    try:
        evaluated = counted = policy.task.examples(tables)
    except ValueError as error:
        raise Failure("withheld", str(error)) from None
    if evaluated is None or policy.task.is_partial:
        said = value.get("examples")
        evaluated = said if _count(said, examples) else examples
        if counted is not None and counted > evaluated:
            raise Failure("withheld", "counts of more examples than were evaluated")
    if evaluated > examples:
        raise Failure("withheld", "counts of more examples than the set has")
    metrics = value.get("metrics")
    forms = policy.task.forms
    bins = {key for key in tables if forms[key].coarser and name not in policy.bins}
    kept = {key for key in tables if forms[key].holds_sums and name not in policy.sums}
    tables = {key: one for key, one in tables.items() if key not in bins | kept}
    released = release.release(policy.task, tables, policy.min_cell_count, policy.sum_digits)
    before = value.get("withheld")
    told = before if isinstance(before, list | tuple) else ()
    missing = {name for name in told if isinstance(name, str)} | set(released.withheld) | kept
    if name not in policy.losses:
        missing.add(release.LOSS)
    keeps = release.LOSS in missing
    return Evaluation(
        tables=released.tables,
        loss=None if keeps else _number(value.get("loss"), policy.loss_digits),
        examples=evaluated or examples,
        metrics={
            name: _number(number, policy.metric_digits)
            for name, number in (metrics if isinstance(metrics, Mapping) else {}).items()
            if name in policy.metrics and not keeps
        },
        withheld=tuple(name for name in release.names(policy.task) if name in missing),
        rounded=_rounded(value.get("rounded"), released.tables, policy),
    )


def _noised(tables: Tables, examples: int, task: Task, epsilon: float) -> Evaluation:
    """Return what leaves of an evaluation under differential privacy."""
    released = noise.release(task, tables, epsilon)
    withheld = tuple(name for name in task.forms if name not in released)
    return Evaluation(released, None, examples, {}, withheld, noise=epsilon if released else 0.0)


def _said_to_be_noised(tables: Tables, examples: int, task: Task, epsilon: object) -> Evaluation:
    """Return an evaluation that a site sent so.

    Raises:
        Failure: if its noise is not an epsilon.
    """
    if type(epsilon) not in (int, float) or not 0 <= float(str(epsilon)) <= LARGEST:
        raise Failure("withheld", "noise that is none")
    kept = {name: table for name, table in tables.items() if name in task.matrices}
    withheld = tuple(name for name in task.forms if name not in kept)
    return Evaluation(kept, None, examples, {}, withheld, noise=float(str(epsilon)))


def _rounded(said: object, released: Tables, policy: Policy) -> int:
    """Return by which minimum matrices are rounded: the site's, or as it said; 0 without any.

    Raises:
        Failure: if a count contradicts what it said.
    """
    matrices = [table for name, table in released.items() if policy.task.forms[name].rounded]
    minimum = max(policy.min_cell_count, said if _count(said, _MOST_EXAMPLES) else 0)
    if any(0 < cell < minimum for table in matrices for row in table for cell in row):
        raise Failure("withheld", "counts below the minimum that they are rounded to")
    return minimum if matrices and minimum > 1 else 0


def _warnings(value: object, policy: Policy) -> tuple[Notice, ...]:
    """Return what may leave of warnings, each once; names that are not declared do not."""
    found = value[:_MOST_WARNINGS] if isinstance(value, list | tuple) else []
    notices = (Notice.of(one, policy.metrics) for one in found)
    # An accuracy is a count of the matrix: where that is rounded, it does not leave.
    hidden = ("accuracy",) if policy.min_cell_count > 1 else ()
    told = (
        replace(one, value=None, other=None) if one.code in hidden else one
        for one in notices
        # Under differential privacy, what was found in a set is none of anybody's business.
        if one is not None and not (one.set and policy.noise is not None)
    )
    return tuple(dict.fromkeys(told))


def filter_outcome(answer: Mapping[str, object], sets: tuple[str, ...], policy: Policy) -> Outcome:
    """Return what of an answer may leave, written anew from its checked values.

    Args:
        answer: a worker's, or what a site has made of that.
        sets: those of which an evaluation was asked for; one without examples has none.
        policy: what may leave.

    Raises:
        Failure: ``withheld``, if what must be there is not of its declared form.
    """
    examples = answer.get("examples")
    if not isinstance(examples, Mapping) or not all(
        _count(examples.get(name), _MOST_EXAMPLES) for name in SETS
    ):
        raise Failure("withheld", "number of examples")
    evaluations = answer.get("evaluations")
    found = evaluations if isinstance(evaluations, Mapping) else {}
    return Outcome(
        {name: int(examples[name]) for name in SETS},
        {
            name: _evaluation(found.get(name), name, examples[f"{name}set"], policy)
            for name in sets
            if examples[f"{name}set"]
        },
        _warnings(answer.get("warnings"), policy),
        vet(answer.get("survey"), policy.task, policy.min_cell_count) if policy.survey else None,
        _spending(answer.get("spending")),
        _account(answer.get("privacy")),
    )


def _spending(value: object) -> Spending | None:
    """Return what a training costs in privacy, if anything is said of it.

    Raises:
        Failure: if that is not of its declared form.
    """
    try:
        return None if value is None else Spending.of(value)
    except ValueError as error:
        raise Failure("withheld", f"what a training costs: {error}") from None


def _account(value: object) -> PrivacyAccount | None:
    """Return what a site says that all has cost; a link says it, and never its worker.

    Raises:
        Failure: if that is not of its declared form.
    """
    try:
        return None if value is None else PrivacyAccount.of(value)
    except ValueError as error:
        raise Failure("withheld", f"what was spent in privacy: {error}") from None


def filter_failure(answer: Mapping[str, object], by_link: bool = False) -> Failure:
    """Return what of a failure may leave: kinds out of fixed lists, and few numbers.

    A worker has no words of the link's, nor a site of the server's: those are ``unknown``.

    Args:
        answer: the failure's attributes by name, as they came.
        by_link: whether a link says it, whose own words are short texts.
    """
    reason, kind, file, line = (answer.get(key) for key in ("reason", "type", "file", "line"))
    part, name, dtype, shape = (answer.get(key) for key in ("part", "set", "dtype", "shape"))
    own = isinstance(file, str) and file in _FILES
    sizes = (
        shape
        if isinstance(shape, list | tuple) and all(_count(one, _LARGEST_SIZE) for one in shape)
        else ()
    )
    count = answer.get("count")
    if by_link and reason in OF_LINKS:
        return Failure(str(reason), printable(str(kind), _MOST_WORDS))
    of_workers = isinstance(reason, str) and reason in REASONS.keys() - OF_LINKS - OF_SERVERS
    return Failure(
        str(reason) if of_workers else "unknown",
        kind if isinstance(kind, str) and kind in _TYPES else "an exception of the author's own",
        str(file) if own or (isinstance(file, str) and file in LIBRARIES) else "",
        line if own and type(line) is int and 0 <= line < 100_000 else 0,
        part if isinstance(part, str) and part in PARTS else "",
        name if isinstance(name, str) and name in SET_NAMES else "",
        dtype if isinstance(dtype, str) and dtype in DTYPES else "",
        tuple(map(int, sizes[:5])),
        count if _count(count, _LARGEST_SIZE) else 0,
    )
