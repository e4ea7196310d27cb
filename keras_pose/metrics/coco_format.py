"""COCO's format of key point results, in memory: a list of dictionaries, one for each pose.

{"image_id": .., "category_id": .., "keypoints": [x, y, v, ...], "score": ..}, in the pixels of the
picture as the annotations have them. `v` is not read by anything; here it is the point's score.

Symbols: K key points, R results.
"""

import numbers

import numpy as np

from keras_pose.errors import PoseError

_KEYS = ("image_id", "category_id", "keypoints", "score")
_DIGITS = 3  # thousandths of a pixel: far below any label's accuracy


def entry(picture, category, keypoints, scores, score) -> dict:
    """One result. keypoints: (K, 2) in pixels; scores: (K,); score: the person's.

    Points that are not finite, as those that a model has no answer for, become 0, 0, 0.
    """
    known = np.isfinite(keypoints).all(axis=-1, keepdims=True)
    triples = np.concatenate([keypoints, np.asarray(scores)[:, None]], axis=1, dtype=np.float64)
    return {
        "image_id": picture,
        "category_id": category,
        "keypoints": np.where(known, triples, 0.0).round(_DIGITS).ravel().tolist(),
        "score": round(float(score), 6),
    }


def check(results, count, where="results", pictures=None, category=None):
    """Returns `results` when they are in COCO's format, with 3 `count` numbers in each list.

    where: what errors call them, the file. pictures: ids that the ground truth has, None for any.
    category: id of the ground truth's, None for any; results of others may stand beside its own.
    Raises PoseError that names the entry: for what is no list of dictionaries, keys that are
    missing, lists of another length, what should be a number and is none or not finite, and
    pictures without ground truth; and when all results are of other categories.
    """
    if not isinstance(results, list):
        raise PoseError(
            "a list of results, as COCO's format has it",
            f"{where} with {_kind(results)}",
            'Write [{"image_id": .., "category_id": .., "keypoints": [..], "score": ..}, ..].',
        )
    for place, result in enumerate(results):
        name = f"{where}, entry {place}"
        if not isinstance(result, dict):
            raise PoseError("a result with keys", f"{name}: {_kind(result)}", f"Give it {_KEYS}.")
        gone = [key for key in _KEYS if result.get(key) is None]
        if gone:
            raise PoseError(
                f"the keys {', '.join(_KEYS)} in every result",
                f"{name} without {', '.join(gone)}",
                "Write results in COCO's key point format.",
            )
        if not finite(result["score"]):
            raise PoseError(
                "a finite number as score",
                f"{name} with {result['score']!r}",
                "Look for a division by zero in what wrote it, or leave the entry out.",
            )
        if pictures is not None and not among(result["image_id"], pictures):
            raise PoseError(
                "results for pictures of the ground truth",
                f"{name} for picture {result['image_id']!r}, which is not in it",
                "Compare with the annotations of the same split, or leave the entry out.",
            )
        if not _is_id(result["category_id"]):
            raise PoseError(
                "a number as category_id",
                f"{name} with {result['category_id']!r}",
                "Write the id that the annotations have.",
            )
        name = f"{name} (picture {result['image_id']})"
        points(result["keypoints"], count, name)
        _box(result.get("bbox"), name)
    found = {result["category_id"] for result in results}
    if found and category not in (None, *found):
        raise PoseError(
            f"results of category {category!r}, the ground truth's",
            f"{where}, all of category {', '.join(sorted(map(repr, found)))}",
            "Write the annotations' category_id into the results.",
        )
    return results


def points(values, count, name):
    """(count, 3) x, y and v of a result's list of numbers.

    name: of the result, for errors. Raises PoseError for another length, what is no number, and
    numbers that are not finite.
    """
    found = _numbers(values)
    if found is None or found.shape != (3 * count,):
        length = _kind(values) if found is None or found.ndim == 0 else len(found)
        if found is None and isinstance(values, list):
            length = f"{len(values)} values that are not all numbers"
        raise PoseError(
            f"{3 * count} numbers in 'keypoints': x, y, v of {count} points",
            f"{name} with {length}",
            "Score results of the skeleton that the ground truth has.",
        )
    if not np.isfinite(found).all():
        raise PoseError(
            "finite numbers in 'keypoints'",
            f"{name} with {found[~np.isfinite(found)][0]}",
            "Write 0, 0, 0 for a point without an answer.",
        )
    return found.reshape(count, 3)


def _box(values, name):
    """A box may be missing, or be empty, which to pycocotools is the same."""
    box = _numbers([] if values is None else values)
    if box is None or box.shape not in ((0,), (4,)) or not np.isfinite(box).all():
        raise PoseError(
            "four finite numbers in 'bbox': x, y, width, height",
            f"{name} with {values!r}",
            "Write the box of the pose, or leave the key out.",
        )


def _numbers(values):
    """An array of a list of numbers, None for what is something else."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of several lengths
        return None
    return array if array.dtype.kind in "iuf" else None  # strings would become numbers


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_id(value):
    return _is_number(value) or isinstance(value, str)


def finite(value) -> bool:
    """Whether a value from a JSON file, or one of numpy's, is a finite number."""
    return _is_number(value) and bool(np.isfinite(value))


def among(picture, pictures) -> bool:
    """Whether a picture's id from a JSON file, which may be anything, is one of `pictures`."""
    return _is_id(picture) and picture in pictures


def _kind(value):
    return f"a {type(value).__name__}"


def select(entries, columns):
    """Annotations or results of some of the key points. columns: their indices, in order.

    `num_keypoints` is counted anew; a person of whom nothing is left is ignored by the evaluation
    like any without labelled points. Areas and boxes stay those of the whole person.
    """
    chosen = []
    for one in entries:
        points = np.asarray(one["keypoints"], np.float64).reshape(-1, 3)[list(columns)]
        more = {"keypoints": points.ravel().tolist()}
        if "num_keypoints" in one:
            more["num_keypoints"] = int((points[:, 2] > 0).sum())
        chosen.append({**one, **more})
    return chosen
