"""The words for labels that do not fit a task: a site's failure names labels in these only."""

DTYPES = frozenset({
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
})  # fmt: skip

COLUMNS = "several columns (one-hot rows; of several labels an example, write task: multilabel)"
MASKS = "a mask for each example (write task: segmentation)"
CHANNELS = "of a channel for each class (of one-hot masks: argmax over the classes)"
REAL = "real numbers, as of a regression (write task: regression)"
COMPLEX = "complex numbers"
OUTSIDE = "whole numbers of which some are no label"
NOT_FINITE = "numbers of which some are not finite"
TEXTS, OBJECTS, RAGGED = "texts", "dictionaries or other objects", "of different lengths"
ARRAYS = "several arrays in a list (of batches or examples: concatenate or stack them)"
NOT_BINARY = "of which some are neither 0 nor 1"
NOT_PROBABILITIES = "of which some are not in 0..1"
NOT_CLASSES = "of which some are no class number (of a mask of 0 and 255, write mask > 0)"
OTHER_SHAPE = "of another shape"
NOT_POSITIVE = "of which some are not above 0"
NEGATIVE, TOO_LARGE = "of which some are negative", "of which some are beyond 10^10"
_TUPLES = [f"a {kind} of {n}" for kind in ("tuple", "list") for n in range(10)]

# All that a failure may say of what it found.
FORMS = frozenset({
    COLUMNS, MASKS, REAL, COMPLEX, OUTSIDE, NOT_FINITE, TEXTS, OBJECTS, RAGGED, ARRAYS,
    CHANNELS, *_TUPLES,
    NOT_BINARY, NOT_PROBABILITIES, NOT_CLASSES, OTHER_SHAPE, NOT_POSITIVE, NEGATIVE, TOO_LARGE,
    "a dictionary", "one tensor", "one array", "a text", "a single number", "nothing",
    "a tuple", "a list", "another object", "an empty tuple", "a dictionary without `loss`",
    "a loss that is not a single number",
})  # fmt: skip
