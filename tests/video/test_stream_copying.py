from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from rewritten_video import Pairs, presentation_times, same, sound_packets
from sounding_video import write_sounding_video

from sora_keras.video import VideoError, probe, write_video
from sora_keras.video.rewriting import rewrite_video


@pytest.mark.parametrize(
    ("codec", "source_extension", "extension"),
    [("aac", ".mp4", ".mp4"), ("aac", ".mp4", ".mkv"), ("mp3", ".mkv", ".mov"), ("flac", ".mkv", ".mp4"),
     ("pcm_s16le", ".mkv", ".mkv"), ("aac", ".ts", ".mkv"), ("aac", ".mkv", ".mp4"), ("ac3", ".mkv", ".mp4")],
)  # fmt: skip
def test_sound_is_copied_packet_by_packet(
    tmp_path: pathlib.Path, numbered_frames: Callable, codec: str, source_extension: str, extension: str
) -> None:
    source, to = tmp_path / f"a{source_extension}", tmp_path / f"b{extension}"
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000 * 5 // 2)
    write_sounding_video(source, numbered_frames(50), sound, 48_000, codec, sound_starts_at=0.25)
    rewrite_video(source, to, same)
    before, after = sound_packets(source), sound_packets(to)
    header = 7 if source_extension == ".ts" else 0  # there each packet repeats what other formats tell once
    assert [packet[header:] for packet, _ in before] == [packet for packet, _ in after]
    assert sum(len(packet) for packet, _ in before) > 5000
    # Matroska rounds to a millisecond.
    np.testing.assert_allclose([seconds for _, seconds in before], [seconds for _, seconds in after], atol=6e-4)
    np.testing.assert_allclose(
        np.array(presentation_times(source), float), np.array(presentation_times(to), float), atol=6e-4
    )


@pytest.mark.parametrize("source_extension", [".ts", ".mpg"])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_a_broadcasts_clock_begins_at_zero(
    tmp_path: pathlib.Path, numbered_frames: Callable, source_extension: str, extension: str
) -> None:
    source, to = tmp_path / f"a{source_extension}", tmp_path / f"b{extension}"
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000 * 2)
    write_sounding_video(source, numbered_frames(50), sound, 32_000, "mp2", 25, 36_001.0, 36_001.2)
    rewrite_video(source, to, same)
    before, after = (np.array([second for _, second in sound_packets(path)]) for path in (source, to))
    pictures_before, pictures_after = (np.array(presentation_times(path), float) for path in (source, to))
    assert pictures_before[0] > 36_000
    assert pictures_after[0] == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(pictures_after, pictures_before - pictures_before[0], atol=1e-3)
    np.testing.assert_allclose(after, before - pictures_before[0], atol=1e-3)
    assert probe(to).duration_seconds < 2.6


@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_sound_that_was_cut_away_is_not_heard_again(
    tmp_path: pathlib.Path, numbered_frames: Callable, extension: str
) -> None:
    """MP4 keeps what comes before 0 s and says that it is not to be heard; Matroska has no place to say so."""
    source, to = tmp_path / "a.mp4", tmp_path / f"b{extension}"
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000 * 3)
    write_sounding_video(source, numbered_frames(50), sound, 48_000, "aac", sound_starts_at=-1.0)
    rewrite_video(source, to, same)
    before, after = sound_packets(source), sound_packets(to)
    assert [packet for packet, _ in after] == [packet for packet, _ in before][-len(after) :]
    if extension == ".mkv":
        assert -0.13 < after[0][1] < -0.02  # what the decoder needs to begin
        assert len([second for _, second in after if second > 0]) == len([second for _, second in before if second > 0])
    else:
        assert after == before


