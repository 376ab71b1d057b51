"""Which federations there are around a place that is none: what an error message names."""

from pathlib import Path


def nearby(place: Path, folder: str, file: str) -> str:
    """Return which federations there are around a wrong place, and how to name one.

    Args:
        place: where a federation was looked for.
        folder: name of the folder whose folders are federations.
        file: name of a federation file.
    """
    try:
        here = place if place.is_dir() else place.parent
    except OSError:  # such as a name that is too long
        here = place.parent
    roots = [here, *here.parents[:3]]
    found = next((all_ for root in roots if (all_ := sorted(root.glob(f"{folder}/*/{file}")))), [])
    if not found:
        return f"give a folder in which there is a {file}, such as {folder}/NAME"
    names = ", ".join(str(one.parent) for one in found[:5])
    return f"give the folder of a federation: {names}"
