"""Names of packages: what is known of them without asking an index."""

from packaging.utils import canonicalize_name

# For modules that are not installed here, and for those that several distributions share.
DISTRIBUTIONS = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "PIL": "pillow",
    "ants": "antspyx",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "google.protobuf": "protobuf",
    "gdcm": "python-gdcm",
    "hydra": "hydra-core",
    "imblearn": "imbalanced-learn",
    "mpl_toolkits": "matplotlib",
    "openslide": "openslide-python",
    "pkg_resources": "setuptools",
    "pl_bolts": "lightning-bolts",
    "pytorch_grad_cam": "grad-cam",
    "pywt": "pywavelets",
    "ruamel.yaml": "ruamel-yaml",
    "radiomics": "pyradiomics",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sksurv": "scikit-survival",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}

# Modules that are installed under their own name: only of these, and of those above, a name is
# advised. Under any other name may lie what a stranger has put there.
WELL_KNOWN = frozenset(
    {
        *("accelerate", "albumentations", "captum", "catboost", "datasets", "einops", "evaluate"),
        *("h5py", "huggingface-hub", "imageio", "itk", "jax", "joblib", "kornia", "lifelines"),
        *("lightgbm", "lightning", "matplotlib", "medmnist", "mlflow", "monai", "nibabel"),
        *("nltk", "numba", "numpy", "openpyxl", "optuna", "pandas", "plotly", "polars", "pyarrow"),
        *("pycox", "pydicom", "pytorch-lightning", "safetensors", "scipy", "seaborn", "shap"),
        *("simpleitk", "spacy", "statsmodels", "tensorboard", "tensorflow", "tifffile", "timm"),
        *("tokenizers", "torch", "torchaudio", "torchio", "torchmetrics", "torchtuples"),
        *("torchvision", "torchxrayvision", "tqdm", "transformers", "wandb", "xgboost", "zarr"),
    }
)

# Modules that a service puts into its own notebooks, and that no index has.
ENVIRONMENTS = {
    "google.colab": "Colab",
    "kaggle_datasets": "Kaggle",
    "kaggle_secrets": "Kaggle",
    "kaggle_web_client": "Kaggle",
    "dbutils": "Databricks",
    "pyspark.dbutils": "Databricks",
    "mssparkutils": "Microsoft's Spark",
    "notebookutils": "Microsoft's Spark",
    "pyodide": "JupyterLite",
    "piplite": "JupyterLite",
}

# The same release, without the parts that need a screen: a container has none.
HEADLESS = {
    "opencv-python": "opencv-python-headless",
    "opencv-contrib-python": "opencv-contrib-python-headless",
}


def usual_distribution(path: str) -> str:
    """Return the canonical name of the distribution that usually provides a dotted name."""
    names = [name for name in prefixes(path) if name in DISTRIBUTIONS]
    return canonicalize_name(DISTRIBUTIONS[names[0]] if names else path.partition(".")[0])


def is_known(distribution: str) -> bool:
    """Whether a distribution stands in these lists, so that its name may be advised."""
    return distribution in WELL_KNOWN or distribution in DISTRIBUTIONS.values()


def environment(path: str) -> str | None:
    """Return the service whose own notebooks have a module, if no other Python has it."""
    return next((ENVIRONMENTS[name] for name in prefixes(path) if name in ENVIRONMENTS), None)


def prefixes(path: str) -> list[str]:
    """Return a dotted name and all that it starts with, the longest first."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
