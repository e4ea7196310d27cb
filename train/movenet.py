r"""Takes the feature extractor out of MoveNet's .tflite, for networks to begin with.

python train/movenet.py movenet_lightning.tflite --out movenet.npz
python train/train.py repose_lite_m_lsp --data DIR --set network.backbone=movenet \
    --set network.weights=movenet.npz
"""

import argparse

import numpy as np

from keras_pose.errors import PoseError, command_line
from keras_pose.export import movenet


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="MoveNet Lightning, single pose, float16 or float32")
    parser.add_argument("--out", required=True, metavar="FILE.npz")
    given = parser.parse_args(arguments)
    if not given.out.endswith(".npz"):
        raise PoseError("--out FILE.npz", given.out, "Give it that ending.")

    arrays = movenet.trunk(given.model)
    try:
        np.savez(given.out, **arrays)
    except OSError as error:
        raise PoseError(
            "a file that can be written", f"{given.out} ({error.strerror})", "Make its folder."
        ) from error
    print(f"wrote {given.out}: {len(arrays) // 2} convolutions, normalisation folded in")
    print(f"next: --set network.backbone=movenet --set network.weights={given.out}")


if __name__ == "__main__":
    main()
