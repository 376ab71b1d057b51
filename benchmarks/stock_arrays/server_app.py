"""An ordinary ServerApp: FedAvg by Flower's own loop; the time after each round goes to a file."""

import os
import time
from pathlib import Path

from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from safetensors.numpy import load_file

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    def tell(_number: int, _arrays: ArrayRecord) -> None:
        with Path(os.environ["ROUND_TIMES"]).open("a") as times:
            times.write(f"{time.monotonic()}\n")

    model = load_file(os.environ["FIRST_MODEL"])
    first = ArrayRecord({name: Array(array) for name, array in model.items()})
    del model
    sites, rounds = int(context.run_config["sites"]), int(context.run_config["rounds"])
    strategy = FedAvg(
        fraction_evaluate=float(context.run_config["tested"]),
        min_train_nodes=sites,
        min_evaluate_nodes=sites,
        min_available_nodes=sites,
    )
    strategy.start(grid, first, rounds, timeout=3600, evaluate_fn=tell)
