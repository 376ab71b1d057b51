"""The programs that a run can be exported to."""

from enum import StrEnum


class Target(StrEnum):
    """What a run can be exported to; each has a module of its own."""

    CSV = "csv"
    TENSORBOARD = "tensorboard"
    ROCRATE = "rocrate"
