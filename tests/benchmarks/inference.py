"""Prediction with the default network beside the same network in plain Keras and in PyTorch.

Command: python tests/benchmarks/inference.py [--torch PYTHON]
Prints medians and ratios (their time over ours, above 1 is faster), by the clock and by the processor's seconds, which
a busy machine changes less. Every contestant is a process of its own with the same weights, whose outputs must agree;
they take turns. `--torch` names a Python that has PyTorch.
"""

import argparse

from default_network import KERAS_CONTESTANTS, TORCH_CONTESTANTS, compare


def main(rounds, torch, threads, batch_size):
    names = KERAS_CONTESTANTS + TORCH_CONTESTANTS
    compare("predict", names, rounds, torch, threads=threads, batch_size=batch_size, num_frames=32, side=64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="counted turns of each")
    parser.add_argument("--torch", help="a Python with PyTorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    main(**vars(parser.parse_args()))
