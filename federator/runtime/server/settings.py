"""The settings of a federation's server; they are no part of the app, so no site reviews them.

Adding a site or moving a deadline changes nothing that a site has approved.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from federator.runtime import files

ENVIRONMENT = "FEDERATOR_SETTINGS"
FIRST_MODEL = "/initial/model.safetensors"
"""Where the server's container finds the first model."""


@dataclass(frozen=True)
class ServerSettings:
    """Settings of the server, kept as a JSON file named in the environment.

    Attributes:
        federation: the federation's name.
        run: the folder of the run's results; a run that has checkpoints there is continued.
        sites: names of the sites to wait for; empty where any node may join (``flwr run``).
        quorum: how many of them must deliver for a round to count.
        join_deadline: seconds to wait for the sites at the start.
        round_deadline: seconds to wait for a round's updates.
        pause: seconds to wait where fewer sites than the quorum are there; 0 for none.
        measured: how many times the slowest site's time so far to wait, if that is less; or None.
        baselines: whether each site is also trained alone, for comparison.
        survey: ``no``, ``yes``, ``required`` (no round while anything is found) or ``only`` (none).
        local_only: whether this is one machine, where a node may say which site it is.
        signer: the socket of the coordinator's signer; None where no link checks.
        site_keys: folder of the sites' public keys, SITE.pub; None where sites give no receipts.
        by: who ordered the run.
        initial_weights: safetensors file of the first model.
        encoding: how weights travel in rounds of training, one of those in encoding.py.
        norm_bound: how long an update may be, as a multiple of the median norm; None: any length.
        max_share: the largest share of the mean that a site may have; None: any.
        site_privacy: clip, noise and delta of site-level differential privacy; None without it.
        strategy: ``plain``, or ``own`` if it is code of the author's.
        strategy_socket: where the process of that connects.
        messages: sites whose weights go in messages, though they could travel as files.
        store: the folder in which weights wait and arrive as files; None if no link reaches it.
        source_map: where the converter wrote which cell each generated line came from.
        publish_model: whether the model may leave the server by the workflow "rounds".
        publish_sites: whether figures of single sites may.
        checkpoints_kept: for how many days checkpoints are, after a run's end; None for ever.
        results_kept: for how many days the whole run is.
        warnings: of keys and certificates that end soon, for the journal.
        notify: whom to tell what happens (runtime/notify/settings.py); empty for nobody.
    """

    federation: str
    run: str
    sites: tuple[str, ...] = ()
    quorum: int = 1
    join_deadline: float = 300.0
    round_deadline: float = 3600.0
    pause: float = 0.0
    measured: float | None = None
    baselines: bool = False
    survey: str = "no"
    local_only: bool = True
    signer: str | None = None
    site_keys: str | None = None
    by: str = ""
    initial_weights: str | None = None
    encoding: str = "float32"
    norm_bound: float | None = None
    max_share: float | None = None
    site_privacy: dict[str, float] | None = None
    strategy: str = "plain"
    strategy_socket: str | None = None
    messages: Sequence[str] = ()
    store: str | None = None
    source_map: str | None = None
    publish_model: bool = False
    publish_sites: bool = False
    warnings: Sequence[str] = ()
    checkpoints_kept: int | None = None
    results_kept: int | None = None
    notify: str = ""

    def write(self, path: Path) -> None:
        """Write the settings to a file."""
        files.write(path, json.dumps(asdict(self), indent=2) + "\n")

    @staticmethod
    def read(federation: str, run_id: int) -> "ServerSettings":
        """Return the settings that the environment names, or those of a bare ``flwr run``."""
        if (path := os.environ.get(ENVIRONMENT)) is None:
            return ServerSettings(federation, str(Path("results", federation, str(run_id))))
        fields = json.loads(Path(path).read_text())
        return ServerSettings(**{**fields, "sites": tuple(fields["sites"])})