def test_which_tracks_are_the_default_or_forced(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    source = tmp_path / "a.mkv"
    kinds = [Disposition(0), Disposition.default | Disposition.original, Disposition.forced]
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = 32, 64
        sounds = [container.add_stream("aac", rate=16_000, layout="mono") for _ in kinds]
        video.disposition = Disposition.default
        for sound, kind in zip(sounds, kinds, strict=True):
            sound.disposition = kind
        for index, frame in enumerate(numbered_frames(25)):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for sound in sounds:
            part = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
            part.sample_rate, part.pts = 16_000, 0
            container.mux(sound.encode(part))
            container.mux(sound.encode(None))
    rewrite_video(source, tmp_path / "b.mkv", same)
    with av.open(str(tmp_path / "b.mkv")) as container:
        found = [stream.disposition for stream in container.streams]
    assert found == [Disposition.default, *kinds]


def test_sound_that_does_not_fit_is_refused_before_anything_is_done(
    tmp_path: pathlib.Path, numbered_frames: Callable
) -> None:
    source = write_sounding_video(tmp_path / "a.avi", numbered_frames(10), np.zeros(16_000), 16_000, "pcm_u8")

    def never(frames: Pairs) -> Iterator[np.ndarray]:
        raise AssertionError("nothing is to be changed")

    with pytest.raises(VideoError, match=r"a\.avi: its sound \(pcm_u8\) .* \.mp4 cannot hold it; write to .*\.mkv"):
        rewrite_video(source, tmp_path / "b.mp4", never)
    assert [path.name for path in tmp_path.iterdir()] == ["a.avi"]
    rewrite_video(source, tmp_path / "b.mkv", same)
    assert sound_packets(source) == sound_packets(tmp_path / "b.mkv")
    source = write_sounding_video(tmp_path / "c.avi", numbered_frames(10), np.zeros(16_000), 16_000, "adpcm_ms")
    with pytest.raises(VideoError, match=r"its sound \(adpcm_ms\) .* \.mkv cannot hold it; convert its sound to AAC"):
        rewrite_video(source, tmp_path / "b.mkv", never)


def test_metadata_language_chapters_and_subtitles(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        container.metadata.update(
            title="A walk", artist="Ann", comment="ü", creation_time="2018-04-19T22:46:00.000000Z"
        )
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
        )
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = 32, 64
        video.metadata["language"] = "ger"
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        sound.metadata["language"] = "ita"
        for index, frame in enumerate(numbered_frames(50)):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        part = av.AudioFrame.from_ndarray(np.zeros((1, 32_000), np.float32), "fltp", "mono")
        part.sample_rate, part.pts = 16_000, 0
        container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    for extension in (".mp4", ".mov", ".mkv"):
        to = tmp_path / f"b{extension}"
        assert rewrite_video(source, to, same).warnings == ()
        with av.open(str(to)) as container:
            found = {name.lower(): value for name, value in container.metadata.items()}
            assert (found["title"], found["artist"], found["comment"]) == ("A walk", "Ann", "ü")
            assert found["creation_time"] == "2018-04-19T22:46:00.000000Z"
            assert [stream.metadata["language"] for stream in container.streams.get(video=0, audio=0)] == ["ger", "ita"]
            assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["One"]


def test_unusual_metadata_is_kept(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        container.metadata.update({"title": "A walk", "camera_number": "17"})
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = 32, 64
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(numbered_frames(1)[0]), "rgb24")))
        container.mux(video.encode(None))
    rewrite_video(tmp_path / "a.mkv", tmp_path / "b.mp4", same)
    with av.open(str(tmp_path / "b.mp4")) as container:
        found = {name.lower(): value for name, value in container.metadata.items()}
    assert (found["title"], found["camera_number"]) == ("A walk", "17")


def write_subtitled(path: pathlib.Path, video: pathlib.Path) -> None:
    """The video with a line of text from 0.5 s to 1.5 s."""
    (text := path.with_suffix(".srt")).write_text("1\n00:00:00,500 --> 00:00:01,500\nHello\n")
    with av.open(str(video)) as source, av.open(str(text)) as lines, av.open(str(path), "w") as container:
        copies = [
            container.add_stream_from_template(source.streams.video[0]),
            container.add_stream_from_template(lines.streams.subtitles[0]),
        ]
        for stream, copy in ((lines.streams.subtitles[0], copies[1]), (source.streams.video[0], copies[0])):
            for packet in stream.container.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    container.mux(packet)
    text.unlink()


def test_subtitles_are_copied_where_they_fit(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    write_video(tmp_path / "plain.mp4", numbered_frames(50))
    write_subtitled(tmp_path / "a.mkv", tmp_path / "plain.mp4")
    assert rewrite_video(tmp_path / "a.mkv", tmp_path / "b.mkv", same).warnings == ()
    with av.open(str(tmp_path / "b.mkv")) as container:
        (packet,) = (packet for packet in container.demux(container.streams.subtitles[0]) if packet.size)
        assert bytes(packet) == b"Hello"
        assert float(packet.pts * packet.time_base) == 0.5
    (warning,) = rewrite_video(tmp_path / "a.mkv", tmp_path / "b.mp4", same).warnings
    assert "subtitle is left out of the .mp4" in warning
