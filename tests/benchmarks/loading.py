"""Our loader against OpenCV, Decord, torchcodec and a plain PyAV loop, on the same files in one run.

Command: python tests/benchmarks/loading.py --peers PEERS_VENV/bin/python
The peers live in a virtual environment of their own (torch==2.13.0 torchcodec==0.13.0 decord==0.6.0
opencv-python-headless, and FFmpeg's libraries for torchcodec); one that is not installed there is left out with a word.
Every contestant runs in a process of its own, with as many threads as workers and one FFmpeg thread for each decoder;
rounds alternate between contestants. Ours comes out of `tf.data`, the peers' frames need not. Prints, for each
workload, what came out a second (median over the rounds), the ratios to ours in the same round (above 1: slower than
ours; CPU time tells more on a busy machine), the peak memory with imports and above them, and how far the frames are
from ours, so that nobody wins by returning something else. One more contestant is our reader in plain threads, as the
peers run. The dataset is made before the clock starts, as it is made once for many epochs.
"""

import argparse
import concurrent.futures
import csv
import itertools
import json
import math
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

NUM_FRAMES, SIDE = 16, 112
PIECE_FRAMES = 64
WINDOW_FRAMES_PER_SECOND = 10.0
LONG_VIDEOS = ("people_one_by_one.mp4", "pedestrians.avi", "cars.mp4", "faces_stage.mp4")
DATA = os.environ.get("SORA_KERAS_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared" / "data")


