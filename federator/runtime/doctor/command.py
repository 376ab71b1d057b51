"""The doctor's command: a line for each check, and what to do where it fails.

In the service ``link`` it looks at the network, in ``worker`` at the data, so that the two never
meet. Nothing that it finds out leaves the site.
"""

import argparse
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from federator.errors import FederatorError, InputError
from federator.runtime.doctor.finding import Finding
from federator.runtime.keys import site_key
from federator.runtime.keys.coordinator_key import read_keys
from federator.runtime.options import Parser, file, trusted
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.outcomes import Failure

if TYPE_CHECKING:
    from federator.runtime.doctor.data import Leaving


def main(arguments: list[str] | None = None) -> int:
    """Look for what is in the way at this site; 1 if anything is."""
    parser = options_of("doctor", main.__doc__)
    parser.add_argument(
        "--show-survey", action="store_true", help="only print all that the survey would send"
    )
    options = parser.parse_args(arguments)
    if options.show_survey:
        return _show_survey(options)
    if options.server is None and options.data is None:
        raise FederatorError("nothing to look at: give --server, --data or both")
    passed = True
    for look in (of_network, of_data):
        for finding in look(options):
            print(finding, flush=True)
            passed &= finding.passed
    return 0 if passed else 1


def options_of(program: str, description: str | None, needed: str = "") -> Parser:
    """Return the options of what a site lacks: of its network, of its data, or of both.

    Args:
        program: the command's name.
        description: what it does.
        needed: ``server`` or ``data``, if the command is about nothing else.
    """
    parser = Parser(prog=program, description=description)
    add = parser.add_argument
    add(
        "--server", required=needed == "server", help="host:port of the server: look at the network"
    )
    add("--ca", type=file, help="whom to trust (PEM); without: the system's certificates")
    add("--extra-ca", type=Path, help="whom to trust as well (PEM)")
    add("--key", type=Path, default=site_key.PLACE, help="this site's private key")
    add("--coordinator-key", nargs="*", default=[], help="the coordinator's public keys")
    add("--data", type=Path, required=needed == "data", help="the data folder: look at the data")
    add("--app", type=Path, default=Path("/app"), help="folder of the Flower App")
    add("--site", default="site", help="this site's name")
    add("--data-user", default="", help="as whom the worker reads the data: USER:GROUP, or USER")
    add("--policy", type=Path, help="the site's own policy, policy.yaml")
    add("--records", type=Path, help="the folder of the site's record and privacy ledger")
    add("--privacy", default="", help="the federation's differential privacy; empty for none")
    add("--min-cell-count", type=int, default=5, help="smallest count, other than 0, that leaves")
    add("--survey", action="store_true", help="whether this site takes part in the survey")
    add("--cohort-minimum", type=int, help="of how many sites at least a sum may be known")
    add("--cohort", nargs="*", default=[], help="these sites' public keys")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    return parser


def of_network(
    options: argparse.Namespace, again: Callable[[], bool] = lambda: False
) -> Iterator[Finding]:
    """Look at all that is not the data: the site's policy and key, the way to the server.

    Args:
        options: those of :func:`options_of`; without a server there is nothing to look at.
        again: says whether to ask the server once more, which does not know this site's key.
    """
    if options.server is None:
        return
    from federator.runtime.doctor import network

    if options.data_user:
        yield _data_user(options.data_user)
    yield _policy(options.policy, options.key.with_suffix(".asked"))
    yield from _privacy(options.privacy, options.policy, options.records, options.key)
    if options.cohort_minimum is not None:
        yield _cohort(options)
    authorities = trusted(options.ca, options.extra_ca)
    known = read_keys(options.coordinator_key) if options.coordinator_key else ()
    yield from network.look(options.server, authorities, options.key, known, again)


