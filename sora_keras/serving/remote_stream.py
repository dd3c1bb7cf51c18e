"""Frames in, one after the other, what a causal model behind a server says so far out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


class RemoteStream:
    """Watches one or more streams of frames, as `sora_keras.models.streaming.Stream` does without a server.

    The state between frames is kept here and travels with each frame, so the server keeps none and any replica may
    answer. It is far smaller over gRPC than as JSON. A step that fails changes nothing: send the frame again. One
    thread at a time may use a stream.

    Args:
        ask: `Client.ask`.
        inputs: of the signature `step`, by name, each with its `dtype` and `shape`.
        num_streams: B, streams that go side by side.

    Raises:
        ValueError: if `num_streams` is less than 1.

    Example:
        >>> stream = client.stream()
        >>> label = stream.step(frame[None])["label"][0]
    """

    def __init__(
        self, ask: Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]], inputs: Mapping[str, Any],
        num_streams: int = 1,
    ) -> None:  # fmt: skip
        if num_streams < 1:
            raise ValueError(f"`num_streams` must be at least 1, received {num_streams!r}.")
        self._ask = ask
        self._state = {
            name: np.zeros((num_streams, *info.shape[1:]), info.dtype)
            for name, info in inputs.items()
            if name != "frame"
        }
        self._shape = (num_streams, *inputs["frame"].shape[1:])

    def step(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Read the next frame of each stream.

        Args:
            frames: `uint8 (B, H, W, 3)`.

        Returns:
            The model's outputs by name, `(B, ...)`, as for the clip of all frames so far.

        Raises:
            ServingError: if the server gives no answer.
            ValueError: if the frames are of another shape or type.

        Example:
            >>> stream.step(frames)["probabilities"].shape
            (1, 2)
        """
        if frames.shape != self._shape or frames.dtype != np.uint8:
            raise ValueError(
                f"`frames` must be uint8 of shape {self._shape}, received {frames.dtype} of shape {frames.shape}."
            )
        outputs = self._ask("step", {"frame": frames, **self._state})
        self._state = {name: outputs.pop(name) for name in self._state}
        return outputs

    def forget(self, streams: Sequence[int] | None = None) -> None:
        """Begin anew.

        Args:
            streams: numbers of the streams that do, such as one whose camera was changed; `None` for all.

        Example:
            >>> stream.forget([3])
        """
        which = slice(None) if streams is None else list(streams)
        for name, values in self._state.items():
            self._state[name] = values = np.array(values)
            values[which] = 0
