from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sora_keras.data import Faults, Row, cache, clip_reader, rows_from_directory
from sora_keras.data.cache import cache_clips, tfrecord_dataset
from sora_keras.data.clip_reader import ClipReader
from sora_keras.data.epoch_order import EpochOrder
from sora_keras.video import ClipSpec, read_clip

SPEC = ClipSpec(num_frames=4, height=16, width=12)
NUM_VIDEOS = 15
RECORD_BYTES = 4 * 16 * 12 * 3


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that have been decoded so far."""
    names = []
    read = clip_reader.read_clip

    def spy(path, *rest):
        names.append(Path(path).name)
        return read(path, *rest)

    monkeypatch.setattr(clip_reader, "read_clip", spy)
    return names


@pytest.fixture(params=[".npy", ".tfrecord"])
def extension(request, monkeypatch):
    """Both kinds of shards, of four clips each."""
    monkeypatch.setattr(cache, "SHARD_BYTES", 4 * RECORD_BYTES)
    if request.param == ".tfrecord":
        monkeypatch.setattr(cache, "_memory_bytes", lambda: 0)
    return request.param


def fill(folder, rows, **options):
    """The clips of the cache by row number."""
    spec = options.pop("clip_spec", SPEC)
    clips = cache_clips(ClipReader(rows, spec, **options), folder)
    if clips.is_sequential:
        epoch_order = EpochOrder(len(clips.shards), shuffle=False)
        records = tfrecord_dataset(clips, int(np.prod(spec.shape)), epoch_order)
        return {int(row): record.numpy().reshape(spec.shape) for record, row in records}
    records = clips.records(np.arange(len(clips.rows)))
    return {int(row): record.reshape(spec.shape) for row, record in zip(clips.rows, records, strict=True)}


def shards(folder):
    return sorted(path for path in folder.rglob("clips-*") if path.suffix != ".json")


def test_a_later_run_decodes_nothing(gray_videos, tmp_path, decoded, extension):
    rows = rows_from_directory(gray_videos)
    first = fill(tmp_path / "cache", rows)
    assert len(decoded) == NUM_VIDEOS
    second = fill(tmp_path / "cache", rows)
    assert len(decoded) == NUM_VIDEOS
    assert list(first) == list(second) == list(range(NUM_VIDEOS))
    for index, row in enumerate(rows):
        expected = read_clip(row.path, SPEC).frames
        np.testing.assert_array_equal(first[index], expected)
        np.testing.assert_array_equal(second[index], expected)
    assert {path.suffix for path in shards(tmp_path)} == {extension}
    assert len(shards(tmp_path)) == 4


def test_parts_of_a_dataset_share_their_clips(gray_videos, tmp_path, decoded, extension):
    rows = rows_from_directory(gray_videos)
    fill(tmp_path / "cache", rows[::2])
    fill(tmp_path / "cache", rows[3:9])
    assert len(decoded) == 8 + 3
    clips = fill(tmp_path / "cache", rows[::-1])
    assert len(decoded) == NUM_VIDEOS
    for index, row in enumerate(rows[::-1]):
        np.testing.assert_array_equal(clips[index], read_clip(row.path, SPEC).frames)


def test_a_row_may_be_there_twice(gray_videos, tmp_path, extension):
    rows = rows_from_directory(gray_videos)
    clips = fill(tmp_path / "cache", [rows[2], rows[9], rows[2]])
    np.testing.assert_array_equal(clips[0], clips[2])
    np.testing.assert_array_equal(clips[1], read_clip(rows[9].path, SPEC).frames)


def test_a_changed_file_is_decoded_again(gray_videos, tmp_path, decoded, extension):
    rows = rows_from_directory(gray_videos)
    fill(tmp_path / "cache", rows)
    decoded.clear()
    os.replace(rows[7].path, rows[3].path)
    clips = fill(tmp_path / "cache", [*rows[:7], *rows[8:]])
    assert decoded == [Path(rows[3].path).name]
    np.testing.assert_array_equal(clips[3], read_clip(rows[3].path, SPEC).frames)


@pytest.mark.parametrize(
    "changed",
    [
        {"clip_spec": ClipSpec(4, 12, 16)},
        {"clip_spec": ClipSpec(4, 16, 12, frames_per_second=8.0)},
        {"sampling": "random_window"},
        {"short_video": "loop"},
    ],
)
def test_another_way_to_read_has_clips_of_its_own(gray_videos, tmp_path, decoded, changed):
    rows = rows_from_directory(gray_videos)[:3]
    first = fill(tmp_path / "cache", rows)
    fill(tmp_path / "cache", rows, **changed)
    assert len(decoded) == 6
    again = fill(tmp_path / "cache", rows)
    assert len(decoded) == 6
    np.testing.assert_array_equal(first[2], again[2])


@pytest.mark.parametrize("name", ["CACHE_VERSION", "__version__"])
def test_another_version_decodes_again(gray_videos, tmp_path, decoded, monkeypatch, name):
    rows = rows_from_directory(gray_videos)[:3]
    fill(tmp_path / "cache", rows)
    monkeypatch.setattr(cache, name, "another")
    fill(tmp_path / "cache", rows)
    assert len(decoded) == 6


def test_parts_of_a_video_are_different_clips(gray_videos, tmp_path, decoded):
    path = str(gray_videos / "ant" / "2.mp4")
    clips = fill(tmp_path / "cache", [Row(path), Row(path, start_seconds=0.5), Row(path, end_seconds=0.5)])
    assert len(decoded) == 3
    np.testing.assert_array_equal(clips[1], read_clip(path, SPEC, start_seconds=0.5).frames)


class TestRepair:
    @pytest.mark.parametrize("damage", ["truncate", "delete", "delete index"])
    def test_of_a_damaged_shard(self, gray_videos, tmp_path, decoded, extension, damage):
        rows = rows_from_directory(gray_videos)
        first = fill(tmp_path / "cache", rows)
        decoded.clear()
        shard = shards(tmp_path)[1]
        if damage == "truncate":
            os.truncate(shard, shard.stat().st_size - 100)
        else:
            (shard if damage == "delete" else shard.with_name(f"{shard.name}.json")).unlink()
        second = fill(tmp_path / "cache", rows)
        assert 3 <= len(decoded) <= 4
        for index in range(NUM_VIDEOS):
            np.testing.assert_array_equal(first[index], second[index])

    def test_after_a_kill_in_the_middle(self, gray_videos, tmp_path, decoded):
        script = f"""
