from pathlib import Path

import pytest
from fixtures import small_notebook
from fixtures.filled import filled, parts, problems, warnings

from federator.notebook import contract, reader

USES = "def predict(net, loader):\n    return VALUE, 0"


def first_lines(**changed):
    return [text.split("\n")[0] for text in warnings(**changed)]


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("VALUE = np.load('a.npy').mean()", "np.load"),
        ("import pandas as pd\nVALUE = pd.read_csv('all.csv')", "pd.read_csv"),
        ("from torchvision import datasets\nVALUE = datasets.ImageFolder('a').classes", None),
        ("from torchvision.datasets import ImageFolder\nVALUE = ImageFolder('a').classes", None),
        ("with open('classes.txt') as file:\n    VALUE = file.read()", "open"),
        ("from pathlib import Path\nVALUE = Path('classes.txt').read_text()", None),
        ("import requests\nVALUE = requests.get('https://example.org').text", "requests.get"),
        ("from urllib.request import urlopen\nVALUE = urlopen('https://example.org')", "urlopen"),
        ("VALUE = torch.load('weights.pt')", "torch.load"),
        ("import os\nVALUE = os.listdir('a')", "os.listdir"),
        ("import glob\nVALUE = sorted(glob.glob('a/*'))", "glob.glob"),
        ("def names():\n    return open('a').read()\nVALUE = names()", "names"),
        ("VALUE = list(map(torch.load, ['a.pt']))", "torch.load"),
    ],
)
def test_data_that_is_read_when_the_code_is_imported_is_told(statement, name):
    [told] = first_lines(mine=statement, needs=USES)
    assert told.endswith("reads outside of `load_data`: when a site imports the code")
    assert told.startswith("cell 10, line ")
    assert name is None or f"`{name}`" in told


def test_a_file_that_travels_with_the_app_may_be_read(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    path = small_notebook.write(
        tmp_path / "n.ipynb",
        small_notebook.cells(mine="VALUE = open('vocab.txt').read().split()", needs=USES),
    )
    made = contract.take_apart(reader.read(path))
    assert [asset.path for asset in made.local_files.assets] == ["vocab.txt"]
    assert not [one for one in made.warnings if "outside of" in one.message]


@pytest.mark.parametrize(
    "statement",
    [
        "VALUE = 3\nframe = np.load('a.npy')",
        "def VALUE(path):\n    return np.load(path)",
        "class VALUE:\n    def read(self):\n        return open('a')",
        "VALUE = {'a': 1}.get('a')",
    ],
)
def test_what_reads_nothing_when_it_is_imported_is_not_told(statement):
    assert warnings(mine=statement, needs=USES) == []


LOADS = (
    "def load_data(data_path):\n    {}\n    return a, b, c, dict(trainset=1, valset=1, testset=1)"
)


def test_a_folder_that_load_data_does_not_use_is_told():
    lines = LOADS.format("a = b = c = DataLoader([0])")
    assert first_lines(load_data=lines) == [
        "cell 4, line 1: `load_data` does not use `data_path`: all sites would have the same data"
    ]
    handed_on = LOADS.format("a = b = c = DataLoader(str(data_path))")
    assert first_lines(load_data=handed_on) == []


def test_loaders_that_are_made_outside_of_load_data_are_told():
    made = "a, b, c = DataLoader([0]), DataLoader([1]), DataLoader([2])"
    told = first_lines(load_data=LOADS.format("print(data_path)"), made=made)
    assert told == [
        f"cell 4, line 3: `load_data` returns `{name}`, which is made outside of it"
        for name in "abc"
    ]


@pytest.mark.parametrize(
    "path",
    ["/home/ada/data", "/Users/ada", "C:\\\\data\\\\a.csv", "D:/data", "~/data", "~",
     "/content/drive/MyDrive/x", "/kaggle/input/set", "/mnt/disk/x", "/data2/x"],
)  # fmt: skip
def test_a_path_of_the_authors_machine_is_told(path):
    for statement in (
        f"VALUE = '{path}'",
        f"def VALUE(root='{path}'):\n    return root",
        f"def VALUE(name):\n    return f'{path}/{{name}}'",
    ):
        [told] = first_lines(mine=statement, needs=USES)
        assert "is one of your machine, and goes to the sites" in told


@pytest.mark.parametrize("path", ["/cluster/ada/scans/a.nii.gz", "/ada/table.CSV"])
def test_a_path_to_a_file_of_data_is_told_wherever_it_lies(path):
    [told] = first_lines(mine=f"VALUE = '{path}'", needs=USES)
    assert f"the path `{path}` is one of your machine" in told


def test_a_path_that_is_there_on_this_machine_is_told(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/cluster/ada/scans")
    [told] = first_lines(mine="VALUE = '/cluster/ada/scans'", needs=USES)
    assert "the path `/cluster/ada/scans` is one of your machine" in told
    assert warnings(mine="VALUE = '/cluster/ada/other'", needs=USES) == []


@pytest.mark.parametrize(
    "text",
    ["data/a.csv", "/", "/api/v1", "https://example.org/home/x", "~ about", "a:b", "/homeless/x",
     "text\\n/home/ada", "/tmp/best.pt", "/usr/share/fonts/a.txt", "/images/train", "/a.csv"],
)  # fmt: skip
def test_other_texts_are_no_paths(text):
    assert warnings(mine=f"VALUE = '{text}'", needs=USES) == []
    assert warnings(mine='def VALUE():\n    """/home/ada"""', needs=USES) == []


def test_a_question_is_refused_at_import_and_told_elsewhere():
    assert problems(filled(mine="VALUE = int(input('size? '))", needs=USES)) == [
        "cell 10, line 1: `input()` waits for an answer, and nobody is there when a site runs "
        "this\n"
        "    Write the value itself, for example in a cell tagged `parameters`."
    ]
    asks = "def predict(net, loader):\n    return input(), 0"
    assert first_lines(needs=asks) == [
        "cell 10, line 2: `input()` waits for an answer, and nobody is there at a site"
    ]
    assert parts(mine="size = input()").task


@pytest.mark.parametrize(
    "line",
    ["from tqdm.notebook import tqdm as VALUE", "import tqdm.notebook as VALUE",
     "from tqdm import tqdm_notebook as VALUE", "from tqdm import notebook as VALUE"],
)  # fmt: skip
def test_jupyters_progress_bar_is_told(line):
    assert warnings(mine=line, needs=USES) == [
        "cell 10, line 1: `tqdm.notebook` needs Jupyter's widgets, which no site has\n"
        "    Write: from tqdm.auto import tqdm"
    ]
