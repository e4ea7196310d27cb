"""COCO annotations of a made-up skeleton, for tests that score them."""

import numpy as np


def generated(pictures=30, count=5, seed=0, smallest=20):
    """Annotations of a made-up skeleton."""
    rng = np.random.default_rng(seed)
    annotations = []
    for n in range(pictures):
        for _ in range(rng.integers(0, 4)):
            x, y, w, h = *rng.uniform(0, 300, 2), *rng.uniform(smallest, 200, 2)
            points = rng.uniform((x, y), (x + w, y + h), (count, 2)).round(1)
            seen = rng.integers(0, 3, count)
            seen[0] = 2
            triples = np.where(seen[:, None] > 0, np.column_stack([points, seen]), 0)
            labels = {
                "keypoints": triples.ravel().tolist(),
                "num_keypoints": int((seen > 0).sum()),
                "bbox": [x, y, w, h],
                "area": 0.6 * w * h,
            }
            about = {"id": len(annotations) + 1, "image_id": n + 1, "category_id": 1, "iscrowd": 0}
            annotations.append(about | labels)
    images = [{"id": n + 1} for n in range(pictures)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
