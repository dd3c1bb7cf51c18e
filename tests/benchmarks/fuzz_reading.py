"""Thousands of damaged copies of real videos through every reader, in processes of their own.

Command: python tests/benchmarks/fuzz_reading.py [--mutations 2000] [--seed 0]
Each copy is made from a real file (as it is, or its first frames put into another container) by one to three
mutations, all drawn from the seed and the copy's number. Each is read by read_clip (spread over the video, and a
random window), read_windows and stream_frames. Anything but frames or a VideoError is a failure: another exception, a
crash, more than the time limit, more than 1 GB of memory. Prints a line for each failure with its recipe
(`--only NUMBER` repeats it, `--keep FOLDER` saves the file), then the counts. The exit status is 1 if there is any.
"""

import argparse
import collections
import concurrent.futures
import itertools
import json
import os
import pathlib
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
from fractions import Fraction

import numpy as np

DATA = os.environ.get("SORA_KERAS_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared" / "data")
FILES = (
    "fights/fight/fi001.mp4", "fights/fight/fi075.mp4", "fights/fight/fi095.mp4", "fights/fight/fi098.mp4",
    "fights/no_fight/nofi001.mp4", "fights/no_fight/nofi083.mp4", "scenes/v_ApplyEyeMakeup_g01_c01.avi",
    "scenes/v_BaseballPitch_g01_c01.avi", "scenes/v_Basketball_g01_c01.avi", "scenes/pedestrians.avi",
    "scenes/faces_stage.mp4", "scenes/cars.mp4", "scenes/people_one_by_one.mp4", "scenes/faces_walking.gif",
    "ceiling/20200628_144536.mp4", "ceiling/20200629_140431.mp4", "broken/BA_MW_D_IDR_LOST.264",
    "broken/BA_MW_D_P_LOST.264", "broken/Error_I_P.264", "broken/damaged_middle.mp4", "broken/megamind_buggy.avi",
    "broken/truncated.mp4",
)  # fmt: skip
BOXES = (
    b"trak", b"mdia", b"stbl", b"stts", b"ctts", b"stsz", b"stsc", b"stco", b"stss", b"edts", b"mdhd", b"tkhd", b"mvhd",
    b"moof", b"traf", b"trun", b"tfdt", b"mdat", b"moov", b"strh", b"strf", b"avih", b"idx1", b"hdrl",
)  # fmt: skip
CONTAINERS = ("as it is", "mp4", "fragments.mp4", "mkv", "ts", "flv", "avi", "webm", "mpg", "wmv")
# The others are filled with the packets of the real file as they are.
ENCODERS = {"webm": "libvpx-vp9", "avi": "mpeg4", "mpg": "mpeg1video", "wmv": "wmv2"}
NUM_FRAMES = 60
MEMORY_LIMIT_MIB = 1024
FAILURES = ("other exception", "crash", "hang", "over 1 GB")
ADDRESS_SPACE_LIMIT = 6 * 2**30
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 60000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**24, 2**31 - 2**16,
            2**62, 2**63, 2**64 - 1)  # fmt: skip


def make_sources(data, folder):
    """The real files, shortened and in several containers, as name to path."""
    sources = {}
    for name in FILES:
        for container in CONTAINERS:
            target = folder / f"{len(sources)}.{container if container in CONTAINERS[1:] else name.split('.')[-1]}"
            try:
                convert(data / name, container, target)
                if target.exists() and target.stat().st_size > 64:
                    sources[f"{name} ({container})"] = target
            except (OSError, ValueError):
                target.unlink(missing_ok=True)  # This codec does not go into that container.
    return sources


