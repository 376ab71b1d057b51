"""Lay out scikit-learn's breast cancer records as the data folders of three hospitals.

    python notebooks/breast_cancer_sites.py data/breast-cancer [--seed N]

writes FOLDER/<hospital>/train.csv, val.csv and test.csv, and the same for ``pooled``, which holds
what no hospital could see: the records of all three. The rule is told in breast_cancer.ipynb.
"""

import numpy as np
import pandas as pd
import site_tables
from sklearn.datasets import load_breast_cancer

# Records of each class at each hospital; together they are all 357 and 212.
SITES = {
    "hospital-a": {"benign": 210, "malignant": 74},
    "hospital-b": {"benign": 102, "malignant": 69},
    "hospital-c": {"benign": 45, "malignant": 69},
}
# Share of the records of each class at a hospital; the rest is its test set.
TRAIN = VAL = 0.2


def split(seed: int) -> dict[str, dict[str, pd.DataFrame]]:
    """Return the records of each hospital's train, val and test sets.

    A record is its diagnosis and the 30 measurements. Every record is in exactly one set.
    """
    source = load_breast_cancer(as_frame=True)
    records = source.data.copy()
    records.insert(0, "diagnosis", source.target_names[source.target])
    rng = np.random.default_rng(seed)
    shuffled = {
        label: records[records["diagnosis"] == label].sample(frac=1, random_state=rng)
        for label in ("benign", "malignant")
    }
    taken = dict.fromkeys(shuffled, 0)
    sites = {}
    for site, numbers in SITES.items():
        sets: dict[str, list[pd.DataFrame]] = {"train": [], "val": [], "test": []}
        for label, number in numbers.items():
            own = shuffled[label].iloc[taken[label] : taken[label] + number]
            taken[label] += number
            first, second = round(TRAIN * number), round((TRAIN + VAL) * number)
            sets["train"].append(own.iloc[:first])
            sets["val"].append(own.iloc[first:second])
            sets["test"].append(own.iloc[second:])
        sites[site] = {name: pd.concat(parts).sort_index() for name, parts in sets.items()}
    return sites


def describe(records: pd.DataFrame) -> str:
    """Return the share of malignant records."""
    return f"{records['diagnosis'].eq('malignant').mean():.0%} malignant"


def main(argv: list[str] | None = None) -> None:
    """Lay out the folders."""
    options = site_tables.options(argv)
    site_tables.write(options.folder, split(options.seed), describe)


if __name__ == "__main__":
    main()
