"""What rematerialization saves: peak memory and time of a training step with long clips of larger frames.

Command: python tests/benchmarks/training_memory.py
Prints, with the default network at B=4, T=128, 112x112, the growth of the process's peak memory over the steps and
their median time, with `rematerialize` and without, each in a process of its own; the first losses must agree.
"""

import argparse
import statistics

from default_network import Contestant


def main(rounds, threads, batch_size, num_frames, side):
    sizes = {"threads": threads, "batch_size": batch_size, "num_frames": num_frames, "side": side}
    found = {}
    for rematerialize in (0, 1):
        contestant = Contestant("ours", "train", rematerialize=rematerialize, **sizes)
        turns = [contestant.turn() for _ in range(1 + rounds)]
        contestant.end()
        seconds, processor = (
            statistics.median(turn[unit] for turn in turns[1:]) for unit in ("seconds", "processor_seconds")
        )
        found[rematerialize] = turns
        print(
            f"rematerialize={bool(rematerialize)!s:5}  peak {turns[-1]['peak_mb']:6.0f} MB   "
            f"median step {seconds:.2f} s   processor seconds {processor:.2f}   "
            f"losses {[round(turn['result'], 5) for turn in turns]}",
            flush=True,
        )
    print(f"memory with over without: {found[1][-1]['peak_mb'] / found[0][-1]['peak_mb']:.2f}")
    if abs(found[1][0]["result"] - found[0][0]["result"]) > 1e-4:
        raise SystemExit("the losses differ")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="steps after the first")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--num-frames", type=int, default=128)
    parser.add_argument("--side", type=int, default=112)
    main(**vars(parser.parse_args()))
