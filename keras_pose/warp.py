"""A batch of affine warps: the one place where backends differ."""

import keras
from keras import ops


def affine(images, matrices, size):
    """Samples every picture of a batch along its own affine map, bilinearly.

    images: (B, P, Q, 3) float32; matrices: (B, 2, 3), output pixel to input pixel, a pixel's centre
    at its integer index; size: (H, W) of the output. Outside the picture lies grey (127).
    Returns (B, H, W, 3) float32. No gradient is needed through it, and none is promised.
    """
    flat = ops.reshape(matrices, (-1, 6))
    transforms = ops.concatenate([flat, ops.zeros_like(flat[:, :2])], axis=1)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # keras.ops would compute all of P x Q; this operation takes the output's size
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=transforms,
            output_shape=tf.constant(size, tf.int32),
            fill_value=tf.constant(127.0),
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )
    height, width = size
    short = (max(0, height - images.shape[1]), max(0, width - images.shape[2]))
    if any(short):
        grow = ((0, 0), (0, short[0]), (0, short[1]), (0, 0))
        images = ops.pad(images, grow, constant_values=127.0)
    warped = ops.image.affine_transform(images, transforms, fill_value=127.0)
    return warped[:, :height, :width]
