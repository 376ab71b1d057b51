"""NVFlare's own recipe of federated averaging, in its proof-of-concept deployment.

Arguments: how many sites, how many rounds, the first model (``.npy``), and the file for the times
at which the first site was asked.
"""

import sys
from pathlib import Path

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe.poc_env import PocEnv

sites, rounds, first, times = sys.argv[1:]
recipe = NumpyFedAvgRecipe(
    name="rounds",
    initial_ckpt=first,
    min_clients=int(sites),
    num_rounds=int(rounds),
    train_script=str(Path(__file__).with_name("client.py")),
    train_args=times,
)
run = recipe.execute(PocEnv(num_clients=int(sites)))
run.get_result()
