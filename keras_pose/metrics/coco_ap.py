"""Average precision and recall of COCO's key point evaluation, for any skeleton.

The evaluation itself is that of `pycocotools` (the reference) or of `faster-coco-eval`, whose
matching is compiled; this file hands both the same data and reads the same ten numbers.
"""

import contextlib
import io
import itertools

import numpy as np

from keras_pose.errors import PoseError
from keras_pose.metrics import coco_format
from keras_pose.metrics.oks import oks

# averages over the OKS thresholds 0.50:0.05:0.95, at one of them, and for sizes of persons
NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
MISSING = -1.0  # COCO's mark for sizes of which the ground truth has nobody
MOST = 20  # poses that count in one picture, the best of them
_PAIRS = 1 << 16  # whose OKS are computed at once


def average_precision(truth, results, sigmas, only=(), evaluator="faster_coco_eval") -> dict:
    """The ten numbers of COCO's key point evaluation, name -> 0..1, in the order of NAMES.

    truth: {"images": [{"id"}], "annotations": [..]} with COCO's keys, of one category, as
    CocoReader.truth gives it. results: a list in COCO's results format (metrics.coco_format); no
    results score 0. sigmas: (K,) of the skeleton. only: columns of the key points that count, all
    of them where it is empty. evaluator: "faster_coco_eval" or "pycocotools"; the numbers are the
    same, so the second stands in where the first is not installed. Sizes that nobody in the ground
    truth has give MISSING. Nothing given is changed.
    Raises PoseError for results that are not in the format, for other pictures or all of another
    category, for annotations of several categories, for an unknown evaluator, and when none is
    installed.
    """
    sigmas = np.asarray(sigmas, np.float64)
    pictures = {image["id"] for image in truth["images"]}
    if evaluator not in _EVALUATORS:
        raise PoseError(f"an evaluator of {tuple(_EVALUATORS)}", repr(evaluator), "Choose one.")
    annotations = truth["annotations"]
    categories = {a["category_id"] for a in annotations}
    if len(categories) > 1:
        raise PoseError(
            "annotations of one category",
            f"those of {sorted(map(str, categories))}",
            "Score one category at a time.",
        )
    category = next(iter(categories), None)
    coco_format.check(results, len(sigmas), pictures=pictures, category=category)
    results = [r for r in results if r["category_id"] in categories]
    if len(only):
        annotations = coco_format.select(annotations, only)
        results, sigmas = coco_format.select(results, only), sigmas[list(only)]
    # in COCO's order: poses of equal score count in that of their pictures. Annotations are
    # numbered from 1, since the evaluators take an id of 0 for "not matched"
    ordered = sorted(pictures, key=lambda i: (isinstance(i, str), i))
    number = {picture: n for n, picture in enumerate(ordered, 1)}
    known = [a for a in annotations if a["image_id"] in number]
    persons = [_person(a, n, number) for n, a in enumerate(known, 1)]
    poses = [
        _numbered(n, number[r["image_id"]], score=float(r["score"]), area=area)
        for n, (r, area) in enumerate(zip(results, _areas(results), strict=True), 1)
    ]
    keypoints = [[one["keypoints"] for one in many] for many in (known, results)]
    return _ten(*_EVALUATORS[evaluator](list(number.values()), persons, poses, *keypoints, sigmas))


def _person(annotation, n, number):
    points = annotation["keypoints"]
    labelled = annotation.get("num_keypoints")
    return _numbered(
        n,
        number[annotation["image_id"]],
        iscrowd=int(annotation.get("iscrowd") or 0),
        area=annotation["area"],
        bbox=annotation["bbox"],
        num_keypoints=sum(v > 0 for v in points[2::3]) if labelled is None else labelled,
    )


def _numbered(n, picture, **more):
    return {"id": n, "image_id": picture, "category_id": 1, **more}


def _areas(results):
    """Areas by which unmatched poses are sorted into sizes: of the box, or of the key points."""
    if not results:
        return []
    points = np.array([r["keypoints"] for r in results], np.float64)
    points = points.reshape(len(results), -1, 3)[..., :2]
    extents = np.prod(points.max(axis=1) - points.min(axis=1), axis=1).tolist()
    boxes = (r.get("bbox") for r in results)
    return [
        extent if box is None or len(box) == 0 else float(box[2] * box[3])
        for box, extent in zip(boxes, extents, strict=True)
    ]


