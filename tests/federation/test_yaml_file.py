import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from federator.federation.yaml_file import did_you_mean, load, shown


class Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    size: int = Field(description="In metres.")


class Whole(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    code: str = Field(pattern="^[a-z]$", description="One letter.")
    parts: list[Part] = Field([], description="What it is made of.")
    sizes: dict[str, int] = Field({}, description="By name.")


PATTERNS = {"^[a-z]$": "must be a letter, not {given}"}


def problems(tmp_path: Path, text: str) -> list[tuple[str, str | None]]:
    (tmp_path / "whole.yaml").write_text(text)
    _, found = load(tmp_path / "whole.yaml", Whole, PATTERNS)
    return [(f"{problem.where}: {problem.message}", problem.hint) for problem in found]


def test_what_fits_becomes_a_model(tmp_path: Path) -> None:
    (tmp_path / "whole.yaml").write_text("code: a\nparts: [size: 3]\n")
    whole, found = load(tmp_path / "whole.yaml", Whole, PATTERNS)
    assert whole == Whole(code="a", parts=[Part(size=3)])
    assert found == []


def test_the_hint_describes_the_field(tmp_path: Path) -> None:
    assert problems(tmp_path, "parts:\n- size: x\n- y\nsizes:\n  code: z\ncode: AB\n") == [
        ('whole.yaml: line 2: parts.size must be a whole number, not "x"', "In metres."),
        (
            'whole.yaml: line 3: parts must be a mapping (key: value), not "y"',
            "What it is made of.",
        ),
        ('whole.yaml: line 5: sizes.code must be a whole number, not "z"', "By name."),
        ('whole.yaml: line 6: code must be a letter, not "AB"', "One letter."),
    ]


def test_the_known_keys_are_those_of_the_same_part(tmp_path: Path) -> None:
    assert problems(tmp_path, "code: a\nparts:\n- size: 1\n  colour: red\n") == [
        ("whole.yaml: line 4: parts.colour is not a key of this file", "the keys here are size")
    ]


def test_repeated_keys_are_found_at_every_depth(tmp_path: Path) -> None:
    assert problems(tmp_path, "code: a\nparts:\n- size: 1\n  size: 2\ncode: b\n") == [
        ("whole.yaml: line 4: size is already set in line 3", "keep one of the two"),
        ("whole.yaml: line 5: code is already set in line 1", "keep one of the two"),
    ]


def test_a_missing_file_is_left_to_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "whole.yaml", Whole, PATTERNS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "empty"),
        (True, "true"),
        ("ä", '"ä"'),
        (1.5, "1.5"),
        ([1], "a list"),
        ({}, "a mapping"),
    ],
)
def test_values_are_shown_as_written(value: object, text: str) -> None:
    assert shown(value) == text


def test_only_close_words_are_suggested() -> None:
    assert did_you_mean("Round", ["rounds", "seed"]) == "did you mean rounds?"
    assert did_you_mean("optimizer", ["rounds", "seed"]) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("code: a\nsizes: &one {a: 1}\n", "line 2: an anchor (&) or an alias (*)"),
        ("code: a\nsizes: *one\n", "line 2: an anchor (&) or an alias (*)"),
        ("code: a\nsizes:\n  <<: {a: 1}\n", "line 3: a merge key (<<)"),
        ("code: a\nparts:\n" + "- size: 1\n" * 1001, "line 1003: this list has more than 1000"),
        ("".join(f"k{n}: 1\n" for n in range(1001)), "line 1001: this mapping has more than 1000"),
        ("code: " + "[" * 100_000, "line 1: this is nested deeper than 20 levels"),
        ("code: " + "{a: " * 20_000, "line 1: this is nested deeper than 20 levels"),
        ("code: a\nparts:\n" + "- " * 5000, "line 3: this is nested deeper than 20 levels"),
        ("code: a" + "\n" * 300_000, "is larger than 256 KiB"),
    ],
    ids=lambda value: value[:30],
)
def test_what_makes_a_small_file_a_large_one_is_refused_at_once(tmp_path, text, said) -> None:
    began = time.process_time()
    ((problem, _),) = problems(tmp_path, text)
    assert said in problem
    assert time.process_time() - began < 10, "some of them took minutes"


def test_a_text_that_looks_like_a_merge_key_is_a_text(tmp_path) -> None:
    assert problems(tmp_path, 'code: a\nsizes: {"<<": 1}\n') == []


def test_of_very_many_problems_the_first_are_told(tmp_path) -> None:
    text = "code: a\nparts:\n" + "- {a: 1, b: 2, c: 3}\n" * 500
    assert len(problems(tmp_path, text)) == 200