def plan(data, num_clips, num_windows, seed):
    """The jobs of each workload: a path, and the seconds and indices of the frames wanted of it (none: all)."""
    rng = np.random.default_rng(seed)
    with open(data / "fights" / "clips.csv", newline="") as file:
        clips = [str(data / "fights" / row["path"]) for row in csv.DictReader(file)]
    evenly, windows, whole = [], [], []
    for path in rng.permutation(clips)[:num_clips].tolist():
        begins, end = frame_times(path)
        evenly.append(job(path, begins, (np.arange(NUM_FRAMES) + 0.5) * end / NUM_FRAMES))
    for path in (str(data / "scenes" / name) for name in LONG_VIDEOS):
        begins, end = frame_times(path)
        whole.append({"path": path, "num_frames": len(begins)})
        for start in rng.random(num_windows // len(LONG_VIDEOS)) * (end - NUM_FRAMES / WINDOW_FRAMES_PER_SECOND):
            times = start + (np.arange(NUM_FRAMES) + 0.5) / WINDOW_FRAMES_PER_SECOND
            windows.append(job(path, begins, times) | {"start_seconds": start})
    return {"evenly": evenly, "window": rng.permutation(windows).tolist(), "whole": 4 * whole}


def frame_times(path):
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        stamps = [packet.pts if packet.pts is not None else packet.dts for packet in container.demux(stream)]
        stamps = np.sort([stamp for stamp in stamps if stamp is not None])
        begins = (stamps - stamps[0]) * float(stream.time_base)
        return begins, begins[-1] + 1 / float(stream.average_rate)


def job(path, begins, times):
    indices = np.searchsorted(begins, times + 1e-3, side="right") - 1
    return {"path": path, "seconds": times.tolist(), "indices": indices.tolist()}


def run_ours(workload, jobs, workers):
    """Ours through tf.data: the number of a job and frames of it, whole videos in pieces."""
    import tensorflow as tf

    dataset = whole_videos([job["path"] for job in jobs], workers) if workload == "whole" else clips_of(jobs)
    options = tf.data.Options()
    if workers < os.cpu_count():
        options.threading.private_threadpool_size = workers
    return dataset.with_options(options).as_numpy_iterator()


def clips_of(jobs):
    import sora_keras

    is_window = "start_seconds" in jobs[0]
    window_seconds = NUM_FRAMES / WINDOW_FRAMES_PER_SECOND
    starts = [job.get("start_seconds", 0.0) for job in jobs]
    ends = [start + window_seconds if is_window else None for start in starts]
    rows = [
        sora_keras.data.Row(job["path"], start_seconds=start, end_seconds=end)
        for job, start, end in zip(jobs, starts, ends, strict=True)
    ]
    spec = sora_keras.ClipSpec(NUM_FRAMES, SIDE, SIDE, WINDOW_FRAMES_PER_SECOND if is_window else None)
    clips = sora_keras.data.video_dataset_from_manifest(rows, spec, label_mode=None, batch_size=None, shuffle=False)
    return clips.enumerate()


def whole_videos(paths, workers):
    import tensorflow as tf

    import sora_keras

    def read(path):
        frames = (frame for _, frame in sora_keras.video.stream_frames(os.fsdecode(path), SIDE, SIDE))
        while piece := list(itertools.islice(frames, PIECE_FRAMES)):
            yield np.stack(piece)

    def load(index, path):
        signature = tf.TensorSpec((None, SIDE, SIDE, 3), tf.uint8)
        pieces = tf.data.Dataset.from_generator(read, args=(path,), output_signature=signature)
        return pieces.map(lambda piece: (index, piece))

    videos = tf.data.Dataset.from_tensor_slices(paths).enumerate()
    return videos.interleave(load, workers, 1, workers, deterministic=False)


def read_ours(job):
    import sora_keras

    if "seconds" not in job:
        return [frame for _, frame in sora_keras.video.stream_frames(job["path"], SIDE, SIDE)]
    is_window = "start_seconds" in job
    spec = sora_keras.ClipSpec(NUM_FRAMES, SIDE, SIDE, WINDOW_FRAMES_PER_SECOND if is_window else None)
    start = job.get("start_seconds", 0.0)
    end = start + NUM_FRAMES / WINDOW_FRAMES_PER_SECOND if is_window else None
    return sora_keras.read_clip(job["path"], spec, start_seconds=start, end_seconds=end).frames


def read_pyav(job):
    import av

    with av.open(job["path"]) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if "seconds" not in job:
            return [pyav_pixels(frame) for frame in container.decode(stream)]
        wanted = list(job["seconds"])
        start = stream.start_time or 0
        if "start_seconds" in job:
            container.seek(start + int(wanted[0] / stream.time_base), stream=stream)
        frames, shown = [], None
        for frame in container.decode(stream):
            while wanted and shown is not None and float((frame.pts - start) * stream.time_base) > wanted[0] + 1e-3:
                frames.append(pyav_pixels(shown))
                del wanted[0]
            if not wanted:
                break
            shown = frame
        return frames + [pyav_pixels(shown) for _ in wanted]


def pyav_pixels(frame):
    return frame.reformat(SIDE, SIDE, "rgb24", interpolation="BILINEAR").to_ndarray()


def read_opencv(job):
    import cv2

    return opencv_frames(job, cv2.INTER_AREA)


def read_opencv_aliased(job):
    """With OpenCV's default, which takes four pixels of however many a shrunk one stands for."""
    import cv2

    return opencv_frames(job, cv2.INTER_LINEAR)


def opencv_frames(job, interpolation):
    import cv2

    def pixels(frame):
        return cv2.cvtColor(cv2.resize(frame, (SIDE, SIDE), interpolation=interpolation), cv2.COLOR_BGR2RGB)

    capture = cv2.VideoCapture(job["path"], cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    frames, position = [], -1
    if "indices" not in job:
        while capture.grab():
            frames.append(pixels(capture.retrieve()[1]))
        return frames
    if "start_seconds" in job:
        capture.set(cv2.CAP_PROP_POS_FRAMES, job["indices"][0])
        position = job["indices"][0] - 1
    for index in job["indices"]:
        while position < index and capture.grab():
            position += 1
        frames.append(pixels(capture.retrieve()[1]))
    return frames


def read_decord(job):
    import decord

    reader = decord.VideoReader(job["path"], decord.cpu(0), width=SIDE, height=SIDE, num_threads=1)
    if "indices" not in job:
        return [reader.next().asnumpy() for _ in range(len(reader))]
    return reader.get_batch(job["indices"]).asnumpy()


def read_torchcodec(job):
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    decoder = VideoDecoder(
        job["path"],
        dimension_order="NHWC",
        num_ffmpeg_threads=1,
        seek_mode="approximate",
        transforms=[Resize((SIDE, SIDE))],
    )
    if "indices" not in job:
        total = len(decoder)
        ends = ((first, min(first + PIECE_FRAMES, total)) for first in range(0, total, PIECE_FRAMES))
        pieces = (decoder.get_frames_in_range(first, end) for first, end in ends)
        return np.concatenate([piece.data.numpy() for piece in pieces])
    return decoder.get_frames_at(job["indices"]).data.numpy()


READERS = {
    "ours, plain threads": read_ours,
    "opencv": read_opencv,
    "opencv, aliased": read_opencv_aliased,
    "decord": read_decord,
    "torchcodec": read_torchcodec,
    "pyav loop": read_pyav,
}
CONTESTANTS = ("ours", *READERS)
PEERS = ("opencv", "opencv, aliased", "decord", "torchcodec")


def run_in_threads(read, jobs, workers):
    if workers == 1:
        yield from enumerate(map(read, jobs))
        return
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        yield from enumerate(pool.map(read, jobs))


def work(contestant, workload, workers, plan_path, samples_path):
    """What a contestant's process does: warm up, run all jobs once, tell how long it took."""
    jobs = json.loads(pathlib.Path(plan_path).read_text())[workload]

    def run(jobs):
        if contestant == "ours":
            return run_ours(workload, jobs, workers)
        return run_in_threads(READERS[contestant], jobs, workers)

    for _ in run(sorted(jobs, key=lambda job: os.path.getsize(job["path"]))[:1]):
        pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    num_frames, samples = 0, {}
    results = run(jobs)
    start, start_cpu = time.perf_counter(), time.process_time()
    for index, frames in results:
        num_frames += len(frames)
        if (index % 8 == 0 or workload == "whole") and str(index) not in samples:
            samples[str(index)] = np.array(frames[:NUM_FRAMES])
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.savez(samples_path, **samples)
    numbers = {"num_frames": num_frames, "seconds": seconds, "cpu_seconds": cpu_seconds}
    print(json.dumps(numbers | {"peak": peak, "above": peak - before}))


def measure(interpreters, contestant, workload, workers, folder):
    """One process of one contestant: its numbers and sampled frames, or what went wrong."""
    samples = folder / "samples.npz"
    command = [interpreters[contestant], __file__, "--work", contestant, workload, str(workers)]
    done = subprocess.run([*command, folder / "plan.json", samples], capture_output=True, text=True)
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    with np.load(samples) as arrays:
        return json.loads(done.stdout.splitlines()[-1]), dict(arrays)


def compare(interpreters, workload, workers, rounds, folder, num_jobs):
    """Alternate the contestants and print a line for each."""
    taken, samples, failed = {name: [] for name in CONTESTANTS}, {}, {}
    for _ in range(rounds):
        for name in CONTESTANTS:
            if name not in failed:
                numbers, detail = measure(interpreters, name, workload, workers, folder)
                if numbers is None:
                    failed[name] = detail
                else:
                    taken[name].append(numbers)
                    samples[name] = detail
    unit = "frames" if workload == "whole" else "clips"
    print(f"\n{workload}, {workers} worker{'s' if workers > 1 else ''}: {unit} a second")
    for name in CONTESTANTS:
        if name in failed:
            print(f"  {name:20} left out: {failed[name]}")
            continue
        speeds = [(run["num_frames"] if unit == "frames" else num_jobs) / run["seconds"] for run in taken[name]]
        time_ratio, cpu_ratio = (ratio(taken[name], taken["ours"], key) for key in ("seconds", "cpu_seconds"))
        peak, above = (statistics.median(run[key] for run in taken[name]) / 1024 for key in ("peak", "above"))
        print(
            f"  {name:20} {statistics.median(speeds):8.1f}   {time_ratio:5.2f} x our time, {cpu_ratio:5.2f} x our CPU "
            f"time   peak {peak:5.0f} MiB, {above:4.0f} above start   "
            f"{difference(samples[name], samples.get('ours, plain threads', {}))}",
            flush=True,
        )


def ratio(theirs, ours, key):
    return statistics.median([their[key] / our[key] for their, our in zip(theirs, ours, strict=False)] or [math.nan])


def difference(samples, expected):
    common = [key for key in samples if key in expected and samples[key].shape == expected[key].shape]
    if not common:
        return ""
    gaps = [np.abs(samples[key].astype(int) - expected[key]).mean() for key in common]
    return f"differs by {np.mean(gaps):.2f} of 255 (worst clip {max(gaps):.2f})"


def main(peers, rounds, workloads, workers, num_clips, num_windows, seed):
    interpreters = dict.fromkeys(CONTESTANTS, sys.executable)
    interpreters.update(dict.fromkeys(PEERS, peers or sys.executable))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        jobs = plan(pathlib.Path(DATA), num_clips, num_windows, seed)
        (folder / "plan.json").write_text(json.dumps(jobs))
        print(f"{os.cpu_count()} cores, {rounds} rounds, {num_clips} clips, {num_windows} windows, seed {seed}")
        for workload in workloads:
            for count in workers:
                compare(interpreters, workload, count, rounds, folder, len(jobs[workload]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="the Python of the peers' virtual environment; by default this one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workloads", nargs="+", default=["evenly", "window", "whole"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clips", dest="num_clips", type=int, default=120, help="clips of `evenly`")
    parser.add_argument("--windows", dest="num_windows", type=int, default=80, help="windows of `window`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    arguments = vars(parser.parse_args())
    if task := arguments.pop("work"):
        work(task[0], task[1], int(task[2]), *task[3:])
    else:
        main(**arguments)
