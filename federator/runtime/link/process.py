"""The process of a site's link: its options, and the connection, which is made again when lost."""

import argparse
import logging
import signal as signals
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

from federator.errors import InputError, Problem, Where
from federator.runtime.keys import expiry
from federator.runtime.keys.coordinator_key import CoordinatorKey, read_keys
from federator.runtime.keys.site_key import read_private
from federator.runtime.link.admission import ConnectionRefused
from federator.runtime.link.fleet import Fleet, Unreadable, connect
from federator.runtime.link.followed import Followed
from federator.runtime.link.gateway import Folder, Gateway
from federator.runtime.link.link import Link
from federator.runtime.link.policy.guard import PolicyGuard
from federator.runtime.link.policy.ledger import Ledger
from federator.runtime.link.policy.reading import read as read_policy
from federator.runtime.link.policy.rules import Rules
from federator.runtime.link.polling import NotificationCounter
from federator.runtime.link.privacy import opening as privacy
from federator.runtime.link.records.record import Record, Unrecorded
from federator.runtime.link.secure_aggregation.cohort import Cohort
from federator.runtime.link.secure_aggregation.masking import SiteMasks, Unmasked
from federator.runtime.link.secure_aggregation.revealed import Revealed
from federator.runtime.link.transfer import PartTransfer
from federator.runtime.options import Parser, begin_log, file, trusted
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.evaluation.tasks import NAMES, Task
from federator.runtime.protocol.handover import WorkerListener
from federator.runtime.weights.local_tensors import LocalTensors

log = logging.getLogger("federator")

# A site that was suspended or cut off for so many seconds may count as lost at the server, until
# that hears of it.
_GAP = 10.0
_HEARD = 5.0  # seconds after which a notification counter counts as unreadable


def serve(link: Link, fleet: Fleet) -> None:
    """Answer the server's messages, and ask for them when the notification counter says so."""
    pace, notifications, due = link.pace, link.notifications, time.monotonic()
    while True:
        polls, began = notifications.should_poll(pace.patience), time.monotonic()
        message, reply = None, None
        try:
            message = fleet.receive() if polls else None
        except Unreadable as error:
            message, reply = error.head, link.refuse(error.head)
        now = time.monotonic()
        if polls:
            notifications.polled(message is not None)
        if now - due > _GAP:
            fleet.heartbeat()
            began = now  # the server was not busy
        if message is not None:
            if reply is None and (run := fleet.run(message.metadata.run_id)) is not None:
                reply = link.answer(message, run, fleet.node_id)
            due = time.monotonic()
            pace.answered(due - now)
            if reply is not None:
                fleet.reply(reply, due - now)
        else:
            pause = pace.unchanged() if notifications.readable else pace.found_nothing(now - began)
            due = now + pause
            time.sleep(pause)


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main(arguments: list[str] | None = None) -> int:
    """Run a link until it is stopped; a lost connection is made again."""
    options = _options(arguments)
    begin_log()
    signals.signal(signals.SIGTERM, _stop)
    keys, authorities = _coordinator(options), trusted(options.ca, options.extra_ca)
    if not options.insecure:
        expiry.watch(partial(expiry.at_site, keys, options.ca, authorities, options.server))
    transfer, notifications = None, NotificationCounter()
    if options.store is not None:
        folder = Folder(options.store)
        transfer, notifications = PartTransfer(folder), NotificationCounter(folder)
    elif not options.insecure:
        context = ssl.create_default_context(cafile=authorities)
        transfer = PartTransfer(Gateway(options.server, context))
        notifications = NotificationCounter(Gateway(options.server, context, silence=_HEARD))
    noted = options.followed or (options.key and options.key.with_suffix(".followed"))
    rules, metrics = read_policy(options.policy), frozenset(options.metrics)
    task = Task(options.task, options.labels)
    allowed = Policy(task, metrics, options.min_cell_count, options.survey)
    ledger = Ledger(options.key and options.key.with_suffix(".asked"))
    private = privacy.budget(options.privacy, rules.privacy, options.records, options.key)
    link = Link(
        site=options.site,
        app_hash=options.app_hash,
        coordinator=keys,
        policy=disclosure(allowed, rules, private.noise),
        baselines=options.baselines,
        listener=WorkerListener(options.socket),
        local=LocalTensors(tuple(options.local)),
        transfer=transfer,
        notifications=notifications,
        followed=_followed(noted),
        guard=PolicyGuard(rules, ledger, options.strategy == "own"),
        budget=private,
        record=_record(options),
        masks=_masks(options),
    )
    pause = 1.0
    while True:
        try:
            with connect(options.server, authorities, options.key, None, options.insecure) as fleet:
                log.info("site %s is connected to %s", options.site, options.server)
                notifications.subscribe("")  # it may be another node from now on
                pause = 1.0
                serve(link, fleet)
        except InputError:
            raise
        except Exception as error:
            log.error(
                "%s: next try in %.0f s",
                error,
                pause,
                exc_info=not isinstance(error, ConnectionRefused),
            )
            time.sleep(pause)
            pause = min(2 * pause, 60.0)


