"""The number of a row in, its clip out: one flat record of frames, features and sound, however broken the file is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sora_keras.data.faults import Faults, TooManyFaultsError
from sora_keras.data.manifest import Row
from sora_keras.features import extract_features, feature_names
from sora_keras.video import Clip, ClipSpec, VideoError, read_clip, read_sound_or_silence

SUBSTITUTES_TRIED = 10
FULL_SCALE = 2**15


class ClipReader:
    """Reads rows as records, so that a clip is the same wherever it is kept: in memory, on a disk or on its way.

    A record is `uint8 (record_bytes,)`: the frames `uint8 (T, H, W, 3)`, the features `float32 (T, D)`, the sound
    `int16 (T, S)`, which loses nothing: it is decoded to 16 bits, then the frames' times `float64 (T,)`.

    Args:
        rows: the videos.
        clip_spec: the clips to make.
        sampling: which part of the video a clip is.
        short_video: what to do with a video shorter than a clip.
        features: families of classical features to compute beside the frames.
        faults: what to do with videos that cannot be read.
        sound_samples: samples S of the sound around each frame to read, at 16 kHz.
        with_times: whether records hold the frames' times, in seconds since the video's first frame.

    Raises:
        ValueError: if there is no such family of features, or `sound_samples` is no number of samples.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        clip_spec: ClipSpec,
        sampling: str = "uniform",
        short_video: str = "repeat_last",
        features: Sequence[str] = (),
        faults: Faults | None = None,
        sound_samples: int = 0,
        with_times: bool = False,
    ) -> None:
        if isinstance(sound_samples, bool) or not isinstance(sound_samples, int) or sound_samples < 0:
            raise ValueError(
                f"`sound_samples` must be a whole number, samples of 1/16000 s around each frame, received "
                f"{sound_samples!r}: such as 4000 for a quarter of a second."
            )
        self.rows = list(rows)
        self.clip_spec = clip_spec
        self.sampling = sampling
        self.short_video = short_video
        self.features = tuple(features)
        self.faults = Faults() if faults is None else faults
        self.num_features = len(feature_names(self.features)) if self.features else 0
        self.sound_samples = sound_samples
        self.feature_bytes = 4 * clip_spec.num_frames * self.num_features
        self.sound_bytes = 2 * clip_spec.num_frames * sound_samples
        self.with_times = with_times
        self.time_bytes = 8 * clip_spec.num_frames if with_times else 0
        self.record_bytes = math.prod(clip_spec.shape) + self.feature_bytes + self.sound_bytes + self.time_bytes

    def read(self, index: int, clip_seed: int) -> np.ndarray | None:
        """Read the clip of a row, or of its substitute.

        Args:
            index: the number of the row.
            clip_seed: makes the clip's random choices.

        Returns:
            Its record `uint8 (record_bytes,)`; `None` if it is to be skipped.

        Raises:
            VideoError: if it cannot be read, and the policy is `"raise"`.
            TooManyFaultsError: if too many cannot be read, or no substitute can.
        """
        record = self.read_itself(index, clip_seed)
        if record is not None or self.faults.policy == "skip":
            return record
        for other in self.substitutes(index, clip_seed):
            record = self.read_itself(other, clip_seed)
            if record is not None:
                return record
        raise TooManyFaultsError(self.no_substitute(index))

    def read_itself(self, index: int, clip_seed: int) -> np.ndarray | None:
        """As `read`, but `None` where a substitute is wanted."""
        row = self.rows[index]
        if self.faults.policy != "raise" and row in self.faults:
            return None
        try:
            clip = read_clip(
                row.path, self.clip_spec, self.sampling, self.short_video,  # type: ignore[arg-type]
                np.random.default_rng(clip_seed), row.start_seconds, row.end_seconds,
            )  # fmt: skip
        except VideoError as error:
            self.faults.record(error, row.start_seconds)
            return None
        parts = [clip.frames.reshape(-1)]
        if self.features:
            features = np.ascontiguousarray(extract_features(clip, self.features), np.float32)
            parts.append(features.reshape(-1).view(np.uint8))
        if self.sound_samples:
            parts.append(self._sound(row, clip).reshape(-1).view(np.uint8))
        if self.with_times:
            parts.append(clip.times.view(np.uint8))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _sound(self, row: Row, clip: Clip) -> np.ndarray:
        """What is heard around each frame, `int16 (T, S)`; a sound that is missing or broken is silent."""
        sound = read_sound_or_silence(row.path, clip.times, self.sound_samples)
        return np.round(sound * FULL_SCALE).astype(np.int16)

    def substitutes(self, index: int, clip_seed: int) -> list[int]:
        """A few other rows of the same labels, the same ones whatever else was read before."""
        labels = self.rows[index].labels
        others = [other for other, row in enumerate(self.rows) if row.labels == labels and other != index]
        return np.random.default_rng(clip_seed).permutation(others)[:SUBSTITUTES_TRIED].tolist()

    def no_substitute(self, index: int) -> str:
        """What to say where neither the row nor any substitute can be read."""
        row = self.rows[index]
        return (
            f"{row.path} cannot be read, nor any video of {list(row.labels)} tried in its place; leave the class out, "
            "or repair its videos."
        )
