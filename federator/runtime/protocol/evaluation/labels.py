"""The words for what was found in place of a task's labels: a failure says no others."""

DTYPES = frozenset({
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
})  # fmt: skip

COLUMNS = "several columns (one-hot rows, or several labels an example)"
MASKS = "a mask for each example"
REAL = "real numbers, as of a regression"
OUTSIDE = "whole numbers of which some are no label"
NOT_FINITE = "numbers of which some are not finite"
TEXTS, OBJECTS, RAGGED = "texts", "dictionaries or other objects", "of different lengths"
_TUPLES = [f"a {kind} of {n}" for kind in ("tuple", "list") for n in range(10)]

# All that a failure may say of what it found.
FORMS = frozenset({
    COLUMNS, MASKS, REAL, OUTSIDE, NOT_FINITE, TEXTS, OBJECTS, RAGGED, *_TUPLES,
    "a dictionary", "one tensor", "one array", "a text", "a single number", "nothing",
    "a tuple", "a list", "another object", "an empty tuple", "a dictionary without `loss`",
    "a loss that is not a single number",
})  # fmt: skip