def disclosure(policy: Policy, rules: Rules, noise: Mapping[str, float] | None = None) -> Policy:
    """Return what may leave, by the site's settings and its own policy too; of public data, exact.

    Args:
        policy: by the settings.
        rules: of the site's policy.
        noise: by set, the epsilon of an evaluation; None without differential privacy. With it,
            there is no survey, whose counts have no noise.
    """
    minimum = max(policy.min_cell_count, rules.min_cell_count)
    policy = replace(
        policy,
        min_cell_count=minimum,
        survey=policy.survey and rules.survey and noise is None,
        losses=_losses(policy, rules, minimum),
        sums=rules.sums,
        noise=noise,
    )
    if not rules.rounds_off(minimum):
        return policy
    return replace(
        policy,
        loss_digits=rules.loss_digits,
        metric_digits=rules.metric_digits,
        sum_digits=rules.sum_digits,
        bins=rules.bins,
    )


def _losses(policy: Policy, rules: Rules, minimum: int) -> tuple[str, ...]:
    """Return the sets of which a loss leaves.

    A model can be made so that one patient decides a loss. So none leaves by default where
    confusion matrices, of which rounding hides a patient, tell how good a model is.
    """
    if rules.losses is not None:
        return rules.losses
    return () if policy.task.matrices and rules.rounds_off(minimum) else policy.losses


def _coordinator(options: argparse.Namespace) -> tuple[CoordinatorKey, ...]:
    """Return the coordinator's keys; none are needed on one machine only.

    Raises:
        InputError: if there are none, or one is no key.
    """
    if options.insecure and not options.coordinator_key:
        return ()
    return read_keys(options.coordinator_key)


def _followed(file: Path | None) -> Followed:
    """Return what remembers instructions in a file.

    Raises:
        InputError: if it cannot be written.
    """
    try:
        return Followed(file)
    except OSError as error:
        what = f"what was followed cannot be noted: {error.strerror}"
        hint = "the folder of the site's key must be writable"
        raise InputError(Problem(what, Where(str(file)), hint)) from None


def _record(options: argparse.Namespace) -> Unrecorded:
    """Return the site's record, if it has a folder for it.

    Raises:
        InputError: if it cannot be read or written, or there is no key to sign it with.
    """
    if options.records is None:
        return Unrecorded()
    place = options.record_key or options.key
    if place is None:
        raise InputError("a record is signed with the site's key: --key names it")
    try:
        return Record(
            options.site,
            read_private(place),
            options.coordinator_key,
            options.records,
            place.with_suffix(".recorded"),
        )
    except OSError as error:
        what = f"what leaves cannot be recorded: {error.strerror}"
        hint = "the folder of the site's record must be writable"
        raise InputError(Problem(what, Where(str(options.records)), hint)) from None


def _masks(options: argparse.Namespace) -> Unmasked:
    """Return what masks updates, if the site's file has a cohort for secure aggregation.

    Raises:
        InputError: if the cohort has another form, there is no key of the site's, or what it
            revealed before cannot be read.
    """
    if options.cohort_minimum is None:
        return Unmasked()
    place = options.record_key or options.key
    if place is None:
        raise InputError("secure aggregation needs the site's key: --key names it")
    return SiteMasks(
        options.site,
        read_private(place),
        options.app_hash,
        Cohort.read(options.cohort, options.cohort_minimum),
        Revealed(place.with_suffix(".revealed")),
    )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="federator-link", description=__doc__)
    add = parser.add_argument
    add("--server", required=True, help="host:port of the server")
    add("--ca", type=file, help="whom to trust (PEM); without: the system's certificates")
    add("--extra-ca", type=Path, help="whom to trust as well (PEM), such as a proxy of the site's")
    add("--insecure", action="store_true", help="no encryption, on one machine only")
    add("--store", type=Path, help="the server's store of weights, on one machine only")
    add("--key", type=Path, help="the site's private key (OpenSSH, EC P-384)")
    add("--followed", type=Path, help="where to note what was followed; without: beside the key")
    add("--records", type=Path, help="the folder of the site's record; without: there is none")
    add("--record-key", type=Path, help="with which the record is signed; without: the site's")
    add("--site", required=True, help="the site's name")
    add("--app-hash", required=True, help="SHA-256 of the app that this site took")
    add("--coordinator-key", nargs="*", default=[],
        help="the coordinator's public keys, one or two, as ID:LAST_DAY:KEY")  # fmt: skip
    add("--cohort-minimum", type=int,
        help="secure aggregation: of how many sites at least a sum may be known")  # fmt: skip
    add("--cohort", nargs="*", default=[], help="these sites' public keys, as SITE:KEY")
    add("--socket", type=Path, required=True, help="where the worker connects")
    add("--task", choices=NAMES, default="classification", help="what is predicted")
    add("--labels", type=int, required=True, help="number of labels, classes or targets")
    add("--metrics", nargs="*", default=[], help="further numbers that may leave")
    add("--local", nargs="*", default=[], help="names (patterns) of tensors that stay at the site")
    add("--min-cell-count", type=int, default=5, help="smallest count that may leave")
    add("--survey", action="store_true", help="tell of the data, in counts, before training")
    add("--baselines", action="store_true", help="take part in the comparison of single sites")
    add("--policy", type=Path, help="the site's own policy, policy.yaml; without: the defaults")
    add("--privacy", default="", help="differential privacy, as epsilon=… delta=… clip=… noise=…")
    add("--strategy", default="plain", help="own: the app's strategy has code of its own")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
