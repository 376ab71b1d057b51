"""How many commands each person types, as the documents have them."""

from fixtures.deployed import commands

SITES = 3


def of_coordinator():
    """Return what a coordinator types up to the first results."""
    sections = commands("coordinator.md")
    typed = [*sections["2"], *sections["3"], *sections["4"], *sections["5"], *sections["6"]]
    needed = [one for one in typed if not one.startswith(("federator bundle", "federator verify"))]
    for_each = [one for one in needed if "hospital-a" in one]
    return len(needed) + (SITES - 1) * len(for_each)


def of_site(private=True):
    """Return what a site's operator types until the site takes part.

    Private images need a login, once a machine. Section 4 shows what the survey would tell, and can
    be left out; the first command of section 5 starts the site. Each is typed once: the command of
    section 3 waits for the coordinator (tests/runtime/doctor/test_join.py).
    """
    sections = commands("site-operator.md")
    typed = [*sections["1"], *sections["2"], *sections["3"], sections["5"][0]]
    return [one for one in typed if private or not one.startswith("docker login ")]


def test_a_coordinator_of_three_sites_types_ten_commands_at_most():
    assert of_coordinator() <= 10


def test_a_site_types_five_commands_at_most_and_a_login_where_images_are_private():
    assert len(of_site(private=False)) <= 5
    assert len(of_site()) <= 6
    assert of_site()[-1] == "docker compose up -d"
