"""What serving costs: over the network against in the process, batched against alone, encoded against raw, streamed.

Command: python tests/benchmarks/serving.py --video FILE [--only latency throughput encoded stream memory start]
Prints medians of calls that take turns, their ratios, and what each was to reach. Servers are development servers in
processes of their own; the model is the default network with random weights, which cost the same. Linux only; for the
figures of one core begin the command with `taskset -c 0`.
"""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import httpx
import keras
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

import sora_keras
from sora_keras.models.streaming import Stream

NAMES = ["a", "b"]
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
SERVER = """
import sys
from sora_keras.serving.development import DevelopmentServer
batching = {"max_batch_size": 32, "batch_timeout_micros": 2000, "max_enqueued_batches": 100}
server = DevelopmentServer(sys.argv[1], 0, 0, batching=batching if sys.argv[2] == "batching" else None).start()
print(server.rest_port, server.grpc_port, flush=True)
server.wait()
"""


class Server:
    """A development server in a process of its own."""

    def __init__(self, model: Path, batching: bool = False) -> None:
        start = time.perf_counter()
        arguments = [sys.executable, "-c", SERVER, str(model), "batching" if batching else "alone"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        rest_port, grpc_port = map(int, self.process.stdout.readline().split())
        self.seconds_to_ready = time.perf_counter() - start
        self.url = f"http://127.0.0.1:{rest_port}/v1/models/{model.name}:predict"
        self.http = httpx.Client(timeout=120)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}", UNLIMITED)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.name = model.name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def rest(self, body: bytes) -> dict:
        response = self.http.post(self.url, content=body)
        response.raise_for_status()
        return response.json()

    def grpc(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self.name, signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        return {name: tf.make_ndarray(value) for name, value in self.stub.Predict(request, timeout=120).outputs.items()}


def main(video: str, only: list[str], side: int, num_frames: int, frames: int, calls: int) -> None:
    spec = sora_keras.ClipSpec(num_frames, side, side)
    keras.utils.set_random_seed(0)
    model = sora_keras.SoraClassifier(sora_keras.SoraBackbone(spec), NAMES)
    clip = sora_keras.read_clip(video, spec).frames
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "default"
        if set(only) & {"latency", "throughput", "encoded", "start"}:
            sora_keras.export(model, path)
        print(f"{os.cpu_count()} cores; the default network, {num_frames} frames of {side}x{side}", flush=True)
        if "latency" in only:
            latency(path, clip, calls)
        if "encoded" in only:
            encoded(path, clip, calls)
        if "throughput" in only:
            throughput(path, model, clip)
        if "start" in only:
            start(path, clip)
    if "stream" in only:
        stream(model, clip, calls)
    if "memory" in only:
        memory(model, clip, frames)


def turns(calls: int, **contestants) -> dict[str, np.ndarray]:
    """Seconds of each call, the contestants taking turns."""
    for call in contestants.values():
        call(), call()
    seconds = {name: [] for name in contestants}
    for _ in range(calls):
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def tell(what: str, seconds: np.ndarray, beside: np.ndarray, aim: str) -> None:
    median, p99 = 1000 * np.median(seconds), 1000 * np.quantile(seconds, 0.99)
    ratio = np.median(seconds) / np.median(beside)
    print(f"{what:44} {median:8.1f} ms, p99 {p99:8.1f} ms, {ratio:5.2f} x  (to reach: {aim})", flush=True)


def raw_body(clip: np.ndarray) -> bytes:
    return json.dumps({"instances": [clip.tolist()]}).encode()


def jpeg(clip: np.ndarray) -> list[bytes]:
    return [tf.io.encode_jpeg(frame, quality=90).numpy() for frame in clip]


def encoded_body(frames: list[bytes]) -> bytes:
    instance = [{"b64": base64.b64encode(frame).decode()} for frame in frames]
    return json.dumps({"signature_name": "encoded", "instances": [instance]}).encode()


def latency(path: Path, clip: np.ndarray, calls: int) -> None:
    loaded = tf.saved_model.load(str(path / "1"))
    whole, small = loaded.signatures["serving_default"], loaded.signatures["encoded"]
    frames = jpeg(clip)
    strings, body, raw = tf.constant([frames]), encoded_body(frames), raw_body(clip)
    with Server(path) as server:
        seconds = turns(
            calls,
            whole=lambda: whole(frames=tf.constant(clip[None])),
            grpc=lambda: server.grpc("serving_default", frames=clip[None]),
            rest=lambda: server.rest(raw),
            small=lambda: small(frames=strings),
            grpc_small=lambda: server.grpc("encoded", frames=np.array([frames])),
            rest_small=lambda: server.rest(body),
        )
    tell("in the process, raw frames", seconds["whole"], seconds["whole"], "-")
    tell("gRPC, raw frames", seconds["grpc"], seconds["whole"], "1.5 x")
    tell("REST, raw frames", seconds["rest"], seconds["whole"], "1.5 x")
    tell("in the process, JPEG", seconds["small"], seconds["small"], "-")
    tell("gRPC, JPEG", seconds["grpc_small"], seconds["small"], "1.5 x")
    tell("REST, JPEG", seconds["rest_small"], seconds["small"], "1.5 x")


def encoded(path: Path, clip: np.ndarray, calls: int) -> None:
    """The whole way of a request: frames to body, there, and back."""
    with Server(path) as server:
        seconds = turns(
            calls, raw=lambda: server.rest(raw_body(clip)), encoded=lambda: server.rest(encoded_body(jpeg(clip)))
        )
    sizes = len(raw_body(clip)), len(encoded_body(jpeg(clip)))
    print(f"REST bytes: raw {sizes[0]}, JPEG {sizes[1]}: {sizes[0] / sizes[1]:.0f} times fewer (to reach: 30)")
    tell("REST with encoding, JPEG against raw", seconds["encoded"], seconds["raw"], "below 1 x")


def throughput(path: Path, model, clip: np.ndarray) -> None:
    """32 clients, each with a clip of its own, and the next request when the last is answered."""
    clips = np.stack([np.roll(clip, 7 * i, axis=2) for i in range(32)])
    frames = np.array([jpeg(of) for of in clips])
    step = {"frame": clips[:, 0]}
    step |= {name: np.zeros((32, *x.shape[1:]), x.dtype) for name, x in state_of(model).items()}
    for signature, inputs, each in (("step", step, 30), ("serving_default", {"frames": clips}, 4),
                                    ("encoded", {"frames": frames}, 4)):  # fmt: skip
        rates, answers = {}, {}
        for batching in (False, True, False, True):
            with Server(path, batching) as server:
                rate, answers[batching] = hammer(server, signature, inputs, each)
                rates.setdefault(batching, []).append(rate)
        difference = largest_difference(answers[False], answers[True])
        off, on = np.mean(rates[False]), np.mean(rates[True])
        print(
            f"32 clients over gRPC, {signature}: {off:.1f} a second, with batching {on:.1f}: {on / off:.2f} x "
            f"(to reach: 2 x); no error; answers differ by {difference:.1e}",
            flush=True,
        )


def largest_difference(answers: dict, others: dict) -> float:
    """Of the numbers, which may differ by rounding; strings must be the same."""
    numbers = [name for name, values in answers.items() if values.dtype.kind == "f"]
    for name in set(answers) - set(numbers):
        np.testing.assert_array_equal(answers[name], others[name])
    for name in numbers:
        np.testing.assert_allclose(answers[name], others[name], atol=1e-5)
    return max(float(np.abs(answers[name] - others[name]).max()) for name in numbers)


def state_of(model) -> dict[str, np.ndarray]:
    from sora_keras.models.streaming import initial_state, step_model

    return initial_state(step_model(model), 1)


def hammer(server: Server, signature: str, inputs: dict[str, np.ndarray], each: int) -> tuple[float, dict]:
    answers, errors = [None] * 32, []
    server.grpc(signature, **{name: value[:1] for name, value in inputs.items()})

    def ask(client: int) -> None:
        try:
            for _ in range(each):
                mine = {name: value[client : client + 1] for name, value in inputs.items()}
                answers[client] = server.grpc(signature, **mine)
        except grpc.RpcError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=[client]) for client in range(32)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    if errors:
        raise errors[0]
    return 32 * each / seconds, {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def start(path: Path, clip: np.ndarray) -> None:
    body = encoded_body(jpeg(clip))
    for _ in range(3):
        with Server(path) as server:
            seconds = turns_without_warming(lambda: server.rest(body), 30)
            ready = server.seconds_to_ready
        first, median = 1000 * seconds[0], 1000 * np.median(seconds[1:])
        print(
            f"start to ready {ready:.1f} s; first request {first:.1f} ms, median {median:.1f} ms: "
            f"{first / median:.2f} x (to reach: 2 x)",
            flush=True,
        )


def turns_without_warming(call, calls: int) -> list[float]:
    seconds = []
    for _ in range(calls):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return seconds


def stream(model, clip: np.ndarray, calls: int) -> None:
    live = Stream(model)
    seconds = turns(
        calls,
        step=lambda: live.step(clip[:1]),
        window=lambda: model.predict_on_batch(clip[None]),
    )
    tell("the last 16 frames again, each frame", seconds["window"], seconds["window"], "-")
    tell("a step of the stream", seconds["step"], seconds["window"], "0.125 x")
    rate, again = 1 / np.median(seconds["step"]), np.median(seconds["window"]) / np.median(seconds["step"])
    print(f"{again:.1f} times less time a frame (to reach: 8); {rate:.0f} frames a second (to reach: 25 on one core)")


def resident_mebibytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(model, clip: np.ndarray, frames: int) -> None:
    live = Stream(model, num_streams=24)
    peaks = []
    for i in range(frames):
        live.step(np.stack([clip[(i + k) % len(clip)] for k in range(24)]))
        if (i + 1) % max(1, frames // 20) == 0:
            peaks.append(resident_mebibytes())
    early, late = np.median(peaks[2:6]), np.median(peaks[-4:])
    print(
        f"24 streams, {frames} frames each: {early:.0f} MiB after a fifth, {late:.0f} MiB at the end "
        f"({late - early:+.1f} MiB; to reach: flat)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["latency", "encoded", "throughput", "start", "stream", "memory"]
    parser.add_argument("--video", required=True)
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--side", type=int, default=112, help="of a frame, in pixels (default: %(default)s)")
    parser.add_argument("--num-frames", type=int, default=16, help="of a clip (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=10_000, help="of each stream whose memory is watched")
    parser.add_argument("--calls", type=int, default=40, help="counted turns of each contestant")
    main(**vars(parser.parse_args()))
