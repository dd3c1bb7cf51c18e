import av
import numpy as np
import pytest

from sora_keras.apps.side_by_side import side_by_side, write_side_by_side
from sora_keras.video import probe, stream_frames, write_video
from sora_keras.video.rewriting import rewrite_video


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [((240, 320), (480, 640), (480, 1282)), ((33, 65), (33, 65), (32, 130)), ((720, 1280), (2880, 5120), (720, 2562)),
     ((1920, 1080), (1920, 1080), (1080, 1214)), ((1, 1), (1, 1), (2, 6))],
)  # fmt: skip
def test_sizes(before, after, expected):
    pair = side_by_side(np.full((*before, 3), 50, np.uint8), np.full((*after, 3), 200, np.uint8))
    assert pair.shape == (*expected, 3)
    middle = expected[1] // 2
    assert (pair[-1, : middle - 1] == 50).all()
    assert (pair[-1, middle - 1 : middle + 1] == 255).all()
    assert (pair[-1, middle + 1 :] == 200).all()


def test_both_are_named():
    pair = side_by_side(np.full((240, 320, 3), 50, np.uint8), np.full((240, 320, 3), 200, np.uint8))
    for corner in (pair[:20, :60], pair[:20, 322:382]):
        assert (corner == 0).mean() > 0.3
        assert (corner > 230).mean() > 0.008


def test_what_making_the_second_one_told_is_not_told_again(tmp_path, caplog):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p10le"
        frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 90, np.uint8), "rgb24").reformat(format="yuv420p10le")
        container.mux(video.encode(frame))
        container.mux(video.encode(None))
    rewrite_video(tmp_path / "a.mkv", tmp_path / "b.mp4", lambda pairs: (frame for _, frame in pairs))
    write_side_by_side(tmp_path / "a.mkv", tmp_path / "b.mp4", tmp_path / "c.mp4")
    assert caplog.text.count("its pixels have 10 bits") == 1


def test_a_video_of_both_with_the_times_of_the_first(tmp_path):
    levels = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((12, 48, 64, 3), np.uint8)
    write_video(tmp_path / "a.mp4", levels * 10, 10.0)
    write_video(tmp_path / "b.mp4", (levels * 10 + 100).repeat(2, 1).repeat(2, 2), 5.0)
    write_side_by_side(tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4", 12)
    shown = list(stream_frames(tmp_path / "c.mp4"))
    np.testing.assert_allclose([seconds for seconds, _ in shown], np.arange(12) / 10, atol=1e-6)
    assert (probe(tmp_path / "c.mp4").height, probe(tmp_path / "c.mp4").width) == (96, 258)
    np.testing.assert_allclose([frame[60, 60, 0] for _, frame in shown], np.arange(12) * 10, atol=3)
    np.testing.assert_allclose([frame[60, 200, 0] for _, frame in shown], np.arange(12) * 10 + 100, atol=3)
