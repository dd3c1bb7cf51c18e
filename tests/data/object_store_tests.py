"""What `test_object_store.py` runs in an environment with the extra `io`: this package against moto's S3 server.

By hand: `python -m pytest -o addopts= tests/data/object_store_tests.py` with a Python that has `.[io,test]` and
`moto[server]`.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data import cache, read_manifest, video_dataset_from_manifest
from sora_keras.data.clip_reader import ClipReader
from sora_keras.data.datasets.youtube8m import youtube8m_dataset
from sora_keras.data.object_store import connect
from sora_keras.video import ClipSpec

BUCKET = "videos"
SPEC = ClipSpec(8, 32, 32)


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client, not TensorFlow's, of a server that TensorFlow finds through the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "S3_ENDPOINT": f"http://127.0.0.1:{port}", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret",
    }  # fmt: skip
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name="us-east-1")
        for _ in range(100):
            try:
                client.create_bucket(Bucket=BUCKET)
                break
            except botocore.exceptions.EndpointConnectionError:
                time.sleep(0.3)
        yield client
    finally:
        server.kill()
        server.wait()


def keys(s3: Any, prefix: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def contents(s3: Any, key: str) -> bytes:
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def records_in(file: bytes) -> list[bytes]:
    """TFRecords by hand: length, its checksum, the record, its checksum."""
    records, position = [], 0
    while position < len(file):
        (length,) = struct.unpack_from("<Q", file, position)
        records.append(file[position + 12 : position + 12 + length])
        position += 16 + length
    return records


@pytest.fixture
def reader(real_data) -> ClipReader:
    return ClipReader(read_manifest(real_data / "fights" / "clips.csv")[:20], SPEC)


def test_what_is_written_is_there_and_what_is_there_is_read(s3):
    connect(f"s3://{BUCKET}/plain")
    written = [bytes([number]) * (1 + 70_000 * number) for number in range(5)]
    with tf.io.TFRecordWriter(f"s3://{BUCKET}/plain/a.tfrecord") as writer:
        for record in written:
            writer.write(record)
    assert records_in(contents(s3, "plain/a.tfrecord")) == written
    s3.copy_object(Bucket=BUCKET, Key="plain/b.tfrecord", CopySource=f"{BUCKET}/plain/a.tfrecord")
    assert tf.io.gfile.glob(f"s3://{BUCKET}/plain/*") == [f"s3://{BUCKET}/plain/{name}.tfrecord" for name in "ab"]
    assert list(tf.data.TFRecordDataset(f"s3://{BUCKET}/plain/b.tfrecord").as_numpy_iterator()) == written


def test_a_cache_of_real_clips(s3, reader, monkeypatch):
    monkeypatch.setattr(cache, "SHARD_BYTES", 6 * reader.record_bytes)
    expected = {row.path: reader.read(index, 0).reshape(SPEC.shape) for index, row in enumerate(reader.rows)}
    options = {"cache": f"s3://{BUCKET}/cache", "batch_size": 4, "shuffle": False}

    def clips() -> dict[str, np.ndarray]:
        dataset = video_dataset_from_manifest(reader.rows, SPEC, **options)
        frames = [frames for batch, _ in dataset.as_numpy_iterator() for frames in batch]
        return dict(zip(dataset.file_paths, frames, strict=True))

    def check(found: dict[str, np.ndarray]) -> None:
        assert found.keys() == expected.keys()
        for path, frames in found.items():
            np.testing.assert_array_equal(frames, expected[path])

    check(clips())
    shards = [key for key in keys(s3, "cache/") if key.endswith(".tfrecord")]
    assert len(shards) == 4
    stored = {record for shard in shards for record in records_in(contents(s3, shard))}
    assert stored == {frames.tobytes() for frames in expected.values()}

    decoded: list[int] = []
    read_itself = ClipReader.read_itself
    monkeypatch.setattr(ClipReader, "read_itself", lambda *all: decoded.append(all[1]) or read_itself(*all))
    check(clips())
    assert decoded == []
    # Whoever is killed between a shard and the file beside it leaves a shard that does not count.
    s3.delete_object(Bucket=BUCKET, Key=f"{shards[1]}.json")
    s3.put_object(Bucket=BUCKET, Key=shards[2], Body=contents(s3, shards[2])[:-9])
    check(clips())
    assert len(decoded) == sum(len(records_in(contents(s3, shard))) for shard in shards[1:3])
    check(clips())

    shuffled = video_dataset_from_manifest(reader.rows, SPEC, **{**options, "shuffle": True}, seed=1)
    orders = [[frames.tobytes() for batch, _ in shuffled.as_numpy_iterator() for frames in batch] for _ in range(2)]
    assert orders[0] != orders[1]
    assert {*orders[0]} == {*orders[1]} == {frames.tobytes() for frames in expected.values()}


def test_youtube8m(s3, tmp_path):
    rng = np.random.default_rng(0)

    def feature(**values: Any) -> tf.train.Feature:
        ((name, value),) = values.items()
        kind = {"bytes": tf.train.BytesList, "int64": tf.train.Int64List}[name]
        return tf.train.Feature(**{f"{name}_list": kind(value=value)})

    connect(f"s3://{BUCKET}")
    for shard in range(3):
        for folder in (f"s3://{BUCKET}/yt8m", str(tmp_path)):
            rng = np.random.default_rng(shard)
            with tf.io.TFRecordWriter(f"{folder}/train{shard:02d}.tfrecord") as writer:
                for number in range(4):
                    context = {"id": feature(bytes=[f"{shard}{number}".encode()]), "labels": feature(int64=[7, number])}
                    vectors = {
                        name: [
                            feature(bytes=[rng.integers(0, 256, size, np.uint8).tobytes()]) for _ in range(5 + number)
                        ]
                        for name, size in (("rgb", 1024), ("audio", 128))
                    }
                    lists = {name: tf.train.FeatureList(feature=each) for name, each in vectors.items()}
                    example = tf.train.SequenceExample(
                        context=tf.train.Features(feature=context),
                        feature_lists=tf.train.FeatureLists(feature_list=lists),
                    )
                    writer.write(example.SerializeToString())
    assert len(keys(s3, "yt8m/")) == 3
    remote, local = (
        list(youtube8m_dataset(f"{folder}/train*.tfrecord", batch_size=5, shuffle=False, max_frames=8, with_ids=True))
        for folder in (f"s3://{BUCKET}/yt8m", tmp_path)
    )
    assert [len(labels) for _, labels in remote] == [5, 5, 2]
    for (features, labels), (expected_features, expected_labels) in zip(remote, local, strict=True):
        np.testing.assert_array_equal(labels, expected_labels)
        assert features.keys() == expected_features.keys()
        for name in features:
            np.testing.assert_array_equal(features[name], expected_features[name])


def test_the_exit_code_outlives_the_client(s3):
    code = f"""
import sys, tensorflow as tf
from sora_keras.data.object_store import connect
connect("s3://{BUCKET}/x")
with tf.io.gfile.GFile("s3://{BUCKET}/x", "w") as file:
    file.write("content")
print("written")
sys.exit(int(sys.argv[1]))
"""
    for exit_code in (0, 3):
        ended = subprocess.run(
            [sys.executable, "-c", code, str(exit_code)], capture_output=True, text=True, timeout=120
        )
        assert (ended.returncode, ended.stdout) == (exit_code, "written\n")
    assert contents(s3, "x") == b"content"