def convert(path, container, target):
    import av

    if container == "as it is":
        if path.stat().st_size < 3_000_000:
            target.write_bytes(path.read_bytes())
        return
    options = {"movflags": "frag_keyframe+empty_moov"} if container == "fragments.mp4" else {}
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as output:
        stream = source.streams.video[0]
        if container not in ENCODERS:
            copy = output.add_stream_from_template(stream)
            for packet in itertools.islice(source.demux(stream), NUM_FRAMES):
                if packet.dts is not None and packet.pts is not None:
                    packet.stream = copy
                    output.mux(packet)
            return
        settings = {"deadline": "realtime", "cpu-used": "8"} if container == "webm" else {"g": "12"}
        encoded = output.add_stream(ENCODERS[container], rate=25, options=settings)
        encoded.width, encoded.height, encoded.pix_fmt = 160, 120, "yuv420p"
        for index, frame in enumerate(itertools.islice(source.decode(stream), NUM_FRAMES)):
            frame = frame.reformat(160, 120, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(encoded.encode(frame))
        output.mux(encoded.encode(None))


def recipe(number, seed, sources):
    """Name of the source of this copy, and the generator that damages it."""
    rng = np.random.default_rng([seed, number])
    return sorted(sources)[int(rng.integers(len(sources)))], rng


def mutate(content, rng):
    """One to three mutations; returns the damaged bytes and what was done."""
    names = []
    for _ in range(int(rng.integers(1, 4))):
        mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        names.append(mutation.__name__)
        content = mutation(bytearray(content), rng) if len(content) > 64 else content
    return bytes(content), names


def place(content, rng):
    """A position, more often than not in a header: near the beginning, or in MP4's box at the end."""
    choice = rng.random()
    if choice < 0.4:
        return int(rng.integers(0, min(len(content), 2048)))
    moov = content.find(b"moov")
    if choice < 0.7 and moov >= 0:
        return int(rng.integers(moov, min(len(content), moov + 6000)))
    return int(rng.integers(0, len(content)))


def flip_bits(content, rng):
    for _ in range(int(2 ** rng.uniform(0, 8))):
        content[place(content, rng)] ^= 1 << int(rng.integers(8))
    return content


def overwrite_run(content, rng):
    size = int(2 ** rng.uniform(0, 12))
    fill = [b"\x00" * size, b"\xff" * size, rng.bytes(size)][int(rng.integers(3))]
    at = place(content, rng)
    content[at : at + size] = fill[: len(content) - at]
    return content


def cut(content, rng):
    return content[: int(len(content) * rng.random()) + 1]


def duplicate_block(content, rng):
    at, size = place(content, rng), int(2 ** rng.uniform(0, 14))
    to = place(content, rng)
    content[to:to] = content[at : at + size]
    return content


def remove_block(content, rng):
    at, size = place(content, rng), int(2 ** rng.uniform(0, 14))
    del content[at : at + size]
    return content


def swap_boxes(content, rng):
    """Swap two MP4 boxes (or AVI chunks) that lie anywhere, or two blocks where there are none."""
    found = [(content.find(kind) - 4, kind) for kind in BOXES if content.find(kind) >= 4]
    spans = []
    for at, _ in found:
        size = int.from_bytes(content[at : at + 4], "big")
        spans.append((at, at + size if 8 <= size <= len(content) - at else at + 8))
    if len(spans) < 2:
        spans = [(at, at + 188) for at in (place(content, rng), place(content, rng))]
    one, two = (spans[int(index)] for index in rng.integers(len(spans), size=2))
    (a, b), (c, d) = sorted((one, two))
    if b > c:
        return content
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def edit_field(content, rng):
    """Write an extreme number where a header keeps one."""
    width = int(rng.choice([1, 2, 4, 4, 4, 8]))
    value = EXTREMES[int(rng.integers(len(EXTREMES)))] % 256**width
    at = place(content, rng)
    at = min(at - at % int(rng.choice([1, 2, 4])), len(content) - width)
    content[at : at + width] = value.to_bytes(width, "big" if rng.random() < 0.6 else "little")
    return content


MUTATIONS = (flip_bits, overwrite_run, cut, duplicate_block, remove_block, swap_boxes, *[edit_field] * 3)


def readers(path, number):
    from sora_keras.video import ClipSpec, read_clip, read_windows, stream_frames

    rng = np.random.default_rng(number)
    yield "read_clip", lambda: read_clip(path, ClipSpec(8, 32, 32))
    yield "random_window", lambda: read_clip(path, ClipSpec(8, 32, 32, 4.0), "random_window", rng=rng)
    yield "read_windows", lambda: sum(1 for _ in read_windows(path, ClipSpec(8, 32, 32, 1.0), 16.0))
    yield "stream_frames", lambda: sum(1 for _ in stream_frames(path, 32, 32))


def peak_mib():
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    return 0


def work():
    """A worker process: paths come in by line, what became of them goes out by line."""
    from sora_keras.video import VideoError

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_LIMIT, ADDRESS_SPACE_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        number, path = json.loads(line)
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # Resets the peak.
        outcomes, start = {}, time.monotonic()
        for name, read in readers(path, number):
            try:
                read()
                outcomes[name] = "read"
            except VideoError:
                outcomes[name] = "VideoError"
            except Exception:
                outcomes[name] = traceback.format_exc()
        answer = {"outcomes": outcomes, "seconds": time.monotonic() - start, "peak": peak_mib()}
        print(json.dumps(answer), flush=True)


class Worker:
    """A worker process, started again after a crash or a hang."""

    def __init__(self, folder, name, time_limit):
        self.trace, self.time_limit, self.process = folder / f"{name}.trace", time_limit, None

    def read(self, number, path):
        if self.process is None:
            command = [sys.executable, "-X", "faulthandler", __file__, "--work"]
            with self.trace.open("w") as trace:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=trace, text=True
                )
        self.process.stdin.write(json.dumps([number, str(path)]) + "\n")
        self.process.stdin.flush()
        has_answered, _, _ = select.select([self.process.stdout], [], [], self.time_limit)
        line = self.process.stdout.readline() if has_answered else ""
        if line:
            return json.loads(line)
        self.stop()
        detail = self.trace.read_text(errors="replace")[-2000:]
        return {"failure": "crash" if has_answered else "hang", "detail": detail, "seconds": 0, "peak": 0}

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def fuzz(numbers, seed, sources, folder, name, time_limit, keep):
    """Damage and read the copies of these numbers: kind, seconds, MiB and recipe of each."""
    worker, results = Worker(folder, name, time_limit), []
    for number in numbers:
        source, rng = recipe(number, seed, sources)
        content, mutations = mutate(sources[source].read_bytes(), rng)
        path = (keep or folder) / f"copy-{number if keep else name}{sources[source].suffix}"
        path.write_bytes(content)
        result = worker.read(number, path)
        kind, detail = verdict(result)
        text = f"--seed {seed} --only {number}: {source}, {', '.join(mutations)}"
        if kind in FAILURES:
            print(f"{kind} {text}\n{detail}", flush=True)
        results.append((kind, result["seconds"], result["peak"], text))
    worker.stop()
    return results