import sys, time
from sora_keras.data import cache, clip_reader, rows_from_directory
from sora_keras.video import ClipSpec
cache.SHARD_BYTES = 4 * {RECORD_BYTES}
save = cache.np.save
def save_slowly(file, array):
    file.write(b"half a shard")
    file.flush()
    print("writing", flush=True)
    time.sleep(0.3 if len(list(cache.tf.io.gfile.glob(sys.argv[2] + "/*/*.json"))) < 2 else 60)
    file.seek(0)
    save(file, array)
cache.np.save = save_slowly
cache.cache_clips(clip_reader.ClipReader(rows_from_directory(sys.argv[1]), ClipSpec(4, 16, 12)), sys.argv[2])
"""
        command = [sys.executable, "-c", script, str(gray_videos), str(tmp_path / "cache")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(3):
                assert process.stdout.readline() == "writing\n"
            process.send_signal(signal.SIGKILL)
        (unfinished,) = (tmp_path / "cache").rglob(".unfinished-*")
        assert unfinished.read_bytes() == b"half a shard"
        assert len(shards(tmp_path)) == 2
        os.utime(unfinished, (time.time() - 7200,) * 2)
        rows = rows_from_directory(gray_videos)
        clips = fill(tmp_path / "cache", rows)
        assert len(decoded) == NUM_VIDEOS - 8
        assert not unfinished.exists()
        for index, row in enumerate(rows):
            np.testing.assert_array_equal(clips[index], read_clip(row.path, SPEC).frames)

    def test_two_writers_at_once(self, gray_videos, tmp_path, extension):
        rows = rows_from_directory(gray_videos)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: fill(tmp_path / "cache", rows), range(4)))
        for clips in results:
            assert list(clips) == list(range(NUM_VIDEOS))
            np.testing.assert_array_equal(clips[11], read_clip(rows[11].path, SPEC).frames)
        assert not list(tmp_path.rglob(".unfinished-*"))


def test_what_cannot_be_read_is_tried_again(gray_videos, tmp_path, decoded, extension):
    rows = rows_from_directory(gray_videos)
    whole = Path(rows[5].path).read_bytes()
    Path(rows[5].path).write_bytes(b"no video")
    assert list(fill(tmp_path / "cache", rows)) == [index for index in range(NUM_VIDEOS) if index != 5]
    decoded.clear()
    fill(tmp_path / "cache", rows, faults=Faults())
    assert decoded == [Path(rows[5].path).name]
    Path(rows[5].path).write_bytes(whole)
    assert sorted(fill(tmp_path / "cache", rows)) == list(range(NUM_VIDEOS))


def test_the_index_names_the_clips_in_order(gray_videos, tmp_path, extension):
    fill(tmp_path / "cache", rows_from_directory(gray_videos))
    for shard in shards(tmp_path):
        index = json.loads(shard.with_name(f"{shard.name}.json").read_text())
        assert index["bytes"] == shard.stat().st_size
        assert len(set(index["keys"])) == len(index["keys"]) <= 4


def test_shuffling_reaches_across_shards(gray_videos, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHARD_BYTES", 4 * RECORD_BYTES)
    monkeypatch.setattr(cache, "_memory_bytes", lambda: 0)
    clips = cache_clips(ClipReader(rows_from_directory(gray_videos), SPEC), tmp_path / "cache")
    dataset = tfrecord_dataset(clips, RECORD_BYTES, EpochOrder(len(clips.shards), seed=1))
    epochs = [[int(row) for _, row in dataset] for _ in range(3)]
    assert all(sorted(epoch) == list(range(NUM_VIDEOS)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    first_halves = {row for epoch in epochs for row in epoch[:7]}
    assert len(first_halves) > 8


def test_a_folder_that_cannot_be_made(gray_videos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Exception, match=r"file"):
        fill(tmp_path / "file" / "cache", rows_from_directory(gray_videos))
