"""An ordinary ServerApp: FedAvg by Flower's own loop; the time after each round goes to a file."""

import os
import time
from pathlib import Path

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from task import Model

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    def tell(_number: int, _arrays: ArrayRecord) -> None:
        with Path(os.environ["ROUND_TIMES"]).open("a") as times:
            times.write(f"{time.monotonic()}\n")

    FedAvg(min_train_nodes=3, min_evaluate_nodes=3, min_available_nodes=3).start(
        grid, ArrayRecord(Model().state_dict()), int(context.run_config["rounds"]), evaluate_fn=tell
    )
