"""A long video through `sora-keras enhance`: `python tests/benchmarks/enhancing.py [--seconds N] [--model PRESET]`.

A real clip of 1280x720 with sound is looped, without being encoded anew, to a video of ten minutes, which a process of
its own enhances. What is printed: its peak memory, frames a second, and whether number and times of the frames and
every packet of the sound are the same after it. Without a preset a restoring model without training is taken; it
computes as much as any other one of its size.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av

PROJECT_ROOT = Path(__file__).resolve().parents[2]
MAKE_MODEL = """
import sys
from sora_keras import ClipSpec
from sora_keras.models import SoraEnhancer
SoraEnhancer(mode="restore", clip_spec=ClipSpec(6, 64, 64), scale=int(sys.argv[2])).save_to_preset(sys.argv[1])
"""


def loop(clip: Path, to: Path, seconds: float) -> None:
    """Write the clip's packets again and again until the video is that long."""
    with av.open(str(clip)) as source:
        streams = source.streams.get(video=0, audio=0)
        video = streams[0]
        period = Fraction(video.duration) * video.time_base
        packets = [packet for packet in source.demux(streams) if packet.dts is not None]
        heard = [packet for packet in packets if 0 <= packet.pts * packet.time_base < period]
        stored = [(packet, packet.pts, packet.dts) for packet in heard]
        with av.open(str(to), "w") as container:
            copies = {stream.index: container.add_stream_from_template(stream) for stream in streams}
            sources = {id(packet): packet.stream for packet in heard}
            latest: dict[int, int] = {}
            for turn in range(max(1, round(seconds / period))):
                for packet, pts, dts in stored:
                    stream = sources[id(packet)]
                    later = round(turn * period / stream.time_base)
                    # A packet of sound that would reach into the next turn gives way.
                    if stream.type == "audio" and dts + later <= latest.get(stream.index, -1) + packet.duration // 2:
                        continue
                    packet.stream, packet.time_base = copies[stream.index], stream.time_base
                    packet.pts, packet.dts = pts + later, dts + later
                    latest[stream.index] = packet.dts
                    container.mux(packet)


def packets(path: Path, kind: str) -> list[tuple[Fraction, int]]:
    """Presentation time and hash of the content of each packet, in the order of time."""
    with av.open(str(path)) as container:
        stream = container.streams.get({kind: 0})[0]
        found = [
            (packet.pts * packet.time_base, hash(bytes(packet))) for packet in container.demux(stream) if packet.size
        ]
    return sorted(found)


def main() -> None:
    """Make, enhance, compare, print."""
    data = Path(os.environ.get("SORA_KERAS_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--model", help="folder of a preset; by default a model without training is made")
    parser.add_argument("--scale", type=int, default=1, help="of the model that is made")
    parser.add_argument("--clip", type=Path, default=data / "clean" / "coffee.mp4")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loop(options.clip, folder / "long.mp4", options.seconds)
        model = options.model or str(folder / "model")
        if options.model is None:
            subprocess.run([sys.executable, "-c", MAKE_MODEL, model, str(options.scale)], check=True)
        files = [str(folder / "long.mp4"), str(folder / "enhanced.mp4")]
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "sora_keras.cli", "enhance", model, *files])
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            sys.exit(f"enhance ended with status {status}")
        before, after = (packets(Path(path), "video") for path in files)
        sounds = [packets(Path(path), "audio") for path in files]
        cpu_seconds = usage.ru_utime + usage.ru_stime
        print(f"{len(before)} frames, {float(before[-1][0]):.1f} s; {len(before) / seconds:.2f} frames a second")
        print(f"peak memory {usage.ru_maxrss / 1024:.0f} MB; {seconds:.0f} s, {cpu_seconds:.0f} s of CPU")
        print(f"frame count equal: {len(before) == len(after)}")
        print(f"frame times equal: {[one for one, _ in before] == [one for one, _ in after]}")
        print(f"sound packets and their times equal: {sounds[0] == sounds[1]} ({len(sounds[0])})")


if __name__ == "__main__":
    main()