def _ten(precision, recall):
    """The numbers of NAMES. precision: (T, R, sizes), recall: (T, sizes), -1 where undefined."""
    tables = []
    for table in (precision, recall):
        tables += [table[..., 0], table[0, ..., 0], table[5, ..., 0], table[..., 1], table[..., 2]]
    found = (t[t > -1] for t in tables)
    return {n: float(v.mean()) if v.size else MISSING for n, v in zip(NAMES, found, strict=True)}


def _arrays(evaluation):
    """(T, R, sizes) precision and (T, sizes) recall of the only category and number of poses."""
    shape = [len(v) for v in (evaluation.params.iouThrs, evaluation.params.recThrs)]
    precision = np.asarray(evaluation.eval["precision"]).reshape(*shape, 3)
    return precision, np.asarray(evaluation.eval["recall"]).reshape(shape[0], 3)


def _reference(pictures, persons, poses, truth, said, sigmas):
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise PoseError(
            "the package faster-coco-eval or pycocotools",
            "an environment without it",
            "pip install faster-coco-eval pycocotools",
        ) from error

    def dataset(entries, keypoints):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": picture} for picture in pictures],
            "categories": [{"id": 1}],
            "annotations": [
                {**one, "keypoints": p} for one, p in zip(entries, keypoints, strict=True)
            ],
        }
        coco.createIndex()
        return coco

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(dataset(persons, truth), dataset(poses, said), "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.params.catIds = [1]
        evaluation.evaluate()
        evaluation.accumulate()
    return _arrays(evaluation)


def _fast(pictures, persons, poses, truth, said, sigmas):
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:  # not built for every system
        return _reference(pictures, persons, poses, truth, said, sigmas)
    similar = _similarities(persons, poses, truth, said, sigmas)

    class Evaluation(COCOeval_faster):
        """OKS of all pictures are computed together, a tenth of the time of one at a time."""

        def computeOks(self, imgId, catId):
            return similar.get(imgId, [])

    def dataset(entries):
        images = [{"id": picture} for picture in pictures]
        return COCO({"images": images, "categories": [{"id": 1}], "annotations": entries})

    evaluation = Evaluation(dataset(persons), dataset(poses), "keypoints")
    evaluation.params.catIds = [1]
    evaluation.evaluate()
    evaluation.accumulate()
    return _arrays(evaluation)


_EVALUATORS = {"faster_coco_eval": _fast, "pycocotools": _reference}


def _similarities(persons, poses, truth, said, sigmas):
    """Picture -> (D, G) OKS of its best poses, best first, and of its persons, as they come."""
    there, given = {}, {}
    for row, person in enumerate(persons):
        there.setdefault(person["image_id"], []).append(row)
    for row, pose in enumerate(poses):
        given.setdefault(pose["image_id"], []).append(row)
    pairs, shapes = [], {}
    for picture in there.keys() & given.keys():
        best = sorted(given[picture], key=lambda row: -poses[row]["score"])[:MOST]
        shapes[picture] = len(best), len(there[picture])
        pairs += itertools.product(best, there[picture])
    if not pairs:
        return {}
    of, to = np.array(pairs).T
    truth, said = (np.array(p, np.float64).reshape(len(p), -1, 3) for p in (truth, said))
    area, box = (np.array([p[key] for p in persons], np.float64) for key in ("area", "bbox"))
    values = np.concatenate(
        [
            oks(said[d, :, :2], truth[g, :, :2], truth[g, :, 2], area[g], sigmas, box[g])
            for d, g in (
                (of[start : start + _PAIRS], to[start : start + _PAIRS])
                for start in range(0, len(of), _PAIRS)
            )
        ]
    )
    ends = np.cumsum([d * g for d, g in shapes.values()])[:-1]
    parts = np.split(values, ends)
    return {p: part.reshape(s) for (p, s), part in zip(shapes.items(), parts, strict=True)}
