"""What secure aggregation excludes in a federation file: refused in words, with the line."""

from pathlib import Path

import pytest
from fixtures.federation_file import write

from federator.errors import FederationFileError
from federator.federation import settings
from federator.federation.schema import read
from federator.federation.sums import refuse_baselines

THREE = "notebook: notebook.ipynb\nsites: [{name: east}, {name: north}, {name: west}]\n"
WANTED = "secure_aggregation: true\n"


def test_it_is_off_unless_it_is_asked_for(folder: Path) -> None:
    write(folder, THREE)
    off = read(folder)
    assert settings.server(off)["encoding"] == "float32"
    assert settings.link(off, off.sites[0])["FEDERATOR_COHORT_MINIMUM"] == ""
    write(folder, THREE + WANTED)
    on = read(folder)
    assert settings.server(on)["encoding"] == "masked"
    assert settings.link(on, on.sites[0])["FEDERATOR_COHORT_MINIMUM"] == "3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (THREE.replace(", {name: west}", ""), "needs 3 sites at least, not 2"),
        (THREE + "min_sites: 2\n", "needs min_sites of 3 at least, not 2"),
        (THREE + "min_sites: 50%\n", "needs min_sites of 3 at least, not 2"),
        (THREE + "baselines: true\n", "does not go with baselines"),
        (THREE + "encoding: int8\n", "does not go with encoding"),
        (THREE + "strategy: own\n", "does not go with strategy: own"),
        (THREE + "robust: {norm_bound: 2}\n", "does not go with robust: norm_bound"),
        (THREE + "robust: {max_share: 0.5}\n", "does not go with robust: max_share"),
        (
            THREE + "site_privacy: {clip: 1.0, noise: 1.0, delta: 0.00001}\n",
            "does not go with site_privacy",
        ),
    ],
)
def test_what_it_excludes_is_told_with_the_line(folder: Path, text: str, said: str) -> None:
    write(folder, text + WANTED)
    with pytest.raises(FederationFileError) as told:
        read(folder)
    (problem,) = told.value.problems
    assert f"secure_aggregation {said}" in str(problem) and problem.hint
    assert problem.where is not None and problem.where.line == text.count("\n") + 1


def test_models_of_which_a_part_stays_at_the_site_are_no_exception(folder: Path) -> None:
    """Only shared tensors are sent, and they are masked as all others."""
    for more in ('local: ["head.*"]\n', "personal: ditto\n"):
        write(folder, THREE + WANTED + more)
        assert read(folder).secure_aggregation


def test_baselines_on_the_command_line_are_refused() -> None:
    refuse_baselines(secure_aggregation=True, baselines=False)
    refuse_baselines(secure_aggregation=False, baselines=True)
    with pytest.raises(FederationFileError, match="does not go with baselines"):
        refuse_baselines(secure_aggregation=True, baselines=True)
