from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data import (
    Faults,
    Row,
    cache as cache_module,
    clip_reader,
    read_manifest,
    rows_from_directory,
    video_dataset_from_directory,
    video_dataset_from_manifest,
)
from sora_keras.features import extract_features, feature_names
from sora_keras.video import ClipSpec, read_clip

SPEC = ClipSpec(num_frames=4, height=16, width=12)
NUM_VIDEOS = 15
CACHES = ("none", "memory", "arrays", "tfrecords")


@pytest.fixture
def make_cache(tmp_path, monkeypatch):
    """The argument `cache` of a name in `CACHES`."""

    def make(name):
        if name == "tfrecords":
            monkeypatch.setattr(cache_module, "_memory_bytes", lambda: 0)
        return {"none": False, "memory": True}.get(name, tmp_path / "cache")

    return make


@pytest.fixture
def seen(read_gray):
    """The `(video, frames)` of each clip of one epoch, in order."""

    def see(dataset):
        clips = [clip for batch in dataset for clip in np.asarray(batch[0] if isinstance(batch, tuple) else batch)]
        shown = [read_gray(clip) for clip in clips]
        assert all(len({video for video, _ in clip}) == 1 for clip in shown)
        return [(clip[0][0], tuple(frame for _, frame in clip)) for clip in shown]

    return see


@pytest.fixture
def videos_seen(seen):
    return lambda dataset: [video for video, _ in seen(dataset)]


