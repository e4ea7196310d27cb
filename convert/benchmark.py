"""Times .tflite files side by side: interleaved, medians, and the ratio to the first file.

python convert/benchmark.py A.tflite B.tflite ... [--threads 1] [--rounds 25] [--csv FILE]
"""

import argparse
import shlex
import sys

from keras_pose.errors import command_line


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE.tflite", help="anyone's, or a preset")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each")
    parser.add_argument("--rounds", type=int, default=25, help="timed runs of each")
    parser.add_argument("--csv", metavar="FILE", help="also write the ratios, with this command")
    given = parser.parse_args()

    from keras_pose.runtime import benchmark

    timings = benchmark.compare(given.files, given.threads, given.rounds)
    print(benchmark.table(timings))
    if given.csv:
        command = shlex.join(["python", "convert/benchmark.py", *sys.argv[1:]])
        benchmark.write_csv(given.csv, timings, command, given.threads, given.rounds)


if __name__ == "__main__":
    main()
