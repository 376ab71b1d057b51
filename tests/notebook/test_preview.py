from fixtures.filled import filled
from fixtures.small_notebook import TEST, TRAIN

from federator.notebook import contract, preview


def test_every_cell_is_told_with_what_goes_in_what_stays_behind_and_why():
    written = filled(
        {"10": ["local"]},
        mine="x = 1",
        broken="x = (",
        html="%%html\n<b>",
        explore="import os\nos.environ['A'] = 'b'\nframe = 1; other = 2\nprint(frame)",
        empty="# nothing",
    )
    assert preview.render(contract.take_apart(written), written) == (
        "tumour.ipynb: 13 code cells\n"
        "cell  2  import numpy as np\n"
        "         task: np, torch, nn, DataLoader, TensorDataset\n"
        "         stays behind: plt (not needed)\n"
        "cell  3  WIDTH = 8  # hidden units\n"
        "         task: WIDTH, RATE\n"
        "         parameters: WIDTH, RATE\n"
        "         stays behind: NAME (not needed)\n"
        "cell  4  def load_data(data_path):\n"
        "         task: load_data\n"
        "cell  5  plt.plot(np.random.rand(9))\n"
        "         stays behind: plt.plot(np.random.rand(9)) (its result is not kept)\n"
        "cell  6  class Model(nn.Module):\n"
        "         task: Model\n"
        "cell  7  def train(net, trainloader, valloader...\n"
        "         task: train\n"
        "cell  8  def test(net, testloader):\n"
        "         task: test\n"
        "cell  9  from flwr.serverapp.strategy import F...\n"
        "         aggregation: FedAdam, strategy, config\n"
        "cell 10  x = 1\n"
        "         stays behind: the cell (it is tagged `local`)\n"
        "cell 11  x = (\n"
        "         stays behind: the cell (this is not valid Python: '(' was never closed)\n"
        "cell 12  %%html\n"
        "         stays behind: the cell (`%%html` makes this cell something else than Python)\n"
        "cell 13  import os\n"
        "         stays behind: os, frame, other (not needed)\n"
        "         stays behind: os.environ['A'] = 'b' (changes os, which is imported; tag the cell "
        "`federate`\n         to take it in)\n"
        "         stays behind: print(frame) (its result is not kept)\n"
        "cell 14  # nothing\n"
        "strategy: FedAdam\n"
        "rounds: 4\n"
        "parameter: WIDTH = 8\n"
        "parameter: RATE = 0.01"
    )


def test_a_task_that_the_federation_file_must_name_is_told():
    written = filled(
        {},
        train=TRAIN.replace("cross_entropy", "mse_loss"),
        test=TEST.replace("cross_entropy", "mse_loss"),
    )
    text = preview.render(contract.take_apart(written), written)
    assert "\nlikely task: regression (`mse_loss`, cell 7)\n" in text


def test_what_goes_in_is_told_with_the_reason_and_what_forces_it():
    written = filled({"10": ["federate"], "11": ["local"]}, seed="torch.manual_seed(0)", mine="x=1")
    cells = {cell.number: cell for cell in contract.take_apart(written).cells}
    assert dict(cells[3].because) == {"WIDTH": "needed by Model", "RATE": "needed by train"}
    assert dict(cells[2].because)["np"] == "needed by load_data"
    assert dict(cells[4].because) == {"load_data": "it is a part"}
    assert dict(cells[9].because) == {
        "FedAdam": "needed by strategy",
        "strategy": "it is a part",
        "config": "it is a part",
    }
    assert cells[10].because == (("torch.manual_seed(0)", "the cell is tagged `federate`"),)
    assert [cells[number].forced for number in (9, 10, 11)] == ["", "federate", "local"]
