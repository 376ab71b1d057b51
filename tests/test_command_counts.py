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


def of_site():
    """Return what a site's operator types until the site takes part."""
    sections = commands("site-operator.md")
    typed = [one for number in "1234" for one in sections[number] if "--show-survey" not in one]
    return len(typed) + 1  # and the first command of section 5 starts it


def test_a_coordinator_of_three_sites_types_ten_commands_at_most():
    assert of_coordinator() <= 10


def test_a_site_types_no_more_commands_than_before():
    assert of_site() <= 8
    assert commands("site-operator.md")["5"][0] == "docker compose up -d"
