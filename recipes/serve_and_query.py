"""From videos to an endpoint and back: train a small model, export it, serve it, ask it, stream to it, stop.

Command: python recipes/serve_and_query.py
Time: about 2 minutes on one core. Needs `pip install 'sora-keras[serving]'`.
Expected: over REST and gRPC alike the labels that the model itself gives, at least 95 % of them right; and frame by
frame, without a clip ever being sent again, the same at its end.

`sora-keras serve` starts TensorFlow Serving where it is installed, and else the development server.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import keras

import sora_keras
from sora_keras.data import make_moving_digits, rows_from_directory, split_rows, video_dataset_from_manifest
from sora_keras.serving import Client, ServingError

NUM_VIDEOS = 1200
CLIP_SPEC = sora_keras.ClipSpec(num_frames=12, height=32, width=32)
EPOCHS = 12
TO = Path(__file__).parent.parent / "saved_models" / "serve_and_query"


def main(seed: int, to: Path, rest_port: int, grpc_port: int) -> None:
    keras.utils.set_random_seed(seed)
    rows = rows_from_directory(make_moving_digits(NUM_VIDEOS, seed=seed), groups="group")
    train_rows, test_rows = split_rows(rows, 0.1, seed)
    train = video_dataset_from_manifest(train_rows, CLIP_SPEC, batch_size=16, seed=seed, cache=True)
    test = video_dataset_from_manifest(test_rows, CLIP_SPEC, shuffle=False, cache=True)
    model = sora_keras.SoraClassifier.from_preset("small", train.class_names, CLIP_SPEC, learning_rate=2e-3)
    model.fit(train, epochs=EPOCHS, shuffle=False, verbose=2)
    own = [model.class_names[index] for index in model.predict(test, verbose=0).argmax(axis=-1)]

    sora_keras.export(model, to)
    command = [sys.executable, "-m", "sora_keras.cli", "serve", to, "--rest-port", rest_port, "--grpc-port", grpc_port]
    server = subprocess.Popen(list(map(str, command)))
    try:
        urls = f"http://localhost:{rest_port}", f"grpc://localhost:{grpc_port}"
        wait_for(urls[0], to.name, server)
        for url in urls:
            with Client(url, to.name, encoding="png") as client:
                query(client, url, test_rows, own)
        with Client(urls[1], to.name) as client:
            watch(client, test_rows[0])
    finally:
        server.terminate()
        server.wait()


def wait_for(url: str, name: str, server: subprocess.Popen) -> None:
    """The ports open when the model is loaded and warmed up."""
    while server.poll() is None:
        try:
            with Client(url, name, max_tries=1) as client:
                print(client.status())
                return
        except ServingError:
            time.sleep(0.5)
    raise SystemExit("the server has ended: see above")


def query(client: Client, url: str, rows: list, own: list[str]) -> None:
    start = time.perf_counter()
    answers = client.predict([row.path for row in rows])
    milliseconds = 1000 * (time.perf_counter() - start) / len(rows)
    right = sum(answer.label == row.label for answer, row in zip(answers, rows, strict=True)) / len(rows)
    same = sum(answer.label == label for answer, label in zip(answers, own, strict=True))
    print(f"{url}: accuracy {right:.3f}, {same} of {len(rows)} as the model itself, {milliseconds:.1f} ms a video")
    print(f"{url}: embeddings {client.embed([row.path for row in rows[:5]]).shape}")


def watch(client: Client, row) -> None:
    clip, stream = sora_keras.read_clip(row.path, client.clip_spec), client.stream()
    for seconds, frame in zip(clip.times, clip.frames, strict=True):
        answer = stream.step(frame[None])
        print(f"{seconds:5.2f} s: {answer['label'][0]:10} {answer['probabilities'].max():.3f}")
    [whole] = client.predict([clip.frames])
    print(f"the whole clip: {whole.label} {max(whole.probabilities.values()):.3f}; it shows {row.label}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=TO)
    parser.add_argument("--rest-port", type=int, default=8501)
    parser.add_argument("--grpc-port", type=int, default=8500)
    main(**vars(parser.parse_args()))
