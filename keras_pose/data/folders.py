"""Where pictures lie: names from an annotation file, looked up in the usual folders."""

from pathlib import Path


def find(names: dict, folders) -> dict:
    """Key -> path, None for a picture that is gone.

    names: key -> name of a file, with folders of its own or without. folders: where they may lie;
    the first that holds any of the first ten is taken, so no data set is put together from two.
    """
    names = {key: Path(name) for key, name in names.items()}
    first = list(names.values())[:10]
    folder = next((f for f in folders if any((f / n).is_file() for n in first)), folders[0])
    # one listing per folder: far faster than a question per file on network drives
    there = {
        parent: {p.name for p in (folder / parent).glob("*")}
        for parent in {n.parent for n in names.values()}
    }
    return {key: folder / n if n.name in there[n.parent] else None for key, n in names.items()}
