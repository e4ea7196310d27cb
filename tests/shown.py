"""What tests show a pose network, made of numpy alone: pictures, poses and batches."""

import numpy as np


def pictures(network, count=2, seed=0):
    """(count, H, W, 3) uint8: bright blobs before noise, so that nothing is flat."""
    height, width = network.input_size
    draw = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    images = draw.integers(0, 100, (count, height, width, 3))
    for image in images:
        u, v, r = draw.uniform(0.2, 0.8, 3)
        blob = np.exp(-((x - u * width) ** 2 + (y - v * height) ** 2) / (r * width))
        image += (155 * blob[..., None] * draw.uniform(0, 1, 3)).astype(int)
    return images.astype(np.uint8)


def poses(network, count=2, seed=0):
    """(count, K, 3) float32: a pose for each picture, of which the first lacks a key point."""
    draw = np.random.default_rng(seed)
    made = draw.uniform(0.2, 0.8, (count, network.skeleton.count, 3))
    made[..., 2] = 1
    made[0, 0] = 0
    return made.astype(np.float32)


def batch(network, count=2, seed=0):
    """(x, y) as keras_pose.data.batches.Loader gives them, nothing warped."""
    draw = np.random.default_rng(seed)
    joints = network.skeleton.count
    x = {
        "patch": pictures(network, count, seed),
        "matrix": np.tile(np.float32([[1, 0, 0], [0, 1, 0]]), (count, 1, 1)),
        "color": np.tile(np.float32([[1, 1, 1], [0, 0, 0]]), (count, 1, 1)),
    }
    if network.extra_inputs:
        x["pose"] = poses(network, count, seed)
    y = {
        "keypoints": draw.uniform(0.2, 0.8, (count, joints, 2)).astype(np.float32),
        "visible": np.ones((count, joints), np.float32),
        "person": np.ones(count, np.float32),
    }
    return x, y
