import pytest
from fixtures.filled import filled, parts, problems, warnings

SLICE = (
    "import os\nimport warnings\ndef predict(net, loader):\n    return os.environ['MODE'], warnings"
)
PIL = "from PIL import Image\ndef predict(net, loader):\n    return Image.open, 0"


def goes_in(statement, needs, imports="from PIL import ImageFile\nimport os"):
    """Whether the last line of a cell goes to the sites."""
    made = parts(needs=needs, mine=f"{imports}\n{statement}", extra=None)
    return statement in [one.source for one in made.task.statements if one.cell == 11]


@pytest.mark.parametrize(
    ("statement", "needs"),
    [
        ("ImageFile.LOAD_TRUNCATED_IMAGES = True", PIL),
        ("Image.MAX_IMAGE_PIXELS = None", PIL),
        ("torch.backends.cudnn.benchmark = True", SLICE),
        ("torch.set_default_dtype(torch.float64)", SLICE),
        ("torch.set_float32_matmul_precision('high')", SLICE),
        ("_ = torch.set_grad_enabled(True)", SLICE),
        ("if torch.cuda.is_available():\n    torch.backends.cuda.matmul.allow_tf32 = True", SLICE),
        ("np.set_printoptions(precision=3)", SLICE),
        ("warnings.filterwarnings('ignore')", SLICE),
        ("os.environ['MODE'] = 'fast'", SLICE),
        ("os.environ.setdefault('MODE', 'fast')", SLICE),
        ("os.environ.update({'MODE': 'fast'})", SLICE),
        ("os.environ['CUBLAS_WORKSPACE_CONFIG'] = ':4096:8'", PIL),
    ],
)
def test_a_setting_goes_in_with_its_module(statement, needs):
    assert goes_in(statement, needs)
    told = warnings(needs=needs, mine=f"from PIL import ImageFile\nimport os\n{statement}")
    assert not [text for text in told if "stays behind" in text]


@pytest.mark.parametrize(
    "statement",
    [
        "torch.manual_seed(0); np.random.seed(0)",
        "import random\nrandom.seed(0)",
        "def seed_everything(seed):\n    torch.manual_seed(seed)\n    "
        "torch.backends.cudnn.deterministic = True\nseed_everything(3)",
        "import pandas as pd\npd.options.mode.copy_on_write = True",
        "import seaborn as sns\nsns.set_theme()\nplt.rcParams['figure.dpi'] = 100",
        "torch.cuda.is_available()",
        "os.environ['PYTHONHASHSEED'] = '0'",
    ],
)
def test_seeds_and_settings_of_what_stays_behind_stay_behind_in_silence(statement):
    made = parts(needs=SLICE, mine=statement)
    assert not [one for one in made.task.statements if one.cell == 11]
    assert warnings(needs=SLICE, mine=statement) == []


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("os.environ['CUDA_VISIBLE_DEVICES'] = '1'", "CUDA_VISIBLE_DEVICES"),
        ("os.environ['TORCH_HOME'] = 'cache'", "TORCH_HOME"),
        ("os.environ['MODE'] = '/home/ada/mode'", "MODE"),
        ("torch.cuda.set_device(1)", "torch.cuda.set_device"),
        ("torch.set_default_device('cuda:1')", "torch.set_default_device"),
        ("torch.hub.set_dir('cache')", "torch.hub.set_dir"),
    ],
)
def test_what_fits_one_machine_stays_behind_and_is_told(statement, name):
    assert not goes_in(statement, SLICE)
    assert warnings(needs=SLICE, mine=statement) == [
        f"cell 11, line 1: the setting `{name}` stays behind\n"
        "    It fits your machine only: what goes in must work without it."
    ]


READS_TOKEN = "import os\ndef predict(net, loader):\n    return os.environ.get('HF_TOKEN'), 0"


@pytest.mark.parametrize(
    "statement",
    [
        "os.environ['HF_TOKEN'] = 'hf_abc'",
        "os.environ |= {}; os.environ['HF_TOKEN'] = 'hf_abc'",
        "os.environ.update(HF_TOKEN='hf_abc')",
        "os.putenv('HF_TOKEN', 'hf_abc')",
    ],
)
def test_a_secret_never_goes_in(statement):
    made = parts(needs=READS_TOKEN, mine=statement)
    assert "hf_abc" not in "".join(one.source for one in made.task.statements)
    assert warnings(needs=READS_TOKEN, mine=statement) == [
        "cell 11, line 1: the setting `HF_TOKEN` stays behind\n"
        "    A secret goes to no site: what goes in must work without it."
    ]


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_KEY", "DB_PASSWORD"])
def test_a_secret_in_a_statement_that_is_forced_in_is_refused(name):
    mine = f"import os\nos.environ['{name}'] = 'abc'"
    assert problems(filled({"10": ["federate"]}, mine=mine)) == [
        f"cell 10, line 2: `{name}` is a secret, and its statement goes to all sites\n"
        "    Set it in a statement of its own, in a cell without the tag `federate`."
    ]


def test_tokenizers_are_no_secret():
    needs = "import transformers\ndef predict(net, loader):\n    return transformers, 0"
    assert goes_in("os.environ['TOKENIZERS_PARALLELISM'] = 'false'", needs)


def test_tqdm_is_made_known_to_pandas_where_that_is_used():
    uses = "import pandas as pd\ndef predict(net, loader):\n    return pd.Series().progress_map, 0"
    mine = "from tqdm import tqdm\ntqdm.pandas()"
    assert parts(needs=uses, mine=mine).task.statements[-1].source == "tqdm.pandas()"
    other = uses.replace("progress_", "")
    assert parts(needs=other, mine=mine).task.statements[-1].source != "tqdm.pandas()"


def test_a_setting_that_would_train_stays_behind_and_is_told():
    mine = "def main():\n    torch.set_default_dtype(torch.float64)\n    train(0, 0, 0, 1)\nmain()"
    assert warnings(mine=mine) == [
        "cell 10, line 4: the setting `torch.set_default_dtype` stays behind\n"
        "    If what goes in needs it, tag the cell `federate`."
    ]