def verdict(result):
    """What became of a copy, in a word, and the trace of an exception that must not be."""
    if "failure" in result:
        return result["failure"], result["detail"]
    outcomes = result["outcomes"].values()
    for outcome in outcomes:
        if outcome not in ("read", "VideoError"):
            return "other exception", outcome
    if result["peak"] > MEMORY_LIMIT_MIB:
        return "over 1 GB", f"{result['peak']} MiB"
    return ("VideoError", "") if "VideoError" in outcomes else ("read", "")


def main(mutations, seed, workers, time_limit, only, keep):
    start = time.monotonic()
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, concurrent.futures.ThreadPoolExecutor(workers) as pool:
        folder = pathlib.Path(name)
        sources = make_sources(pathlib.Path(DATA), folder)
        numbers = range(mutations) if only is None else [only]
        print(f"{len(numbers)} damaged copies of {len(sources)} files, seed {seed}", flush=True)
        parts = [
            pool.submit(fuzz, numbers[index::workers], seed, sources, folder, index, time_limit, keep)
            for index in range(workers)
        ]
        results = [result for part in parts for result in part.result()]
    counts = collections.Counter(kind for kind, *_ in results)
    slowest, largest = max(results, key=lambda result: result[1]), max(results, key=lambda result: result[2])
    print(", ".join(f"{kind}: {counts[kind]}" for kind in ("read", "VideoError", *FAILURES)))
    print(f"took {time.monotonic() - start:.0f} s with {workers} workers")
    print(f"slowest {slowest[1]:.1f} s ({slowest[3]})\nlargest {largest[2]} MiB ({largest[3]})")
    return int(any(counts[kind] for kind in FAILURES))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for the four readers of one copy")
    parser.add_argument("--only", type=int, help="repeat the copy of this number")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder to keep the damaged copies in")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = vars(parser.parse_args())
    if arguments.pop("work"):
        work()
    else:
        sys.exit(main(**arguments))
