"""A finding of the survey, and which of several sites it is of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from federator.runtime.protocol.survey import Survey


@dataclass(frozen=True)
class Finding:
    """Something that is odd in the data of some sites.

    Attributes:
        kind: one of :data:`REMEDIES`.
        sites: whose data it is.
        text: what was found, in figures.
        remedy: what to do about it.
    """

    kind: str
    sites: tuple[str, ...]
    text: str
    remedy: str

    @staticmethod
    def of(kind: str, sites: tuple[str, ...], text: str) -> "Finding":
        """Return a finding with the remedy of its kind."""
        return Finding(kind, sites, text, REMEDIES[kind])

    def __str__(self) -> str:
        return f"{', '.join(self.sites)}: {self.kind}: {self.text}; {self.remedy}"


REMEDIES = {
    "labels swapped": "compare how this site's labels are numbered with `labels` in "
    "federation.yaml, and map them in its data or in load_data; if they agree, its images may be "
    "inverted (DICOM's MONOCHROME1): let load_data invert them",
    "class missing": "ask the site whether its export left the class out, or writes it otherwise; "
    "if it has none, figures of that class are undefined there",
    "scale": "let load_data bring the values into one range, such as by / 255, as a check of the "
    "largest value tells",
    "channel order": "let load_data put the channels into one order, such as by "
    'Image.open(path).convert("RGB"); OpenCV reads BGR',
    "unit": "convert the column into the unit that load_data expects, in this site's export",
    "missing values": "fill missing values in load_data, by one rule for all sites: a loss over "
    "them is not a number",
    "shape": "let load_data return examples of one shape",
    "type": "let load_data return one type, such as by .float()",
    "same data": "ask the sites which of them the records are of; leave them out at the other "
    "one, and never test on what was trained on",
    "same data within": "deal the records out to the sets anew, each patient to one set: the test "
    "would be of what was trained on",
}

Compare = Callable[[Survey, Survey], str | None]
"""What is odd in the first survey beside the second, in words: empty if nothing is, None if they
cannot be compared."""


def odd_ones(kind: str, surveys: Mapping[str, Survey], compare: Compare) -> list[Finding]:
    """Compare each two sites; find those that differ from most of the others.

    Where that does not tell who is odd (there are two sites, or as many on either side), one
    finding is of all that differ.

    Args:
        kind: of the findings.
        surveys: by site.
        compare: tells how one differs from another.
    """
    odd = {}
    for site, own in surveys.items():
        others = {name: compare(own, one) for name, one in surveys.items() if name != site}
        compared = {name: text for name, text in others.items() if text is not None}
        found = {name: text for name, text in compared.items() if text}
        if len(found) > len(compared) / 2:
            odd[site] = found
    sided = any(set(found) & odd.keys() for found in odd.values())
    if sided:
        first = next(iter(odd))
        other, text = next(iter(odd[first].items()))
        return [Finding.of(kind, tuple(odd), f"at {first} {text} (at {other})")]
    return [Finding.of(kind, (site,), next(iter(found.values()))) for site, found in odd.items()]
