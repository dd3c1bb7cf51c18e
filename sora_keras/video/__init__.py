"""Video files to clips and back: NumPy, PyAV and OpenCV, never TensorFlow."""

from sora_keras.video.clip import Clip, ClipSpec
from sora_keras.video.opening import VideoError
from sora_keras.video.probing import VideoInfo, probe
from sora_keras.video.reading import read_clip, read_windows, stream_frames
from sora_keras.video.sampling import sample_times
from sora_keras.video.writing import write_video

__all__ = [
    "Clip",
    "ClipSpec",
    "VideoError",
    "VideoInfo",
    "probe",
    "read_clip",
    "read_windows",
    "sample_times",
    "stream_frames",
    "write_video",
]
