"""Sites' data folders of CSV files: their records dealt out to sets, and written."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd

Sets = dict[str, pd.DataFrame]  # train, val and test

TRAIN, VAL = 0.4, 0.2  # shares of a site's records; the rest is its test set


def deal(records: pd.DataFrame, seed: int) -> Sets:
    """Shuffle a site's records and return its three sets. Every record is in exactly one."""
    shuffled = records.sample(frac=1, random_state=seed)
    first, second = round(TRAIN * len(records)), round((TRAIN + VAL) * len(records))
    return {
        "train": shuffled.iloc[:first],
        "val": shuffled.iloc[first:second],
        "test": shuffled.iloc[second:],
    }


def write(folder: Path, sites: dict[str, Sets], describe: Callable[[pd.DataFrame], str]) -> None:
    """Write one CSV file for each set of each site, and of all sites together (``pooled``).

    Args:
        folder: gets a folder for each site.
        sites: the sets of each site.
        describe: what to print of all records of a site.
    """
    names = next(iter(sites.values()))
    pooled = {name: pd.concat([sets[name] for sets in sites.values()]) for name in names}
    for site, sets in {**sites, "pooled": pooled}.items():
        (folder / site).mkdir(parents=True, exist_ok=True)
        for name, records in sets.items():
            records.to_csv(folder / site / f"{name}.csv", index=False, lineterminator="\n")
        sizes = ", ".join(f"{name} {len(records)}" for name, records in sets.items())
        print(f"{folder / site}: {sizes}; {describe(pd.concat(list(sets.values())))}")


def options(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line of a script that lays out folders: ``folder`` and ``seed``."""
    parser = argparse.ArgumentParser(description="Lay out the sites' data folders.")
    parser.add_argument("folder", type=Path, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split (default: 0)")
    return parser.parse_args(argv)