class TestElements:
    def test_batches_have_static_shapes(self, gray_videos):
        frames, labels = video_dataset_from_directory(gray_videos, SPEC).element_spec
        assert frames == tf.TensorSpec((None, 4, 16, 12, 3), tf.uint8)
        assert labels == tf.TensorSpec((None,), tf.int32)

    def test_single_clips(self, gray_videos):
        frames, labels = video_dataset_from_directory(gray_videos, SPEC, batch_size=None).element_spec
        assert frames == tf.TensorSpec((4, 16, 12, 3), tf.uint8)
        assert labels == tf.TensorSpec((), tf.int32)

    def test_last_batch_is_what_is_left(self, gray_videos):
        dataset = video_dataset_from_directory(gray_videos, SPEC, batch_size=6)
        assert [len(frames) for frames, _ in dataset] == [6, 6, 3]

    @pytest.mark.parametrize(
        ("label_mode", "class_names", "expected"),
        [
            ("int", ("ant", "bee", "cow"), np.repeat([0, 1, 2], 5)),
            ("int", ("cow", "ant"), np.repeat([1, 0], 5)),
            ("categorical", ("ant", "bee", "cow"), np.repeat(np.eye(3), 5, axis=0)),
            ("binary", ("bee", "cow"), np.repeat([[0], [1]], 5, axis=0)),
        ],
    )
    def test_labels(self, gray_videos, label_mode, class_names, expected):
        dataset = video_dataset_from_directory(
            gray_videos, SPEC, label_mode=label_mode, class_names=class_names, shuffle=False
        )
        labels = np.concatenate([labels for _, labels in dataset])
        assert dataset.class_names == list(class_names)
        assert labels.dtype == (np.int32 if label_mode == "int" else np.float32)
        np.testing.assert_array_equal(labels, expected)

    @pytest.mark.parametrize("options", [{"label_mode": None}, {"labels": None}])
    def test_no_labels(self, gray_videos, options):
        dataset = video_dataset_from_directory(gray_videos, SPEC, **options)
        assert dataset.element_spec == tf.TensorSpec((None, 4, 16, 12, 3), tf.uint8)

    def test_labels_by_file(self, gray_videos, videos_seen):
        labels = ["odd" if index % 2 else "even" for index in range(NUM_VIDEOS)]
        dataset = video_dataset_from_directory(gray_videos, SPEC, labels=labels, shuffle=False)
        names = [dataset.class_names[label] for _, batch in dataset for label in batch.numpy()]
        assert names == labels

    def test_a_label_belongs_to_its_clip(self, gray_videos, read_gray):
        for frames, labels in video_dataset_from_directory(gray_videos, SPEC, batch_size=4, seed=3):
            videos = [read_gray(clip)[0][0] for clip in frames.numpy()]
            assert [video // 5 for video in videos] == labels.numpy().tolist()

    def test_attributes(self, gray_videos):
        dataset = video_dataset_from_directory(gray_videos, SPEC, seed=1)
        assert dataset.rows == rows_from_directory(gray_videos)
        assert dataset.file_paths == [row.path for row in dataset.rows]
        assert dataset.class_names == ["ant", "bee", "cow"]
        assert len(dataset.faults) == 0

    @pytest.mark.parametrize(
        ("spec", "sampling", "frames"),
        [
            (SPEC, "uniform", (1, 3, 5, 7)),
            (ClipSpec(4, 16, 12, frames_per_second=8.0), "center_window", (2, 3, 4, 5)),
            (ClipSpec(2, 16, 12, frames_per_second=4.0), "center_window", (3, 5)),
        ],
    )
    def test_sampling(self, gray_videos, seen, spec, sampling, frames):
        dataset = video_dataset_from_directory(gray_videos, spec, shuffle=False, sampling=sampling)
        assert {shown for _, shown in seen(dataset)} == {frames}

    @pytest.mark.parametrize(("policy", "last"), [("repeat_last", (6, 7, 7, 7)), ("loop", (6, 7, 0, 1))])
    def test_short_videos(self, gray_videos, seen, policy, last):
        spec = ClipSpec(10, 16, 12, frames_per_second=8.0)
        dataset = video_dataset_from_directory(gray_videos, spec, short_video=policy, shuffle=False)
        assert {shown[-4:] for _, shown in seen(dataset)} == {last}

    def test_short_videos_as_faults(self, gray_videos):
        spec = ClipSpec(10, 16, 12, frames_per_second=8.0)
        faults = Faults(max_failures=1)
        dataset = video_dataset_from_directory(gray_videos, spec, short_video="error", faults=faults)
        assert list(dataset) == []
        assert len(dataset.faults) == NUM_VIDEOS
        assert "lasts 1.000 s" in next(iter(dataset.faults)).reason


class TestOrder:
    @pytest.mark.parametrize("cache", CACHES)
    def test_files_in_order_without_shuffling(self, gray_videos, videos_seen, make_cache, cache):
        options = {"shuffle": False, "batch_size": 4, "cache": make_cache(cache)}
        dataset = video_dataset_from_directory(gray_videos, SPEC, **options)
        expected = [int(path.stem) for path in sorted(gray_videos.rglob("*.mp4"))]
        assert videos_seen(dataset) == expected
        assert videos_seen(dataset) == expected
        assert [int(Path(path).stem) for path in dataset.file_paths] == expected

    @pytest.mark.parametrize("cache", CACHES)
    @pytest.mark.parametrize("sampling", ["uniform", "random_window"])
    def test_the_same_seed_gives_the_same_epochs(self, gray_videos, seen, make_cache, cache, sampling):
        spec = ClipSpec(2, 16, 12, frames_per_second=8.0)
        options = {"seed": 11, "sampling": sampling, "cache": make_cache(cache), "batch_size": 4}
        first, second = (video_dataset_from_directory(gray_videos, spec, **options) for _ in range(2))
        assert [seen(first), seen(first)] == [seen(second), seen(second)]

    @pytest.mark.parametrize("cache", CACHES)
    def test_every_epoch_has_every_clip_once_in_another_order(self, gray_videos, videos_seen, make_cache, cache):
        dataset = video_dataset_from_directory(gray_videos, SPEC, seed=5, cache=make_cache(cache))
        epochs = [videos_seen(dataset) for _ in range(3)]
        assert all(Counter(epoch) == Counter(range(NUM_VIDEOS)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == 3

    @pytest.mark.parametrize("cache", CACHES)
    def test_any_epoch_can_be_taken_again(self, gray_videos, seen, make_cache, cache):
        spec = ClipSpec(2, 16, 12, frames_per_second=8.0)
        options = {"seed": 5, "sampling": "random_window", "cache": make_cache(cache), "batch_size": 4}
        dataset = video_dataset_from_directory(gray_videos, spec, **options)
        epochs = [seen(dataset) for _ in range(4)]
        again = video_dataset_from_directory(gray_videos, spec, **options)
        again.epoch_order.epoch = 2
        assert [seen(again), seen(again)] == epochs[2:]

    def test_another_seed_gives_another_order(self, gray_videos, videos_seen):
        orders = {tuple(videos_seen(video_dataset_from_directory(gray_videos, SPEC, seed=seed))) for seed in range(4)}
        assert len(orders) == 4

    def test_random_windows_are_drawn_anew_at_each_epoch(self, gray_videos, seen):
        spec = ClipSpec(2, 16, 12, frames_per_second=8.0)
        dataset = video_dataset_from_directory(gray_videos, spec, seed=2, shuffle=False, sampling="random_window")
        epochs = [seen(dataset) for _ in range(2)]
        assert epochs[0] != epochs[1]
        assert len({frames for _, frames in epochs[0]}) > 3
        assert all(later == earlier + 1 for epoch in epochs for _, (earlier, later) in epoch)

    def test_the_global_seed_of_keras_is_enough(self, gray_videos, seen):
        epochs = []
        for _ in range(2):
            keras.utils.set_random_seed(4)
            dataset = video_dataset_from_directory(gray_videos, SPEC, sampling="random_window")
            epochs.append(seen(dataset))
        assert epochs[0] == epochs[1]


class TestUnreadable:
    @pytest.mark.parametrize("cache", CACHES)
    def test_is_skipped_counted_and_named(self, gray_videos, seen, make_cache, cache):
        broken, empty = gray_videos / "bee" / "6.mp4", gray_videos / "cow" / "14.mp4"
        before = seen(video_dataset_from_directory(gray_videos, SPEC, shuffle=False))
        broken.write_bytes(broken.read_bytes()[:200])
        empty.write_bytes(b"")
        options = {"shuffle": False, "batch_size": 4, "faults": Faults(max_failures=0.2)}
        dataset = video_dataset_from_directory(gray_videos, SPEC, cache=make_cache(cache), **options)
        for _ in range(2):
            assert seen(dataset) == [clip for clip in before if clip[0] not in (6, 14)]
        assert [fault.path for fault in dataset.faults] == [str(broken), str(empty)]
        assert len(dataset.faults) == 2
        assert str(broken) in dataset.faults
        assert "empty (0 bytes)" in list(dataset.faults)[1].reason

    @pytest.mark.parametrize("cache", CACHES)
    def test_is_substituted_by_the_same_video_of_its_class(self, gray_videos, videos_seen, make_cache, cache):
        for name in ("bee/6.mp4", "cow/14.mp4"):
            (gray_videos / name).write_bytes(b"no video")
        epochs = []
        for _ in range(2):
            faults = Faults(policy="substitute", max_failures=0.2)
            options = {"batch_size": 5, "seed": 6, "faults": faults, "cache": make_cache(cache)}
            dataset = video_dataset_from_directory(gray_videos, SPEC, **options)
            assert int(dataset.cardinality()) == 3
            for frames, labels in dataset:
                assert frames.shape == (5, 4, 16, 12, 3)
                assert labels.shape == (5,)
            epochs.append([videos_seen(dataset), videos_seen(dataset)])
        assert epochs[0] == epochs[1]
        for epoch in epochs[0]:
            assert Counter(video // 5 for video in epoch) == {0: 5, 1: 5, 2: 5}
            assert not {6, 14} & set(epoch)
            assert set(range(NUM_VIDEOS)) - {6, 14} <= set(epoch)

    @pytest.mark.parametrize("cache", CACHES)
    def test_a_class_without_a_substitute(self, gray_videos, make_cache, cache):
        for path in (gray_videos / "bee").glob("*.mp4"):
            path.write_bytes(b"no video")
        faults = Faults(policy="substitute", max_failures=0.9)
        with pytest.raises(Exception, match=r"bee/\d\.mp4 cannot be read, nor any video of \['bee'\]"):
            list(video_dataset_from_directory(gray_videos, SPEC, faults=faults, cache=make_cache(cache)))

    @pytest.mark.parametrize("cache", CACHES)
    def test_may_stop_the_epoch(self, gray_videos, make_cache, cache):
        (gray_videos / "bee" / "7.mp4").write_bytes(b"")
        options = {"faults": Faults(policy="raise"), "cache": make_cache(cache)}
        with pytest.raises(Exception, match=r"bee/7\.mp4: .*empty \(0 bytes\)"):
            list(video_dataset_from_directory(gray_videos, SPEC, **options))

    @pytest.mark.parametrize("known", [False, True])
    def test_a_video_known_to_be_broken_changes_no_order(self, gray_videos, videos_seen, known):
        Path(gray_videos / "bee" / "6.mp4").write_bytes(b"no video")
        faults = Faults(max_failures=0.2)
        dataset = video_dataset_from_directory(gray_videos, SPEC, seed=5, faults=faults)
        first = videos_seen(dataset)
        if known:
            dataset = video_dataset_from_directory(gray_videos, SPEC, seed=5, faults=faults)
        dataset.epoch_order.epoch = 0
        assert videos_seen(dataset) == first

    @pytest.mark.parametrize("cache", CACHES)
    def test_too_many_stop_the_epoch(self, gray_videos, make_cache, cache):
        for name in ("ant/1.mp4", "bee/6.mp4", "cow/14.mp4"):
            (gray_videos / name).write_bytes(b"")
        options = {"faults": Faults(max_failures=0.15), "cache": make_cache(cache)}
        with pytest.raises(Exception, match=r"3 of 15 videos cannot be read, more than the share of 0\.15"):
            list(video_dataset_from_directory(gray_videos, SPEC, **options))

    @pytest.mark.parametrize("policy", ["skip", "substitute"])
    def test_the_next_run_does_not_try_again(self, gray_videos, tmp_path, videos_seen, policy, monkeypatch):
        (gray_videos / "bee" / "6.mp4").write_bytes(b"no video")
        options = {"shuffle": False, "seed": 3, "batch_size": 5}
        first = Faults(tmp_path / "faults.jsonl", policy)
        seen_first = videos_seen(video_dataset_from_directory(gray_videos, SPEC, faults=first, **options))
        tried = []
        read = clip_reader.read_clip
        monkeypatch.setattr(clip_reader, "read_clip", lambda path, *rest: tried.append(path) or read(path, *rest))
        second = Faults(tmp_path / "faults.jsonl", policy)
        dataset = video_dataset_from_directory(gray_videos, SPEC, faults=second, **options)
        assert int(dataset.cardinality()) == 3
        assert (str(gray_videos / "bee" / "6.mp4") in dataset.file_paths) == (policy == "substitute")
        seen_second = videos_seen(dataset)
        assert seen_second == seen_first
        assert str(gray_videos / "bee" / "6.mp4") not in tried
        assert list(first) == list(second)

    def test_does_not_shift_the_random_windows_of_the_others(self, gray_videos, seen):
        spec = ClipSpec(2, 16, 12, frames_per_second=8.0)
        options = {"seed": 9, "sampling": "random_window"}
        before = seen(video_dataset_from_directory(gray_videos, spec, **options))
        (gray_videos / "bee" / "7.mp4").write_bytes(b"no video")
        after = seen(video_dataset_from_directory(gray_videos, spec, **options))
        assert after == [clip for clip in before if clip[0] != 7]

    def test_a_file_that_vanishes_between_epochs(self, gray_videos, videos_seen):
        dataset = video_dataset_from_directory(gray_videos, SPEC, shuffle=False)
        assert len(videos_seen(dataset)) == NUM_VIDEOS
        (gray_videos / "ant" / "3.mp4").unlink()
        assert 3 not in videos_seen(dataset)
        assert "there is no such file" in next(iter(dataset.faults)).reason

    def test_cached_rows_are_those_that_could_be_read(self, gray_videos):
        (gray_videos / "ant" / "0.mp4").write_bytes(b"no video")
        dataset = video_dataset_from_directory(gray_videos, SPEC, cache=True)
        assert [Path(path).stem for path in dataset.file_paths] == [str(index) for index in range(1, 5)] + [
            str(index) for index in range(5, 15)
        ]
        assert [row.path for row in dataset.rows] == dataset.file_paths

    def test_nothing_can_be_read(self, gray_videos):
        for path in gray_videos.rglob("*.mp4"):
            path.write_bytes(b"no video")
        with pytest.raises(
            ValueError, match=r"None of the 15 videos can be read; the first: .*ant/0\.mp4: FFmpeg cannot"
        ):
            video_dataset_from_directory(gray_videos, SPEC, cache=True, faults=Faults(max_failures=1))

    @pytest.mark.skipif("sys.platform != 'linux'", reason="other systems allow no such file names")
    def test_names_with_spaces_and_any_bytes(self, gray_videos, videos_seen):
        (gray_videos / "ant" / "0.mp4").rename(gray_videos / "ant" / " grüße aus 日本.mp4")
        shutil.move(bytes(gray_videos / "ant" / "1.mp4"), bytes(gray_videos / "ant") + b"/\xff\xfe.mp4")
        (gray_videos / "cow").rename(gray_videos / "ochs und kuh")
        dataset = video_dataset_from_directory(gray_videos, SPEC)
        assert sorted(videos_seen(dataset)) == list(range(NUM_VIDEOS))
        assert len(dataset.faults) == 0

    @pytest.mark.real_data
    def test_real_damage_kills_no_epoch(self, real_data):
        faults = Faults(max_failures=0.5)
        dataset = video_dataset_from_directory(real_data / "broken", SPEC, labels=None, faults=faults)
        num_clips = sum(len(batch) for batch in dataset)
        assert num_clips + len(dataset.faults) == len(dataset.file_paths)
        assert {"empty.mp4", "not_a_video.mp4"} <= {Path(fault.path).name for fault in dataset.faults}


class TestCache:
    @pytest.mark.parametrize("cache", CACHES[1:])
    @pytest.mark.parametrize("batch_size", [None, 4])
    def test_same_clips_and_a_known_number(self, gray_videos, make_cache, cache, batch_size):
        options = {"shuffle": False, "batch_size": batch_size}
        cached = video_dataset_from_directory(gray_videos, SPEC, cache=make_cache(cache), **options)
        plain = video_dataset_from_directory(gray_videos, SPEC, **options)
        assert int(cached.cardinality()) == (NUM_VIDEOS if batch_size is None else 4)
        for one, other in zip(cached, plain, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])

    @pytest.mark.parametrize("cache", CACHES[1:])
    @pytest.mark.parametrize("shuffle", [False, True])
    def test_files_are_read_once(self, gray_videos, videos_seen, make_cache, cache, shuffle):
        dataset = video_dataset_from_directory(gray_videos, SPEC, cache=make_cache(cache), shuffle=shuffle)
        shutil.rmtree(gray_videos)
        for _ in range(2):
            assert sorted(videos_seen(dataset)) == list(range(NUM_VIDEOS))
        assert len(dataset.faults) == 0

    def test_says_nothing_without_a_terminal(self, gray_videos, capfd):
        video_dataset_from_directory(gray_videos, SPEC, cache=True)
        assert capfd.readouterr() == ("", "")


class TestSplit:
    @pytest.mark.parametrize("cache", CACHES)
    def test_both_sides_are_disjoint_and_whole(self, gray_videos, videos_seen, make_cache, cache):
        options = {"validation_split": 0.2, "seed": 8, "cache": make_cache(cache)}
        train, validation = video_dataset_from_directory(gray_videos, SPEC, subset="both", **options)
        parts = videos_seen(train), videos_seen(validation)
        assert sorted(parts[0] + parts[1]) == list(range(NUM_VIDEOS))
        assert sorted(video // 5 for video in parts[1]) == [0, 1, 2]
        for subset, part in zip(("training", "validation"), parts, strict=True):
            alone = video_dataset_from_directory(gray_videos, SPEC, subset=subset, **options)
            assert sorted(videos_seen(alone)) == sorted(part)

    def test_validation_is_neither_shuffled_nor_random(self, gray_videos, seen):
        spec = ClipSpec(2, 16, 12, frames_per_second=8.0)
        _, validation = video_dataset_from_directory(
            gray_videos, spec, validation_split=0.4, subset="both", seed=8, sampling="random_window"
        )
        epochs = [seen(validation) for _ in range(2)]
        assert epochs[0] == epochs[1] == sorted(epochs[0])
        assert {frames for _, frames in epochs[0]} == {(3, 4)}

    def test_class_names_are_the_same_on_both_sides(self, gray_videos):
        train, validation = video_dataset_from_directory(
            gray_videos, SPEC, validation_split=0.2, subset="both", seed=0, class_names=["cow", "ant"]
        )
        assert train.class_names == validation.class_names == ["cow", "ant"]

    def test_groups_by_column_stay_together(self, gray_videos, videos_seen):
        person_of = {video: "abcde"[video % 5] for video in range(NUM_VIDEOS)}
        with open(gray_videos / "clips.csv", "w", newline="") as file:
            lines = [("path", "person")]
            lines += [
                (f"{('ant', 'bee', 'cow')[video // 5]}/{video}.mp4", person) for video, person in person_of.items()
            ]
            csv.writer(file).writerows(lines)
        for groups in ("person", lambda path: person_of[int(Path(path).stem)]):
            train, validation = video_dataset_from_directory(
                gray_videos, SPEC, validation_split=0.2, subset="both", seed=1, groups=groups
            )
            persons = [{person_of[video] for video in videos_seen(part)} for part in (train, validation)]
            assert not persons[0] & persons[1]
            assert len(persons[1]) == 1

    def test_arguments_that_do_not_fit(self, gray_videos):
        with pytest.raises(ValueError, match=r"validation_split=0\.3 and subset=None"):
            video_dataset_from_directory(gray_videos, SPEC, validation_split=0.3, seed=0)
        with pytest.raises(ValueError, match=r"validation_split=None and subset='training'"):
            video_dataset_from_directory(gray_videos, SPEC, subset="training", seed=0)
        with pytest.raises(ValueError, match=r"validation_split=0\.3 and subset='test'"):
            video_dataset_from_directory(gray_videos, SPEC, validation_split=0.3, subset="test", seed=0)
        with pytest.raises(ValueError, match=r"`seed` must be set"):
            video_dataset_from_directory(gray_videos, SPEC, validation_split=0.3, subset="both")


class TestRows:
    @pytest.mark.parametrize("cache", CACHES)
    def test_parts_of_one_video(self, gray_videos, seen, make_cache, cache):
        path = str(gray_videos / "ant" / "3.mp4")
        rows = [
            Row(path, "late", start_seconds=0.5),
            Row(path, "early", end_seconds=0.5),
            Row(path, "beyond", start_seconds=3.5),
            Row(path, "whole"),
        ]
        options = {"shuffle": False, "cache": make_cache(cache)}
        dataset = video_dataset_from_manifest(rows, SPEC, **options)
        assert seen(dataset) == [(3, (4, 5, 6, 7)), (3, (0, 1, 2, 3)), (3, (1, 3, 5, 7))]
        names = [dataset.class_names[label] for _, labels in dataset for label in labels.numpy()]
        assert names == ["late", "early", "whole"]
        assert [fault.start_seconds for fault in dataset.faults] == [3.5]
        assert "the part from 3.5 s is wanted, but it lasts 1.000 s" in next(iter(dataset.faults)).reason

    def test_several_labels(self, gray_videos):
        paths = sorted(str(path) for path in (gray_videos / "ant").iterdir())
        rows = [Row(paths[0], labels=("walk", "talk")), Row(paths[1], labels=()), Row(paths[2], "run")]
        dataset = video_dataset_from_manifest(rows, SPEC, label_mode="multi_label", shuffle=False)
        assert dataset.class_names == ["run", "talk", "walk"]
        (batch,) = dataset
        assert batch[1].numpy().tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
        with pytest.raises(ValueError, match=r"has the labels \['talk'\], expected some of \['run', 'walk'\]"):
            video_dataset_from_manifest(rows, SPEC, label_mode="multi_label", class_names=["run", "walk"])


class TestFeatures:
    @pytest.mark.parametrize("cache", CACHES)
    @pytest.mark.parametrize("batch_size", [None, 4])
    def test_beside_the_frames(self, gray_videos, make_cache, cache, batch_size):
        families = ["motion", "color"]
        options = {"features": families, "batch_size": batch_size, "cache": make_cache(cache)}
        dataset = video_dataset_from_directory(gray_videos, SPEC, shuffle=False, **options)
        inputs, labels = dataset.element_spec
        num_features = len(feature_names(families))
        batch_shape = () if batch_size is None else (None,)
        assert inputs["frames"] == tf.TensorSpec((*batch_shape, 4, 16, 12, 3), tf.uint8)
        assert inputs["features"] == tf.TensorSpec((*batch_shape, 4, num_features), tf.float32)
        assert labels == tf.TensorSpec(batch_shape, tf.int32)
        elements = dataset if batch_size is None else dataset.unbatch()
        for row, (clip, _) in zip(dataset.rows, elements, strict=True):
            expected = read_clip(row.path, SPEC)
            np.testing.assert_array_equal(clip["frames"], expected.frames)
            np.testing.assert_array_equal(clip["features"], extract_features(expected, families))

    def test_no_such_family(self, gray_videos):
        with pytest.raises(ValueError, match=r"`families` must name some of .*received \['colour'\]"):
            video_dataset_from_directory(gray_videos, SPEC, features=["colour"])


class TestErrors:
    def test_one_class(self, gray_videos):
        shutil.rmtree(gray_videos / "ant")
        shutil.rmtree(gray_videos / "cow")
        with pytest.raises(ValueError, match=rf"{gray_videos} has videos of one class only, \['bee'\]"):
            video_dataset_from_directory(gray_videos, SPEC)

    def test_empty_and_missing_folder(self, tmp_path):
        with pytest.raises(ValueError, match=rf"{tmp_path} holds no videos"):
            video_dataset_from_directory(tmp_path, SPEC)
        with pytest.raises(NotADirectoryError, match=r"gone is not a folder"):
            video_dataset_from_directory(tmp_path / "gone", SPEC)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"label_mode": "one_hot"}, r"`label_mode` must be one of .*received 'one_hot'"),
            ({"label_mode": "binary"}, r"needs exactly 2 classes, received 3"),
            ({"sampling": "middle"}, r"`sampling` must be one of .*'center_window'.*received 'middle'"),
            ({"short_video": "skip"}, r"`short_video` must be one of .*'repeat_last'.*received 'skip'"),
            ({"batch_size": -7}, r"`batch_size` must be at least 1.*received -7"),
        ],
    )
    def test_arguments_out_of_range(self, gray_videos, options, message):
        with pytest.raises(ValueError, match=message):
            video_dataset_from_directory(gray_videos, SPEC, **options)

    def test_rows(self):
        with pytest.raises(ValueError, match=r"at least one video, received none"):
            video_dataset_from_manifest([], SPEC)
        with pytest.raises(ValueError, match=r"b\.mp4 has the label 'run', expected one of \['walk', 'sit'\]"):
            video_dataset_from_manifest([Row("a.mp4", "walk"), Row("b.mp4", "run")], SPEC, class_names=["walk", "sit"])
        with pytest.raises(ValueError, match=r"c\.mp4 has the label None, expected one of \['walk'\]"):
            video_dataset_from_manifest([Row("a.mp4", "walk"), Row("c.mp4")], SPEC)


@pytest.mark.parametrize("cache", [False, True])
def test_a_manifest_feeds_fit(gray_videos, tmp_path, cache):
    with open(tmp_path / "clips.csv", "w", newline="") as file:
        lines = [(path.relative_to(tmp_path), path.parent.name) for path in gray_videos.rglob("*.mp4")]
        csv.writer(file).writerows([("path", "label"), *lines])
    dataset = video_dataset_from_manifest(
        read_manifest(tmp_path / "clips.csv"), SPEC, batch_size=4, seed=0, cache=cache
    )
    model = keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(dataset, epochs=2, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()
