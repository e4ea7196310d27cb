"""Where a heatmap's cells lie in the picture, by either of two geometries.

Ordinarily the cells tile the picture, as pixels do in this project: cell g is at u = (g + 0.5) / w.
In UDP's the outer cells' centres lie on the outer pixels' centres: cell g is at pixel
g (W - 1) / (w - 1) (Huang et al., The Devil is in the Details, CVPR 2020, section 3.2; `unbiased`).
In both, mirrored maps show mirrored points. What UDP calls biased, cell g at pixel g W / w, is
neither of them.

Sizes are (height, width); what depends on an axis is in the order x, y.
"""

import functools

import numpy as np


@functools.cache
def axes(input_size, map_size, unbiased):
    """scale and start, (2, 1) float32 each: normalised u is at cell u * scale + start."""
    pixels, cells = np.array([input_size[::-1], map_size[::-1]], np.float64)[:, :, None]
    if unbiased:
        step = (cells - 1) / (pixels - 1)  # cells from one pixel to the next
        scale, start = pixels * step, -0.5 * step
    else:
        scale, start = cells, np.full((2, 1), -0.5)
    return scale.astype(np.float32), start.astype(np.float32)


@functools.cache
def spread(sigma, input_size, map_size, unbiased):
    """A length of `sigma` pixels in cells, along x and y, two floats."""
    scale, _ = axes(input_size, map_size, unbiased)
    return tuple(float(sigma * s / n) for s, n in zip(scale[:, 0], input_size[::-1], strict=True))
