"""The memory limits of the containers, derived from the size of the model.

The factors below come from measured peaks, for models of 100 and 324 MB with Adam and three sites.
In multiples of the model's size, and besides 0.1 to 0.4 GB for the libraries, these were: link
7.2, worker 7.1, server 9.5, SuperLink up to 6. Each limit is a third above its peak. The worker's
limit also leaves room for data that the author's code keeps in memory. A strategy of the author's
own holds each update three times: as it comes, as Flower's array, and as numpy's.

The worker's working directory is in memory, too. A checkpoint with Adam's state has three times
the model's size, and the best one stays until a better one is written: six times in all.
"""

import math
from collections.abc import Mapping

from federator.federation.schema import Federation

_MIB = 2**20
_SITES = 8  # the number of sites is rounded up to a multiple, so a new site seldom changes limits


def memory(federation: Federation, model_bytes: int) -> Mapping[str, str]:
    """Return the limits of link, worker, its scratch files, server and its parts, for Compose."""
    checkpoints = 6 * model_bytes
    sites = _SITES * math.ceil(len(federation.sites) / _SITES)
    derived = {
        "link": _text(512 * _MIB + 10 * model_bytes),
        "worker": _text(4096 * _MIB + 10 * model_bytes + checkpoints),
        "scratch": _text(1024 * _MIB + checkpoints),
        "server": _text(1024 * _MIB + (7 + 2 * sites) * model_bytes),
        "strategy": _text(1024 * _MIB + (7 + 3 * sites) * model_bytes),
        "superlink": _text(1024 * _MIB + (2 + 2 * sites) * model_bytes),
    }
    return derived | federation.limits.model_dump(exclude_none=True)


def _text(size: int) -> str:
    """Return a size, rounded up to a quarter of a GiB."""
    quarters = math.ceil(size / (256 * _MIB))
    return f"{quarters * 256}m" if quarters % 4 else f"{quarters // 4}g"
