"""Video files to clips and back, and clips to cleaner clips: NumPy, PyAV and OpenCV, never TensorFlow."""

from sora_keras.video.clip import Clip, ClipSpec
from sora_keras.video.compression import compressed_frames
from sora_keras.video.cutting import cut_video
from sora_keras.video.denoising import (
    bilateral_over_space,
    denoise_along_motion,
    estimate_noise,
    gaussian_over_space,
    gaussian_over_time,
    median_over_space,
    median_over_time,
)
from sora_keras.video.frame_repair import repair_broken_frames
from sora_keras.video.frozen_frames import drop_frozen_frames
from sora_keras.video.letterbox import remove_letterbox
from sora_keras.video.opening import VideoError
from sora_keras.video.person_detection import detect_people
from sora_keras.video.probing import VideoInfo, probe
from sora_keras.video.reading import read_clip, read_windows, stream_frames
from sora_keras.video.rewriting import Rewriting, rewrite_video
from sora_keras.video.sampling import sample_times
from sora_keras.video.sound import read_sound, read_sound_windows
from sora_keras.video.sound_or_silence import read_sound_or_silence
from sora_keras.video.writing import write_video

__all__ = [
    "Clip",
    "ClipSpec",
    "Rewriting",
    "VideoError",
    "VideoInfo",
    "bilateral_over_space",
    "compressed_frames",
    "cut_video",
    "denoise_along_motion",
    "detect_people",
    "drop_frozen_frames",
    "estimate_noise",
    "gaussian_over_space",
    "gaussian_over_time",
    "median_over_space",
    "median_over_time",
    "probe",
    "read_clip",
    "read_sound",
    "read_sound_or_silence",
    "read_sound_windows",
    "read_windows",
    "remove_letterbox",
    "repair_broken_frames",
    "rewrite_video",
    "sample_times",
    "stream_frames",
    "write_video",
]
