"""A skeleton is one data object: everything that depends on it is derived from it.

Flip indices, drawing colours, evaluation, RePose's update order and the metadata inside a
`.tflite` are read from a `Skeleton`; nothing is keyed on the number of key points.
"""

import dataclasses
import re
from collections import deque

from keras_pose.errors import PoseError

_RIGHT, _LEFT, _MIDDLE = (255, 128, 0), (0, 200, 255), (120, 255, 120)  # RGB
# cocoeval's constants, and for joints that COCO does not have those of the nearest that it has
_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089, "pelvis": 0.107,
}  # fmt: skip
_DEFAULT_SIGMA = 0.079  # COCO's shoulder: a middling constant for all others


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """K named key points, the bones between them, and what is known of each.

    name: short identifier, stored in files.
    keypoints: K names; "left_x" and "right_x" (or as `side` reads them) are mirror partners unless
        `mirror` says otherwise.
    edges: pairs of indices (0-based), undirected, not necessarily a tree. They are drawn, and
        they are RePose's connectivity.
    mirror: (K,) index of each point's partner, itself for points on the middle line.
    sigmas: (K,) OKS constants (COCO's k_i / 2); where left out, COCO's by the key points' names.
    lower: names of lower-body key points; the others are upper body (half-body augmentation).
    order: RePose's update order "hips-out" as indices; derived from the graph when empty.

    Raises PoseError for an index out of range, a repeated name or a mirror that is no involution.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    mirror: tuple[int, ...] = ()
    sigmas: tuple[float, ...] = ()
    lower: tuple[str, ...] = ()
    order: tuple[int, ...] = ()

    def __post_init__(self):
        fill = object.__setattr__
        fill(self, "keypoints", tuple(self.keypoints))
        self._check_names()  # the rest is derived from them
        fill(self, "edges", tuple((int(a), int(b)) for a, b in self.edges))
        fill(self, "mirror", tuple(self.mirror) or _mirror_by_name(self.keypoints))
        fill(self, "sigmas", tuple(self.sigmas) or _sigmas_by_name(self.keypoints))
        fill(self, "lower", tuple(self.lower) or _lower_by_name(self.keypoints))
        fill(self, "order", tuple(self.order) or _walk(self, _centre(self)))
        self._check()

    def _check_names(self):
        if self.count == 0 or len(set(self.keypoints)) != self.count:
            raise PoseError(
                "at least one key point, each with its own name",
                f"skeleton {self.name!r} with names {self.keypoints}",
                "Name every key point once.",
            )

    def _check(self):
        count, received = self.count, f"skeleton {self.name!r}"
        outside = [e for e in self.edges if not all(0 <= i < count for i in e) or e[0] == e[1]]
        if outside:
            raise PoseError(
                f"edges between two different key points 0..{count - 1}",
                f"{received} with {outside}",
                "Edges are 0-based pairs of indices; COCO files are 1-based.",
            )
        if len(self.mirror) != count or any(
            not 0 <= m < count or self.mirror[m] != i for i, m in enumerate(self.mirror)
        ):
            raise PoseError(
                f"a mirror partner for each of {count} key points, partners naming each other",
                f"{received} with mirror {self.mirror}",
                "Give a point on the middle line its own index.",
            )
        if sorted(self.order) != list(range(count)):
            raise PoseError(
                f"an update order that visits each of {count} key points once",
                f"{received} with order {self.order}",
                "Leave `order` empty to derive it from the graph.",
            )
        if len(self.sigmas) != count or min(self.sigmas) <= 0:
            raise PoseError(
                f"{count} positive OKS sigmas",
                f"{received} with sigmas {self.sigmas}",
                "Leave `sigmas` empty for COCO's by name, and a middling one for other names.",
            )

    @property
    def count(self) -> int:
        """K, the number of key points."""
        return len(self.keypoints)

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        """(K, 3) RGB by side: orange right, blue left, green for points on the middle line."""
        return tuple(_color(name) for name in self.keypoints)

    def index(self, name: str) -> int | None:
        """Index of the key point called `name`, None when this skeleton has no such point."""
        return self.keypoints.index(name) if name in self.keypoints else None

    def neighbours(self, keypoint: int) -> tuple[int, ...]:
        """Ordered indices that share an edge with `keypoint` (N(k) of RePose section 3.2)."""
        ends = [a + b - keypoint for a, b in self.edges if keypoint in (a, b)]
        return tuple(sorted(set(ends)))

    def update_order(self, ordering: str) -> tuple[int, ...]:
        """RePose's order of feature updates: "hips-out" (section 3.2) or "top-down" (4.1)."""
        if ordering == "hips-out":
            return self.order
        if ordering == "top-down":
            return _walk(self, self._top())
        raise PoseError(
            'ordering "hips-out" or "top-down"', repr(ordering), "Choose one of the two."
        )

    def _top(self) -> int:
        named = (self.index(n) for n in ("head_top", "head", "nose", "neck"))
        return next((i for i in named if i is not None), 0)

    def to_dict(self) -> dict:
        """Plain types only, for JSON."""
        return {k: _plain(v) for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> "Skeleton":
        return cls(**values)

    @classmethod
    def from_coco_category(cls, category: dict) -> "Skeleton":
        """A skeleton from a COCO category entry: `keypoints` (names) and `skeleton` (1-based).

        The entry of COCO's own person category gives COCO17 with its published sigmas.
        """
        if not category.get("keypoints"):
            raise PoseError(
                "a category with 'keypoints' (names) and 'skeleton' (pairs)",
                f"category {category.get('name', category)!r} with {sorted(category)}",
                "Add the list of key point names to the category in the JSON file.",
            )
        names = tuple(category["keypoints"])
        try:
            edges = tuple((int(a) - 1, int(b) - 1) for a, b in category.get("skeleton") or ())
        except (TypeError, ValueError) as error:
            raise PoseError(
                "'skeleton' as pairs of 1-based indices of key points",
                f"category {category.get('name', '')!r} with {category['skeleton']!r}",
                "Write it like [[1, 2], [2, 3]].",
            ) from error
        if names == COCO17.keypoints:
            return dataclasses.replace(COCO17, edges=edges or COCO17.edges)
        return cls(name=str(category.get("name", "custom")), keypoints=names, edges=edges)


def _plain(value):
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


_SIDED = (
    r"(?P<side>left|right)(?:[_\-. ]|(?=[A-Z0-9]))(?P<rest>.+)",  # left_eye, left-eye, leftEye
    r"(?P<rest>.+)[_\-. ](?P<side>left|right)",  # eye_left
    r"(?P<side>l|r)[_\-. ](?P<rest>.+)",  # l_eye, L-eye
    r"(?P<rest>.+)[_\-. ](?P<side>l|r)",
)


def side(name: str) -> tuple[str, str]:
    """("left", "right" or "", the name without it): what a key point's name says of its side."""
    start = name[:1].lower() + name[1:]  # the capital of leftEye matters, that of Left does not
    for pattern in _SIDED:
        found = re.fullmatch(pattern, start) or re.fullmatch(pattern, name.lower())
        if found:
            return {"l": "left", "r": "right"}[found["side"][0]], found["rest"].lower()
    return "", name.lower()


def _color(name):
    return {"right": _RIGHT, "left": _LEFT, "": _MIDDLE}[side(name)[0]]


def _mirror_by_name(names):
    other = {"left": "right", "right": "left", "": ""}
    index = {side(name): i for i, name in enumerate(names)}
    return tuple(
        index.get((other[hand], rest), i) for i, (hand, rest) in enumerate(map(side, names))
    )


def _lower_by_name(names):
    return tuple(n for n in names if n.endswith(("hip", "knee", "ankle", "pelvis", "heel", "toe")))


def _sigmas_by_name(names):
    return tuple(_SIGMAS.get(side(name)[1], _DEFAULT_SIGMA) for name in names)


def _distances(skeleton, start):
    """Bones between `start` and every key point; unreachable points come last."""
    distance, queue = {start: 0}, deque([start])
    while queue:
        here = queue.popleft()
        for there in skeleton.neighbours(here):
            if there not in distance:
                distance[there] = distance[here] + 1
                queue.append(there)
    return [distance.get(i, skeleton.count) for i in range(skeleton.count)]


def _centre(skeleton):
    """The key point whose farthest other point is nearest: the trunk of an unknown body."""
    return min(range(skeleton.count), key=lambda i: (max(_distances(skeleton, i)), i))


def _walk(skeleton, start):
    distance = _distances(skeleton, start)
    return tuple(sorted(range(skeleton.count), key=lambda i: (distance[i], i)))


def _named(name, keypoints, bones, order):
    index = keypoints.index
    return Skeleton(
        name=name,
        keypoints=tuple(keypoints),
        edges=tuple((index(a), index(b)) for a, b in bones),
        order=tuple(index(n) for n in order),
    )


def _sides(*names):
    """Right before left, as in RePose figure 3."""
    return [f"{side}_{name}" for name in names for side in ("right", "left")]


_LIMBS = [
    (f"{s}_{a}", f"{s}_{b}")
    for a, b in (
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("shoulder", "hip"),
        ("hip", "knee"),
        ("knee", "ankle"),
    )
    for s in ("right", "left")
] + [("right_shoulder", "left_shoulder"), ("right_hip", "left_hip")]
_ORDER = _sides("hip", "shoulder", "knee", "elbow", "ankle", "wrist")  # figure 3's caption

_LEGS = ["right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"]
_ARMS = ["right_wrist", "right_elbow", "right_shoulder"]
_ARMS += ["left_shoulder", "left_elbow", "left_wrist"]
_FACE = ["nose", *(f"{s}_{n}" for n in ("eye", "ear") for s in ("left", "right"))]
_BODY = [f"{s}_{n}" for n in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
         for s in ("left", "right")]  # fmt: skip

LSP14 = _named(
    "lsp14",
    [*_LEGS, *_ARMS, "neck", "head_top"],
    [*_LIMBS, ("neck", "right_shoulder"), ("neck", "left_shoulder"), ("neck", "head_top")],
    [*_ORDER, "neck", "head_top"],
)

MPII16 = _named(
    "mpii16",
    [*_LEGS, "pelvis", "thorax", "upper_neck", "head_top", *_ARMS],
    [
        *_LIMBS,
        ("pelvis", "right_hip"),
        ("pelvis", "left_hip"),
        ("pelvis", "thorax"),
        ("thorax", "right_shoulder"),
        ("thorax", "left_shoulder"),
        ("thorax", "upper_neck"),
        ("upper_neck", "head_top"),
    ],
    [*_ORDER, "pelvis", "thorax", "upper_neck", "head_top"],
)

COCO17 = _named(
    "coco17",
    [*_FACE, *_BODY],
    [
        *_LIMBS,
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"),
        ("right_ear", "right_shoulder"),
    ],
    [*_ORDER, "nose", *_sides("eye", "ear")],
)

_UPPER = [
    *(f"{s}_{n}" for s in ("left", "right") for n in ("shoulder", "elbow", "wrist")),
    *(f"{s}_{n}" for n in ("hip", "eye") for s in ("left", "right")),
    "nose",
]

FLIC11 = _named(
    "flic11",
    _UPPER,
    [
        *(bone for bone in _LIMBS if set(bone) <= set(_UPPER)),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("nose", "left_shoulder"),
        ("nose", "right_shoulder"),
    ],
    [*_sides("hip", "shoulder", "elbow", "wrist"), "nose", *_sides("eye")],
)

SKELETONS = {s.name: s for s in (LSP14, MPII16, COCO17, FLIC11)}


def get(skeleton) -> Skeleton:
    """A Skeleton from a Skeleton, its dict, or one of the names in SKELETONS."""
    if isinstance(skeleton, Skeleton):
        return skeleton
    if isinstance(skeleton, dict):
        return Skeleton.from_dict(skeleton)
    if skeleton in SKELETONS:
        return SKELETONS[skeleton]
    raise PoseError(
        f"a Skeleton or one of {sorted(SKELETONS)}",
        repr(skeleton),
        "Build your own with keras_pose.skeletons.Skeleton(name, keypoints, edges).",
    )
