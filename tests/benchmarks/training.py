"""A training step of the default network beside the same network in plain Keras and in PyTorch.

Command: python tests/benchmarks/training.py [--torch PYTHON]
Prints medians and ratios (their time over ours, above 1 is faster), by the clock and by the processor's seconds, which
a busy machine changes less; then the time of the first step and the size of its graph for two values of T. Every
contestant is a process of its own with the same weights, whose first losses must agree; they take turns. `--torch`
names a Python that has PyTorch.
"""

import argparse

from default_network import KERAS_CONTESTANTS, TORCH_CONTESTANTS, Contestant, compare


def main(rounds, torch, threads, batch_size):
    sizes = {"threads": threads, "side": 64}
    compare(
        "train", KERAS_CONTESTANTS + TORCH_CONTESTANTS, rounds, torch, batch_size=batch_size, num_frames=32, **sizes
    )
    for num_frames in (32, 64):
        answers = {}
        for action in ("train", "count_nodes"):
            contestant = Contestant("ours", action, batch_size=batch_size, num_frames=num_frames, **sizes)
            answers[action] = contestant.turn()
            contestant.end()
        first, nodes = answers["train"]["seconds"], answers["count_nodes"]["result"]
        print(f"ours, T={num_frames}: first step {first:.1f} s, {nodes} graph nodes", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted turns of each")
    parser.add_argument("--torch", help="a Python with PyTorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    main(**vars(parser.parse_args()))
