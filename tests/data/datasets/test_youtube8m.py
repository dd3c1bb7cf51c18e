from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data.datasets.youtube8m import youtube8m_dataset


@dataclasses.dataclass
class Video:
    """What one published record holds."""

    id: str
    labels: tuple[int, ...]
    rgb: np.ndarray
    audio: np.ndarray
    segments: tuple[tuple[int, int, float], ...] | None = None  # start, label, score


def make_video(number: int, num_frames: int, labels: Sequence[int] = (), **others: Any) -> Video:
    rng = np.random.default_rng(number)
    rgb, audio = (rng.integers(0, 256, (num_frames, size), np.uint8) for size in (1024, 128))
    return Video(f"{number:04d}", tuple(labels), rgb, audio, **others)


def bytes_feature(*values: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def int_feature(values: Sequence[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def float_feature(values: Sequence[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def frame_record(video: Video) -> bytes:
    context = {"id": bytes_feature(video.id.encode()), "labels": int_feature(video.labels)}
    if video.segments is not None:
        starts, labels, scores = zip(*video.segments, strict=True) if video.segments else ((), (), ())
        context |= {
            "segment_start_times": int_feature(starts),
            "segment_end_times": int_feature([start + 5 for start in starts]),
            "segment_labels": int_feature(labels),
            "segment_scores": float_feature(scores),
        }
    lists = {
        name: tf.train.FeatureList(feature=[bytes_feature(vector.tobytes()) for vector in vectors])
        for name, vectors in (("rgb", video.rgb), ("audio", video.audio))
    }
    return tf.train.SequenceExample(
        context=tf.train.Features(feature=context), feature_lists=tf.train.FeatureLists(feature_list=lists)
    ).SerializeToString()


def video_record(video: Video) -> bytes:
    features = {
        "id": bytes_feature(video.id.encode()),
        "labels": int_feature(video.labels),
        "mean_rgb": float_feature(dequantized(video.rgb).mean(0)),
        "mean_audio": float_feature(dequantized(video.audio).mean(0)),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_shard(path: Path, records: Sequence[bytes]) -> list[int]:
    """Returns the number of bytes after each record."""
    ends = []
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
            ends.append(sum(len(each) + 16 for each in records[: len(ends) + 1]))
    assert path.stat().st_size == (ends or [0])[-1]
    return ends


def dequantized(quantized: np.ndarray) -> np.ndarray:
    """The formula of the starter code, in its 32-bit numbers: scale 4 / 255, bias 4 / 512 - 2."""
    return quantized.astype(np.float32) * np.float32(4 / 255) + np.float32(4 / 512 - 2)


def padded(quantized: np.ndarray, num_frames: int) -> np.ndarray:
    values = np.zeros((num_frames, quantized.shape[1]), np.float32)
    cut = quantized[:num_frames]
    values[: len(cut)] = dequantized(cut)
    return values


def multi_hot(labels: Sequence[int], num_classes: int = 3862) -> np.ndarray:
    values = np.zeros(num_classes, np.float32)
    values[list(labels)] = 1
    return values


VIDEOS = [
    make_video(0, 7, [0, 3861, 5]),
    make_video(1, 300, [17]),
    make_video(2, 360, []),
    make_video(3, 1, [17, 17, 2]),
    make_video(4, 120, [9]),
]


@pytest.fixture
def frames(tmp_path) -> Path:
    write_shard(tmp_path / "train0000.tfrecord", [frame_record(video) for video in VIDEOS[:3]])
    write_shard(tmp_path / "train0001.tfrecord", [frame_record(video) for video in VIDEOS[3:]])
    return tmp_path


def mean_model(num_frames: int) -> keras.Model:
    """The mean over the frames that there are, and one dense layer."""
    inputs = {name: keras.Input((num_frames, size), name=name) for name, size in (("rgb", 1024), ("audio", 128))}
    inputs["num_frames"] = keras.Input((), dtype="int32", name="num_frames")
    both = keras.layers.Concatenate()([inputs["rgb"], inputs["audio"]])
    means = keras.ops.sum(both, axis=1) / keras.ops.cast(inputs["num_frames"], "float32")[:, None]
    model = keras.Model(inputs, keras.layers.Dense(3862, "sigmoid")(means))
    model.compile("adam", "binary_crossentropy")
    return model


def in_order(files: str, **arguments: Any) -> Any:
    return youtube8m_dataset(files, shuffle=False, num_parallel_shards=1, **arguments)


class TestFrames:
    def test_every_number(self, frames):
        dataset = in_order(f"{frames}/train*.tfrecord", batch_size=5, with_ids=True)
        [(features, labels)] = dataset.as_numpy_iterator()
        assert features["rgb"].shape == (5, 300, 1024)
        for index, video in enumerate(VIDEOS):
            np.testing.assert_array_equal(features["rgb"][index], padded(video.rgb, 300))
            np.testing.assert_array_equal(features["audio"][index], padded(video.audio, 300))
            np.testing.assert_array_equal(labels[index], multi_hot(video.labels))
        assert features["num_frames"].tolist() == [7, 300, 300, 1, 120]
        assert features["id"].tolist() == [b"0000", b"0001", b"0002", b"0003", b"0004"]

    def test_each_byte_becomes_the_number_of_the_starter_code(self, tmp_path):
        every_byte = np.tile(np.arange(256, dtype=np.uint8), (1, 4))
        video = Video("all", (1,), every_byte, every_byte[:, :128])
        write_shard(tmp_path / "a.tfrecord", [frame_record(video)])
        features, _ = next(in_order(f"{tmp_path}/a.tfrecord", max_frames=1).as_numpy_iterator())
        numbers = features["rgb"][0, 0, :256]
        np.testing.assert_array_equal(numbers, dequantized(np.arange(256, dtype=np.uint8)))
        np.testing.assert_allclose([numbers[0], numbers[255]], [-1.9921875, 2.0078125], atol=1e-6)

    def test_other_lengths_classes_and_batches(self, frames):
        dataset = in_order(f"{frames}/*", batch_size=2, max_frames=50, num_classes=4000)
        batches = list(dataset.as_numpy_iterator())
        assert [features["rgb"].shape for features, _ in batches] == [(2, 50, 1024), (2, 50, 1024), (1, 50, 1024)]
        assert batches[0][1].shape == (2, 4000)
        assert np.concatenate([features["num_frames"] for features, _ in batches]).tolist() == [7, 50, 50, 1, 50]
        assert dataset.element_spec[0]["audio"].shape.as_list() == [None, 50, 128]

    def test_sound_that_is_shorter_than_the_picture(self, tmp_path):
        video = make_video(0, 10, [1])
        video.audio = video.audio[:8]
        write_shard(tmp_path / "a.tfrecord", [frame_record(video)])
        features, _ = next(in_order(f"{tmp_path}/a.tfrecord", max_frames=12).as_numpy_iterator())
        np.testing.assert_array_equal(features["rgb"][0], padded(video.rgb, 12))
        np.testing.assert_array_equal(features["audio"][0], padded(video.audio, 12))
        assert features["num_frames"].tolist() == [10]

    def test_trains_a_keras_model(self, frames):
        model = mean_model(num_frames=8)
        dataset = youtube8m_dataset(f"{frames}/train*", batch_size=2, max_frames=8, seed=0, num_examples=5)
        assert int(dataset.cardinality()) == 3
        losses = model.fit(dataset, epochs=3, shuffle=False, verbose=0).history["loss"]
        assert losses[-1] < losses[0]


class TestVideos:
    def test_every_number(self, tmp_path):
        write_shard(tmp_path / "a.tfrecord", [video_record(video) for video in VIDEOS])
        [(features, labels)] = in_order(
            f"{tmp_path}/a*", level="video", batch_size=9, with_ids=True
        ).as_numpy_iterator()
        for index, video in enumerate(VIDEOS):
            np.testing.assert_array_equal(features["mean_rgb"][index], dequantized(video.rgb).mean(0))
            np.testing.assert_array_equal(features["mean_audio"][index], dequantized(video.audio).mean(0))
            np.testing.assert_array_equal(labels[index], multi_hot(video.labels))
        assert features["id"].tolist() == [video.id.encode() for video in VIDEOS]


class TestSegments:
    SEGMENTS = (
        ((20, 11, 1.0), (20, 12, 0.0), (95, 11, 1.0)),
        (),
        ((0, 3861, 1.0),),
        ((6, 4, 1.0), (0, 5, 0.0), (0, 4, 1.0)),
    )

    @pytest.fixture
    def examples(self, tmp_path) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        self.videos = [
            make_video(number, num_frames, [1], segments=segments)
            for number, (num_frames, segments) in enumerate(zip((100, 50, 5, 9), self.SEGMENTS, strict=True))
        ]
        write_shard(tmp_path / "validate.tfrecord", [frame_record(video) for video in self.videos])
        dataset = in_order(f"{tmp_path}/validate*", level="segment", batch_size=1, with_ids=True)
        assert not dataset.faults
        return list(dataset.as_numpy_iterator())

    def test_each_segment_is_an_example(self, examples):
        names = [(int(features["id"][0]), int(features["start_seconds"][0])) for features, _ in examples]
        assert names == [(0, 20), (0, 95), (2, 0), (3, 6), (3, 0)]
        for (number, start), (features, _) in zip(names, examples, strict=True):
            for name in ("rgb", "audio"):
                vectors = getattr(self.videos[number], name)
                np.testing.assert_array_equal(features[name][0], padded(vectors[start:], 5))
        assert [features["num_frames"].tolist() for features, _ in examples] == [[5], [5], [5], [3], [5]]

    def test_ratings_and_which_there_are(self, examples):
        rated = [
            {int(label): float(labels["labels"][0, label]) for label in np.flatnonzero(labels["label_weights"][0] == 1)}
            for _, labels in examples
        ]
        assert rated == [{11: 1.0, 12: 0.0}, {11: 1.0}, {3861: 1.0}, {4: 1.0}, {4: 1.0, 5: 0.0}]
        for _, labels in examples:
            assert not labels["labels"][labels["label_weights"] == 0].any()

    def test_a_loss_that_forgets_the_weights_fails_aloud(self, tmp_path):
        write_shard(tmp_path / "a.tfrecord", [frame_record(make_video(0, 9, segments=((0, 1, 1.0),)))])
        model = mean_model(num_frames=5)
        with pytest.raises(ValueError, match="y_true and y_pred have different structures"):
            model.fit(youtube8m_dataset(f"{tmp_path}/a*", level="segment"), shuffle=False, verbose=0)

    def test_segments_of_another_length(self, tmp_path):
        video = make_video(0, 30, segments=((3, 1, 1.0),))
        example = tf.train.SequenceExample.FromString(frame_record(video))
        example.context.feature["segment_end_times"].int64_list.value[0] = 9
        write_shard(tmp_path / "a.tfrecord", [example.SerializeToString()])
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"cannot be read as segment-level records"):
            list(in_order(f"{tmp_path}/a*", level="segment"))


class TestOrder:
    @pytest.fixture
    def many(self, tmp_path) -> str:
        for shard in range(6):
            videos = [make_video(10 * shard + number, 2) for number in range(10)]
            write_shard(tmp_path / f"train{shard:04d}.tfrecord", [frame_record(video) for video in videos])
        return f"{tmp_path}/train*.tfrecord"

    def ids(self, dataset: Any) -> list[int]:
        return [int(name) for features, _ in dataset.as_numpy_iterator() for name in features["id"]]

    def test_same_seed_same_order_new_at_each_epoch(self, many):
        def make(seed: int) -> Any:
            return youtube8m_dataset(many, max_frames=2, seed=seed, with_ids=True, shuffle_buffer=20)

        first = make(3)
        epochs = [self.ids(first), self.ids(first)]
        assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(60))
        assert epochs[0] != epochs[1]
        again = make(3)
        assert [self.ids(again), self.ids(again)] == epochs
        assert self.ids(make(4)) != epochs[0]

    def test_without_shuffling(self, many):
        dataset = youtube8m_dataset(many, max_frames=2, shuffle=False, with_ids=True)
        ids = self.ids(dataset)
        assert sorted(ids) == list(range(60))
        assert self.ids(dataset) == ids
        assert self.ids(in_order(many, max_frames=2, with_ids=True)) == list(range(60))

    def test_several_patterns(self, many, tmp_path):
        dataset = in_order([f"{tmp_path}/train0004.tfrecord", f"{tmp_path}/train000[01]*"], max_frames=2, with_ids=True)
        assert self.ids(dataset) == [*range(40, 50), *range(20)]
        assert [Path(path).name for path in dataset.file_paths] == [
            "train0004.tfrecord", "train0000.tfrecord", "train0001.tfrecord",
        ]  # fmt: skip


class TestFaults:
    """A shard of five records, of which some bytes are damaged; and a whole one after it."""

    @pytest.fixture
    def damage(self, tmp_path):
        def make(change, records: list[bytes] | None = None) -> tuple[str, list[int]]:
            records = records or [frame_record(make_video(number, 3, [number])) for number in range(5)]
            ends = write_shard(tmp_path / "train0.tfrecord", records)
            content = bytearray((tmp_path / "train0.tfrecord").read_bytes())
            (tmp_path / "train0.tfrecord").write_bytes(change(content, ends))
            write_shard(tmp_path / "train1.tfrecord", [frame_record(make_video(7, 3))])
            return f"{tmp_path}/train*", ends

        return make

    def read(self, files: str) -> tuple[list[int], list[str]]:
        dataset = in_order(files, max_frames=3, on_fault="skip", with_ids=True)
        epochs = [
            [int(name) for features, _ in dataset.as_numpy_iterator() for name in features["id"]] for _ in range(2)
        ]
        assert epochs[0] == epochs[1]
        return epochs[0], [str(fault) for fault in dataset.faults]

    def test_truncated(self, damage, tmp_path):
        files, ends = damage(lambda content, ends: content[: ends[3] + 100])
        ids, faults = self.read(files)
        assert ids == [0, 1, 2, 3, 7]
        assert faults == [
            f"{tmp_path}/train0.tfrecord: bytes {ends[3]:,} to {ends[3] + 100:,} cannot be read as frame-level "
            "records: the shard is truncated, damaged or of another level"
        ]
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=rf"train0\.tfrecord: bytes {ends[3]:,} to .*on_fault="
        ):
            list(in_order(files, max_frames=3, batch_size=1))

    @pytest.mark.parametrize("place", ["length", "content"])
    def test_one_bit(self, damage, place):
        def flip(content: bytearray, ends: list[int]) -> bytearray:
            content[ends[1] + (3 if place == "length" else 500)] ^= 8
            return content

        files, ends = damage(flip)
        ids, [fault] = self.read(files)
        assert ids == [0, 1, 7]
        assert f"bytes {ends[1]:,} to {ends[4]:,} cannot be read" in fault

    @pytest.mark.parametrize(
        "record",
        [
            b"no protocol buffer",
            video_record(make_video(2, 3)),
            frame_record(dataclasses.replace(make_video(2, 3), rgb=np.zeros((3, 1023), np.uint8))),
            frame_record(dataclasses.replace(make_video(2, 3), audio=np.zeros((3, 129), np.uint8))),
            frame_record(make_video(2, 3, [3862])),
            frame_record(make_video(2, 3, [-1])),
        ],
        ids=["noise", "video-level", "short picture", "long sound", "class too high", "negative class"],
    )
    def test_one_record_that_is_another(self, damage, record):
        records = [frame_record(make_video(number, 3, [number])) for number in range(5)]
        files, ends = damage(lambda content, ends: content, [*records[:2], record, *records[3:]])
        ids, [fault] = self.read(files)
        assert ids == [0, 1, 3, 4, 7]
        assert f"bytes {ends[1]:,} to {ends[2]:,} cannot be read as frame-level records" in fault

    def test_nothing_is_wrong(self, damage):
        files, _ = damage(lambda content, ends: content)
        assert self.read(files) == ([0, 1, 2, 3, 4, 7], [])

    def test_an_empty_shard_is_no_fault(self, damage):
        files, _ = damage(lambda content, ends: b"")
        assert self.read(files) == ([7], [])

    def test_frames_given_for_videos(self, damage):
        files, _ = damage(lambda content, ends: content)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"cannot be read as video-level records"):
            list(in_order(files, level="video"))

    def test_a_shard_that_vanishes(self, frames):
        dataset = in_order(f"{frames}/train*")
        (frames / "train0001.tfrecord").unlink()
        with pytest.raises(tf.errors.OpError, match=r"train0001\.tfrecord"):
            list(dataset)


def test_wrong_arguments(frames):
    with pytest.raises(ValueError, match=r"No file is named '.*/nothing\*'"):
        youtube8m_dataset([f"{frames}/train*", f"{frames}/nothing*"])
    with pytest.raises(ValueError, match=r"`level` must be one of \('frame', 'video', 'segment'\), received 'clip'"):
        youtube8m_dataset(f"{frames}/train*", level="clip")
    with pytest.raises(ValueError, match=r"`on_fault` must be one of .* received 'ignore'"):
        youtube8m_dataset(f"{frames}/train*", on_fault="ignore")
    with pytest.raises(ValueError, match=r"`batch_size` must be at least 1, received -3"):
        youtube8m_dataset(f"{frames}/train*", batch_size=-3)
    with pytest.raises(ValueError, match=r"`max_frames` must be at least 1, received 0"):
        youtube8m_dataset(f"{frames}/train*", max_frames=0)
