"""The schema that an editor completes a federation file by."""

import json

from fixtures.federation_file import FULL, VALID
from fixtures.paths import ROOT
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from federator.federation.schema import schema


def test_the_committed_schema_is_that_of_the_model() -> None:
    """Otherwise: ``python -m federator.federation.schema > compose/federation.schema.json``."""
    committed = (ROOT / "compose" / "federation.schema.json").read_text()
    assert committed == schema()


def test_the_schema_tells_an_editor_what_the_model_knows() -> None:
    validator = Draft7Validator(json.loads(schema()))
    validator.check_schema(validator.schema)

    def accepts(text: str) -> bool:
        return validator.is_valid(YAML(typ="safe", pure=True).load(text))

    assert accepts(VALID)
    assert accepts(FULL.replace("2024-01-01", "dated"))
    for key in (
        "roundz: 3",
        "rounds: 0",
        "min_sites: 120%",
        "labels: [0, 1]",
        "select: first",
        "labels: []",
        "deadlines: {join: 5 min}",
        "images: Acme",
    ):
        assert not accepts(f"{VALID}{key}\n"), key


def test_every_key_is_described() -> None:
    described = json.loads(schema())
    definitions = described["$defs"]
    assert isinstance(definitions, dict)
    for part in (described, *definitions.values()):
        for key, field in part["properties"].items():
            assert field.get("description") or "$ref" in field, key
