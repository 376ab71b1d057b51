"""The mathematics of secure aggregation: fixed-point numbers, masks, and the terms of a round."""
