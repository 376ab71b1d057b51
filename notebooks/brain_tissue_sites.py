"""Cut the MNI152 brain template that nilearn carries into the data folders of three hospitals.

    python notebooks/brain_tissue_sites.py data/brain-tissue [--seed N]

writes FOLDER/<hospital>/cases.csv (columns file, set), FOLDER/<hospital>/images/*.png and
FOLDER/<hospital>/masks/*.png, and the same for ``pooled``, which holds what no hospital could see:
the slices of all three. The rule is told in brain_tissue.ipynb.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import site_tables
from nilearn import datasets
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

FIRST, SLABS = 32, 20  # the lowest axial slice, and the number of slabs from there upwards
SLAB = 5  # slices of 1 mm in a slab; its last slice goes to nobody, as a gap to the next slab
PIXEL = 3  # its side in mm
SHAPE = (64, 76)  # pixels of a slice, from left to right and from back to front
SHARES = {"train": 1 / 2, "val": 1 / 4, "test": 1 / 4}  # of a hospital's slabs
GREY, WHITE = 1, 2


@dataclass(frozen=True)
class Site:
    """A hospital: how many slabs it has, and how its scanner shows them.

    Attributes:
        slabs: number of slabs.
        contrast: intensities in 0..1 of a slice of the T1-weighted template.
        noise: standard deviation of the noise of each channel of the complex signal.
    """

    slabs: int
    contrast: Callable[[Array], Array]
    noise: float


def shade(image: Array) -> Array:
    """Return a slice as a coil sees it that is nearer to the right: half as bright at the left."""
    return image * np.linspace(0.5, 1, len(image))[:, None]


SITES = {
    "hospital-a": Site(8, lambda image: image, noise=0.02),
    "hospital-b": Site(8, np.square, noise=0.03),
    "hospital-c": Site(4, shade, noise=0.03),
}


@dataclass(frozen=True)
class Case:
    """A slice: its file's name, its intensities and its mask of SHAPE (uint8), and its set."""

    file: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    set: str


def read_template() -> tuple[Array, Array, Array]:
    """Return the T1-weighted template and its maps of grey and white matter, at 3 × 3 × 1 mm.

    Each is of shape (64, 76, 189) and in 0..1.
    """
    volumes = (
        datasets.load_mni152_template(resolution=1),
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
    )
    template, grey, white = (shrink(volume.get_fdata()) for volume in volumes)
    return template, grey, white


def shrink(volume: Array) -> Array:
    """Return the middle of a volume, each 3 × 3 pixels of a slice joined to their mean."""
    sides = [PIXEL * pixels for pixels in SHAPE]
    left, back = ((size - side) // 2 for size, side in zip(volume.shape, sides, strict=False))
    middle = volume[left : left + sides[0], back : back + sides[1]]
    return middle.reshape(SHAPE[0], PIXEL, SHAPE[1], PIXEL, -1).mean(axis=(1, 3))


def scan(site: Site, image: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a slice as a hospital's scanner shows it: the magnitude of a noisy complex signal."""
    real, imaginary = rng.normal(scale=site.noise, size=(2, *image.shape))
    magnitude = np.hypot(site.contrast(image) + real, imaginary)
    return np.round(255 * magnitude.clip(0, 1)).astype(np.uint8)


def split(seed: int) -> dict[str, list[Case]]:
    """Return the cases of each hospital, and of all together. No slice is in two sets."""
    template, grey, white = read_template()
    masks = np.where(np.maximum(grey, white) > 0.5, np.where(white > grey, WHITE, GREY), 0)
    rng = np.random.default_rng(seed)
    slabs = iter(rng.permutation(SLABS))
    sites: dict[str, list[Case]] = {}
    for name, site in SITES.items():
        sets = np.repeat(list(SHARES), [round(share * site.slabs) for share in SHARES.values()])
        sites[name] = []
        for set_name in sets:
            start = FIRST + SLAB * next(slabs)
            for z in range(start, start + SLAB - 1):
                image, mask = scan(site, template[..., z], rng), masks[..., z].astype(np.uint8)
                sites[name].append(Case(f"z{z:03}.png", image, mask, str(set_name)))
    return {**sites, "pooled": [case for cases in sites.values() for case in cases]}


def write(folder: Path, cases: list[Case]) -> None:
    """Write a hospital's slices, their masks and the table of sets; those of before go."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for old in (folder / kind).glob("z???.png"):
            old.unlink()
        for case in cases:
            pixels = case.image if kind == "images" else case.mask
            Image.fromarray(pixels).save(folder / kind / case.file)
    table = pd.DataFrame([(case.file, case.set) for case in cases], columns=["file", "set"])
    table.to_csv(folder / "cases.csv", index=False, lineterminator="\n")
    sizes = ", ".join(
        f"{name} {size}" for name, size in table.groupby("set", sort=False).size().items()
    )
    print(f"{folder}: {sizes} slices")


def main(argv: list[str] | None = None) -> None:
    """Lay out the folders."""
    options = site_tables.options(argv)
    for name, cases in split(options.seed).items():
        write(options.folder / name, cases)


if __name__ == "__main__":
    main()