def of_data(options: argparse.Namespace, errors: str = "the lines above") -> Iterator[Finding]:
    """Look at the data, and at the machine that computes on them.

    Args:
        options: those of :func:`options_of`; without a data folder there is nothing to look at.
        errors: where the full text of an error of the author's code is.
    """
    if options.data is None:
        return
    from federator.runtime.doctor import data

    folders = (options.data.resolve(), options.app.resolve())
    yield from data.look(*folders, options.site, _leaving(options), errors)


def _show_survey(options: argparse.Namespace) -> int:
    """Print what the survey would send: each attribute, and each table, in a line."""
    from federator.runtime.doctor import data

    if options.data is None:
        raise FederatorError("nothing to look at: give --data")
    folders = (options.data.resolve(), options.app.resolve())
    try:
        told = data.survey(*folders, options.site, _leaving(options))
    except Failure as failure:
        raise FederatorError(f"the data cannot be loaded: {failure}") from None
    if told is None:
        print("This site sends nothing of its data before training.")
        return 0
    for name, value in asdict(told).items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for key, one in rows:
            print(f"{name} {key}".rstrip() + f": {json.dumps(one)}")
    return 0


def _leaving(options: argparse.Namespace) -> "Leaving":
    """Return what may leave, by this site's settings and its own policy."""
    from federator.runtime.link.policy.reading import read
    from federator.runtime.link.process import disclosure

    rules = read(options.policy)
    minimum, told = options.min_cell_count, options.survey
    return lambda task: disclosure(Policy(task, min_cell_count=minimum, survey=told), rules)


def _policy(policy: Path | None, account: Path) -> Finding:
    """Look at the site's policy, and at how much of it is used."""
    from federator.runtime.link.policy.ledger import Ledger
    from federator.runtime.link.policy.reading import read
    from federator.runtime.link.policy.rules import used

    try:
        rules, ledger = read(policy), Ledger.look(account)
    except InputError as error:
        return _failed(error)
    return Finding(True, f"this site's policy holds; of its budget are used {used(rules, ledger)}")


def _privacy(
    written: str, policy: Path | None, records: Path | None, key: Path
) -> Iterator[Finding]:
    """Look at how much of the privacy budget is spent; nothing where there is none."""
    from federator.runtime.link.policy.reading import read
    from federator.runtime.link.privacy import opening

    try:
        rule = read(policy).privacy
    except InputError:  # which is told where the policy is looked at
        return
    try:
        said = opening.said(written, rule, records, key)
    except InputError as error:
        yield _failed(error)
        return
    if said:
        yield Finding(True, f"of the privacy budget of this data folder are spent {said}")


def _cohort(options: argparse.Namespace) -> Finding:
    """Look at the cohort of secure aggregation: enough sites, this one with its own key."""
    from federator.runtime.link.secure_aggregation.cohort import Cohort

    ask = "ask the coordinator for a new file"
    try:
        cohort = Cohort.read(options.cohort, options.cohort_minimum)
        own = site_key.read_private(options.key).public_key()
    except InputError as error:
        return _failed(error, ask)
    names = ", ".join(sorted(cohort.keys)) or "none"
    told = f"secure aggregation: sums of {cohort.minimum} sites at least, of these: {names}"
    if len(cohort.keys) < cohort.minimum:
        return Finding(False, f"{told}; that is too few", ask)
    if cohort.keys.get(options.site) != own:
        return Finding(False, f"{told}; the key of {options.site} there is not this site's", ask)
    return Finding(True, told)


def _failed(error: InputError, hint: str = "") -> Finding:
    """Return the first problem of an error as a finding."""
    first = error.problems[0]
    place = f"{first.where}: " if first.where else ""
    return Finding(False, f"{place}{first.message}", first.hint or hint)


def _data_user(user: str) -> Finding:
    """Look at DATA_USER: of a name Docker says something else, before there is a worker."""
    remedy = "the image knows no names: write numbers, those that `id -u` and `id -g` print"
    passed = re.fullmatch(r"\d+(:\d+)?", user, re.ASCII) is not None
    return Finding(passed, f"the worker runs as user {user} (DATA_USER)", remedy)
