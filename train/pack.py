"""Writes a data set as one file of JPEG patches, which trains anywhere.

python train/pack.py DATA --out FILE.pack [--size 160] [--quality 80] [--margin 1.8]
"""

import argparse

from tqdm import tqdm

from keras_pose.data import packing
from keras_pose.errors import command_line


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="what --data of train/train.py takes")
    parser.add_argument("--out", required=True, metavar="FILE.pack")
    parser.add_argument("--size", type=int, default=160, help="longer side of a patch, at most")
    parser.add_argument("--quality", type=int, default=80, help="of the JPEGs, 1 to 100")
    parser.add_argument(
        "--margin", type=float, default=1.8, help="of the picture around the person's box"
    )
    given = parser.parse_args(arguments)

    done = packing.pack(
        given.data, given.out, given.size, given.quality, given.margin, progress=_bar
    )
    for split, count in done.persons.items():
        print(f"{split}: {count} persons")
    for split, summary in done.skips.items():
        if summary:
            print(f"left out of {split}:\n{summary}")
    if not done.divided:
        print("note: the data are not divided into train and val: every person is in both")
    print(f"wrote {given.out}: {done.bytes} bytes, {done.bytes / 2**20:.1f} MiB")
    print(f"next: python train/train.py RECIPE --data {given.out}")


def _bar(samples, folder):
    return tqdm(samples, folder, unit="person", mininterval=0.5)


if __name__ == "__main__":
    main()
