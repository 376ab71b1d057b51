"""Cut scikit-image's immunohistochemistry picture into the data folders of three hospitals.

    python notebooks/histopathology_sites.py data/histopathology [--seed N]

writes FOLDER/<hospital>/labels.csv (columns file, label, set) and FOLDER/<hospital>/patches/*.png,
and the same for ``pooled``, which holds what no hospital could see: the patches of all three. The
rule is told in histopathology.ipynb.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import site_tables
from numpy.typing import NDArray
from PIL import Image
from skimage.color import hed2rgb, rgb2hed
from skimage.data import immunohistochemistry

BLOCK = 64  # side of a block, whose patches are all in the same set
PATCH = 32
STRIDES = {"train": 4, "val": 16, "test": 16}  # between the patches of a block
SHARES = {"train": 1 / 2, "val": 1 / 4, "test": 1 / 4}  # of a hospital's blocks
DAB_POSITIVE = 0.05  # optical density of DAB from which a pixel is positive
HALF = 0.5  # share of positive pixels from which a patch is positive


@dataclass(frozen=True)
class Site:
    """A hospital: its band of the picture, and how it stains.

    Attributes:
        top, bottom: rows of pixels.
        haematoxylin: factor on the optical density of haematoxylin.
        eosin: optical density of eosin, everywhere.
    """

    top: int
    bottom: int
    haematoxylin: float
    eosin: float


SITES = {
    "hospital-a": Site(0, 256, haematoxylin=1.0, eosin=0.0),
    "hospital-b": Site(256, 384, haematoxylin=0.7, eosin=0.02),
    "hospital-c": Site(384, 512, haematoxylin=1.4, eosin=0.04),
}


@dataclass(frozen=True)
class Patch:
    """A patch: its file's name, its pixels (32, 32, 3), its label and its set."""

    file: str
    pixels: NDArray[np.uint8]
    label: int
    set: str


def cut(site: Site, hed: NDArray[np.float64], rng: np.random.Generator) -> list[Patch]:
    """Return a hospital's patches of the picture, given as optical densities (512, 512, 3).

    The blocks are dealt out to the sets until each set has patches of both labels.
    """
    haematoxylin, dab = hed[..., 0], hed[..., 2]
    stains = (haematoxylin * site.haematoxylin, np.full_like(dab, site.eosin), np.zeros_like(dab))
    picture = np.round(255 * hed2rgb(np.stack(stains, axis=-1))).astype(np.uint8)
    blocks = [
        (top, left)
        for top in range(site.top, site.bottom, BLOCK)
        for left in range(0, hed.shape[1], BLOCK)
    ]
    sets = np.repeat(list(SHARES), [round(share * len(blocks)) for share in SHARES.values()])
    while True:
        patches = []
        for (top, left), name in zip(rng.permutation(blocks), sets, strict=True):
            steps = range(0, BLOCK - PATCH + 1, STRIDES[name])
            for y, x in ((top + down, left + right) for down in steps for right in steps):
                window = slice(y, y + PATCH), slice(x, x + PATCH)
                label = int((dab[window] > DAB_POSITIVE).mean() >= HALF)
                patches.append(Patch(f"y{y:03}-x{x:03}.png", picture[window], label, str(name)))
        if len({(patch.set, patch.label) for patch in patches}) == 2 * len(SHARES):
            return patches


def write(folder: Path, patches: list[Patch]) -> None:
    """Write a hospital's patches and labels; patches of an earlier layout go."""
    images = folder / "patches"
    images.mkdir(parents=True, exist_ok=True)
    for old in images.glob("y???-x???.png"):
        old.unlink()
    for patch in patches:
        Image.fromarray(patch.pixels).save(images / patch.file)
    table = pd.DataFrame(
        [(p.file, p.label, p.set) for p in patches], columns=["file", "label", "set"]
    )
    table.to_csv(folder / "labels.csv", index=False, lineterminator="\n")
    shares = table.groupby("set", sort=False)["label"].agg(["size", "mean"])
    sets = ", ".join(
        f"{name} {row['size']:.0f} ({row['mean']:.0%})" for name, row in shares.iterrows()
    )
    print(f"{folder}: {sets} patches (DAB-positive)")


def main(argv: list[str] | None = None) -> None:
    """Lay out the folders."""
    options = site_tables.options(argv)
    hed, rng = rgb2hed(immunohistochemistry()), np.random.default_rng(options.seed)
    sites = {name: cut(site, hed, rng) for name, site in SITES.items()}
    sites["pooled"] = [patch for patches in sites.values() for patch in patches]
    for name, patches in sites.items():
        write(options.folder / name, patches)


if __name__ == "__main__":
    main()
