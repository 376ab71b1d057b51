"""How much memory containers may take, derived from the size of the model.

Peaks were measured for models of 100 and 324 MB, with Adam and three sites. In multiples of the
model's size, beside 0.1 to 0.4 GB for the libraries: link 7.2, worker 7.1, server 9.5, SuperLink
up to 6. A third is added to that, and to the worker's what data may take that are kept in memory.

The worker's working directory is in memory, too. A checkpoint that holds Adam's state is three
times the model, and the best one stays until a better one is written.
"""

import math
from collections.abc import Mapping

from federator.federation.schema import Federation

_MIB = 2**20
_SITES = 8  # at a time, so that a new site seldom changes the server's limits


def memory(federation: Federation, model_bytes: int) -> Mapping[str, str]:
    """Return what link, worker, its files, server and superlink may take, as Compose reads it."""
    checkpoints = 6 * model_bytes
    sites = _SITES * math.ceil(len(federation.sites) / _SITES)
    derived = {
        "link": _text(512 * _MIB + 10 * model_bytes),
        "worker": _text(4096 * _MIB + 10 * model_bytes + checkpoints),
        "scratch": _text(1024 * _MIB + checkpoints),
        "server": _text(1024 * _MIB + (7 + 2 * sites) * model_bytes),
        "superlink": _text(1024 * _MIB + (2 + 2 * sites) * model_bytes),
    }
    return derived | federation.limits.model_dump(exclude_none=True)


def _text(size: int) -> str:
    """Return a size, rounded up to a quarter of a GiB."""
    quarters = math.ceil(size / (256 * _MIB))
    return f"{quarters * 256}m" if quarters % 4 else f"{quarters // 4}g"
