"""A collaborator of OpenFL's that answers at once, with other numbers."""

import time
from pathlib import Path

import numpy as np
from openfl.federated.data.loader import DataLoader
from openfl.federated.task.runner import TaskRunner
from openfl.utilities import TensorKey


class NoData(DataLoader):
    def get_feature_shape(self):
        return None

    def get_train_data_size(self):
        return 1

    def get_valid_data_size(self):
        return 1


class Multiplier(TaskRunner):
    """Multiplies the model; the first site writes down when.

    Args:
        first: the first model (``.npy``).
        times: the file for the times.
    """

    def __init__(self, data_loader, first, times, **further):
        super().__init__(data_loader, **further)
        self._first, self._times = first, Path(times)
        self.tensor_dict_split_fn_kwargs = {}

    def get_required_tensorkeys_for_function(self, _function, **_):
        return [TensorKey("weights", "GLOBAL", 0, False, ("model",))]

    def get_tensor_dict(self, with_opt_vars=False):  # noqa: ARG002
        return {"weights": np.load(self._first)}

    def initialize_tensorkeys_for_functions(self, with_opt_vars=False):
        pass

    def set_optimizer_treatment(self, treatment):
        pass

    def train(self, col_name, round_num, input_tensor_dict, **_):
        number = int(col_name.rpartition("-")[2])
        if number == 1:
            with self._times.open("a") as times:
                times.write(f"{time.time()}\n")
        trained = input_tensor_dict["weights"] * np.float32(1 + 0.01 * number)
        return {TensorKey("weights", col_name, round_num, False, ("trained",)): trained}, {}

    def validate(self, col_name, round_num, input_tensor_dict, **_):  # noqa: ARG002
        tags = ("metric", "validate_agg")
        return {TensorKey("accuracy", col_name, round_num, True, tags): np.array(0.5)}, {}
