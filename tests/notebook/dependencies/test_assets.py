"""Small files beside a notebook that its code reads by name."""

import ast
from pathlib import Path

import pytest

from federator.notebook.dependencies import assets
from federator.notebook.dependencies.assets import Assets, Source
from federator.notebook.dependencies.notebook_folder import NotebookFolder
from federator.notebook.reader import Notebook

FILES = ("vocab.txt", "scaler.json", "cfg/model.yaml", "train.json", "train.csv", "best.pt")


def find(folder: Path, source: str) -> Assets:
    for name in (*FILES, "data/notes.txt", "tok/vocab.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x\n")
    here = NotebookFolder.of(Notebook("tumour.ipynb", (), folder=folder))
    return assets.find([Source(ast.parse(source), "tumour.ipynb", 4, 10)], here)


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ('words = open("vocab.txt").read().split()', "vocab.txt"),
        ('open("./vocab.txt", encoding="utf-8")', "vocab.txt"),
        ('open(file="vocab.txt", mode="r")', "vocab.txt"),
        ('def f():\n    with open("cfg/model.yaml") as file:\n        pass', "cfg/model.yaml"),
        ('json.load(open("scaler.json"))', "scaler.json"),
        ('json.loads(Path("scaler.json").read_text())', "scaler.json"),
        ('yaml.safe_load((Path("cfg") / "model.yaml").open())', "cfg/model.yaml"),
        ('FILE = Path("cfg") / "model.yaml"\nFILE.read_text()', "cfg/model.yaml"),
        ('open(Path("cfg") / "model.yaml")', "cfg/model.yaml"),
        ('open(os.path.join("cfg", "model.yaml"))', "cfg/model.yaml"),
        ('open(os.path.join(os.getcwd(), "vocab.txt"))', "vocab.txt"),
        ('open("cfg/" + "model.yaml")', "cfg/model.yaml"),
        ('pathlib.Path("cfg", "model.yaml").read_text()', "cfg/model.yaml"),
        ('np.loadtxt("vocab.txt", dtype=KIND)', "vocab.txt"),
        ('pd.read_json("scaler.json")', "scaler.json"),
        ('Tokenizer.from_file("scaler.json", max_len=LENGTH)', "scaler.json"),
        ('BertTokenizer("vocab.txt")', "vocab.txt"),
        ('BertTokenizer(vocab_file="vocab.txt", lower=True)', "vocab.txt"),
        ('VOCAB = "vocab.txt"\nopen(VOCAB)', "vocab.txt"),
        ('VOCAB: str = "vocab.txt"\nopen(VOCAB)', "vocab.txt"),
        ('VOCAB = Path("vocab.txt")\nVOCAB.read_text()', "vocab.txt"),
        ('class CFG:\n    vocab = "vocab.txt"\nopen(CFG.vocab)', "vocab.txt"),
        ('CFG = {"vocab": "vocab.txt"}\nopen(CFG["vocab"])', "vocab.txt"),
        ('CFG = dict(vocab="vocab.txt")\nopen(CFG["vocab"])', "vocab.txt"),
        ('def words(path="vocab.txt"):\n    return open(path)', "vocab.txt"),
        (
            'def load_data(data_path):\n    return open("vocab.txt"), open(data_path / "x")',
            "vocab.txt",
        ),
    ],
)
def test_what_is_read_by_its_name_travels(tmp_path: Path, source: str, read: str) -> None:
    made = find(tmp_path, source)
    assert made.problems == made.warnings == []
    assert list(made.files) == [read]
    assert str(made.places[read]).startswith("tumour.ipynb: cell 4, line 1")


@pytest.mark.parametrize(
    "source",
    [
        'LABEL = "vocab.txt"',
        'print("vocab.txt")',
        '"""vocab.txt"""',
        'open("vocab.txt", "w")',
        'open("vocab.txt", mode="a")',
        'torch.save(net, "best.pt")',
        'table.to_csv("train.csv")',
        'os.path.exists("vocab.txt")',
        'open("../outside.txt")',
        'open("missing.txt")',
        'def load_data(data_path):\n    open(os.path.join(data_path, "train.json"))',
        'def load_data(data_path):\n    open(f"{data_path}/train.json")',
        'def load_data(data_path):\n    open(data_path + "/" + "train.json")',
        'def load_data(data_path):\n    (Path(data_path) / "train.json").read_text()',
        'def load_data(data_path):\n    (Path(data_path) / Path("train.json")).read_text()',
        'def load_data(data_path):\n    Path(data_path).joinpath("train.json").read_text()',
        'def load_data(folder):\n    return Records("train.json", folder)',
        'def load_data(folder):\n    return Records(root=folder, file="train.json")',
        'def load_data(path):\n    for n in ("train.json",):\n        open(f"{path}/{n}")',
        'Path("cfg") / "model.yaml"',
        '(Path("cfg") / "model.yaml").write_text("x")',
    ],
)
def test_nothing_else_does(tmp_path: Path, source: str) -> None:
    assert find(tmp_path, source) == Assets()


@pytest.mark.parametrize(
    ("source", "path", "why"),
    [
        ('pd.read_csv("train.csv")', "train.csv", "looks like a site's data"),
        ('open("data/notes.txt")', "data/notes.txt", "looks like a site's data"),
        ('torch.load("best.pt")', "best.pt", "it is not text"),
        ('def load_data():\n    open("train.json")', "train.json", "looks like a site's data"),
        ('Records(root, "train.json")', "train.json", "in another folder"),
        ('Records(root=root, file="train.json")', "train.json", "in another folder"),
        ('AutoTokenizer.from_pretrained("./tok")', "tok", "the folder `tok` is read here"),
    ],
)
def test_in_doubt_nothing_travels_and_it_is_told(
    tmp_path: Path, source: str, path: str, why: str
) -> None:
    made = find(tmp_path, source)
    (warning,) = made.warnings
    assert made.files == {}
    assert f"`{path}`" in warning.message
    assert why in warning.message
    assert warning.where is not None
    assert warning.where.cell == 4


def test_what_is_read_and_cannot_travel_is_an_error_with_its_place(tmp_path: Path) -> None:
    find(tmp_path, "")
    (tmp_path / "large.txt").write_bytes(b"x" * 300_000)
    (tmp_path / "image.dat").write_bytes(b"\xff\x00")
    made = find(tmp_path, 'open("large.txt")\n\nopen("image.dat")')
    assert [str(problem).split("\n")[0] for problem in made.problems] == [
        "tumour.ipynb: cell 4, line 11: `large.txt` has more than 262,144 bytes, the most that a "
        "file of an app may have",
        "tumour.ipynb: cell 4, line 13: `image.dat` is not text in UTF-8, so no site could read "
        "what it is",
    ]
