"""Videos in, what a model behind a server says of them out, over REST or gRPC."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import json
import os
import random
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, get_args

import numpy as np

from sora_keras.progress import show_progress
from sora_keras.serving.bundle import read_clip_spec
from sora_keras.serving.encoded_frames import Encoding, encode_frames
from sora_keras.serving.remote_stream import RemoteStream
from sora_keras.serving.serving_error import Refusal, ServingError
from sora_keras.video import ClipSpec, VideoError, read_clip

FIRST_PAUSE_SECONDS = 0.1
INITIALIZATION = "__saved_model_init_op"  # TensorFlow lists it among the signatures
DTYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16", "DT_STRING": "str"}

Video = str | os.PathLike[str] | np.ndarray


class TensorInfo(NamedTuple):
    """What goes into a signature or comes out under one name; a dimension of any size is `None`."""

    dtype: str
    shape: tuple[int | None, ...] | None


class VersionStatus(NamedTuple):
    """How it stands with one version of a model: its state is `AVAILABLE` where it answers."""

    version: int
    state: str
    error: str


@dataclasses.dataclass(frozen=True, eq=False)
class VideoAnswer:
    """What a model says of one video.

    Args:
        outputs: of the model, by name, without the batch; empty where the video cannot be read.
        error: why it cannot be read, else `None`.
    """

    outputs: dict[str, np.ndarray]
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The most probable class; `None` if the model is no classifier."""
        return str(self.outputs["label"]) if "label" in self.outputs else None

    @property
    def probabilities(self) -> dict[str, float]:
        """Of each class, the most probable first; empty if the model is no classifier."""
        if "probabilities" not in self.outputs:
            return {}
        values, names = self.outputs["probabilities"], self.outputs["class_names"]
        return {str(names[index]): float(values[index]) for index in np.argsort(-values, kind="stable")}


class Client:
    """Asks a model that `sora_keras.export` wrote and TensorFlow Serving, or the development server, serves.

    Videos are read here, as the model's clip specification says, the next ones while the server answers, and their
    frames sent as pictures, several videos in one request. Refused connections and busy servers (429, 503,
    `UNAVAILABLE`) are asked again, after pauses that grow. Several threads may share a client. The clip specification
    and the signatures are asked for once: take a new client where a new version reads other clips.

    Args:
        url: `http://host:8501` or `https://` for REST, `grpc://host:8500` for gRPC, which is faster.
        model_name: as it is served.
        version: the one to ask; by default the server's own choice, the newest.
        label: of the version to ask, such as `"stable"`.
        bundle_path: the exported model's folder, to read the clip specification from; by default the server is asked.
        encoding: `"jpeg"`, or `"png"`, which loses nothing and is several times larger.
        quality: of JPEG, from 1 to 100.
        batch_size: most videos in one request; no more than the server's `max_batch_size`, where it batches.
        timeout_seconds: longest time for an answer, with all tries.
        max_tries: how many times to ask.

    Raises:
        ImportError: if the `serving` extra is not installed.
        ValueError: if an argument cannot be.

    Example:
        >>> with Client("grpc://localhost:8500", "fights") as client:
        ...     for answer in client.predict(["street.mp4", "yard.mp4"]):
        ...         print(answer.label, answer.probabilities)
    """

    def __init__(
        self,
        url: str,
        model_name: str,
        version: int | None = None,
        label: str | None = None,
        bundle_path: str | os.PathLike[str] | None = None,
        encoding: Encoding = "jpeg",
        quality: int = 90,
        batch_size: int = 8,
        timeout_seconds: float = 60.0,
        max_tries: int = 5,
    ) -> None:
        _check_choices(version, label, encoding, quality)
        for name, value in {
            "batch_size": batch_size,
            "timeout_seconds": timeout_seconds,
            "max_tries": max_tries,
        }.items():
            if not value > 0:
                raise ValueError(f"`{name}` must be positive, received {value!r}.")
        self._transport = _transport(url, model_name, version, label)
        self._where = f"{model_name!r} at {url}"
        self._encoding, self._quality, self._batch_size = encoding, quality, batch_size
        self._timeout_seconds, self._max_tries = timeout_seconds, max_tries
        self._bundle_path = bundle_path

    @functools.cached_property
    def clip_spec(self) -> ClipSpec:
        """How videos become the model's input."""
        if self._bundle_path is not None:
            return read_clip_spec(self._bundle_path)
        answer = self.ask("clip_spec", {"index": np.zeros(1, np.int32)})
        return ClipSpec.from_config(json.loads(str(answer["clip_spec"][0])))

    def predict(self, videos: Sequence[Video]) -> list[VideoAnswer]:
        """Ask what the model says of videos.

        Args:
            videos: paths, or frames `uint8 (T, H, W, 3)` that are clips already.

        Returns:
            An answer for each video, in order; of one that cannot be read, its error.

        Raises:
            ServingError: if the server gives no answer.
            TypeError: if `videos` is a single path.
            ValueError: if frames have another shape or type.

        Example:
            >>> client.predict(["street.mp4"])[0].label
            'fight'
        """
        return self._of_videos("encoded", videos)

    def embed(self, videos: Sequence[Video]) -> np.ndarray:
        """Ask for embeddings, to search with or to compare by.

        Args:
            videos: as `predict` takes them.

        Returns:
            `float32 (N, F)`; a video that cannot be read has a row of NaN: `predict` says why.

        Raises:
            ServingError: if the server gives no answer.
            TypeError: if `videos` is a single path.
            ValueError: if frames have another shape or type, or the model has no embedding.

        Example:
            >>> client.embed(["street.mp4", "yard.mp4"]).shape
            (2, 128)
        """
        shape = self._signature("embed_encoded")["outputs"]["embedding"].shape or (None,)
        answers = self._of_videos("embed_encoded", videos)
        unread = np.full(shape[-1] or 1, np.nan, np.float32)
        rows = [answer.outputs.get("embedding", unread) for answer in answers]
        return np.stack(rows) if rows else np.empty((0, len(unread)), np.float32)

    def stream(self, num_streams: int = 1) -> RemoteStream:
        """Begin to watch frame by frame.

        Args:
            num_streams: B, streams that go side by side, a frame of each in every request.

        Returns:
            What takes the frames and keeps the state between them.

        Raises:
            ServingError: if the server gives no answer.
            ValueError: if the model has to see the whole clip, or `num_streams` is less than 1.

        Example:
            >>> stream = client.stream()
            >>> for _, frame in sora_keras.video.stream_frames("street.mp4", 112, 112):
            ...     print(stream.step(frame[None])["label"][0])
        """
        return RemoteStream(self.ask, self._signature("step")["inputs"], num_streams)

    def status(self) -> list[VersionStatus]:
        """Ask how it stands with the model's versions.

        Returns:
            One for each version that the server knows, the newest first.

        Raises:
            ServingError: if the server gives no answer, or does not know the model.

        Example:
            >>> client.status()
            [VersionStatus(version=1, state='AVAILABLE', error='')]
        """
        versions = self._ask("The status of", self._transport.status)
        return [
            VersionStatus(int(of["version"]), of.get("state", "UNKNOWN"), of.get("status", {}).get("error_message", ""))
            for of in versions
        ]

    def metadata(self) -> dict[str, dict[str, dict[str, TensorInfo]]]:
        """Ask what the model can be asked.

        Returns:
            By signature, the `inputs` and the `outputs` by name.

        Raises:
            ServingError: if the server gives no answer.

        Example:
            >>> client.metadata()["serving_default"]["inputs"]["frames"]
            TensorInfo(dtype='uint8', shape=(None, None, 112, 112, 3))
        """
        return {
            signature: {
                side: {name: _tensor_info(tensor) for name, tensor in of.get(side, {}).items()}
                for side in ("inputs", "outputs")
            }
            for signature, of in self._ask("The metadata of", self._transport.signatures).items()
            if signature != INITIALIZATION
        }

    def ask(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask any signature.

        Args:
            signature: its name.
            inputs: by name; bytes as arrays of the dtype `object`.

        Returns:
            The outputs by name, strings as `str`.

        Raises:
            ServingError: if the server gives no answer.
            ValueError: if the model has no such signature.

        Example:
            >>> client.ask("serving_default", {"frames": clip.frames[None]})["probabilities"]
        """
        dtypes = {name: info.dtype for name, info in self._signature(signature)["outputs"].items()}
        return self._ask(
            f"Signature {signature!r} of",
            lambda timeout_seconds: self._transport.predict(signature, inputs, dtypes, timeout_seconds),
        )

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        self.close()

    @functools.cached_property
    def _signatures(self) -> dict[str, dict[str, dict[str, TensorInfo]]]:
        return self.metadata()

    def _signature(self, name: str) -> dict[str, dict[str, TensorInfo]]:
        if name not in self._signatures:
            raise ValueError(
                f"The model {self._where} has no signature {name!r}, but {sorted(self._signatures)}: export it again "
                "with this version of sora_keras, or ask something else."
            )
        return self._signatures[name]

    def _of_videos(self, signature: str, videos: Sequence[Video]) -> list[VideoAnswer]:
        if isinstance(videos, (str, os.PathLike)):
            raise TypeError(f"`videos` must be a list, received the single path {os.fspath(videos)!r}: put it in one.")
        answers: dict[int, VideoAnswer] = {}
        # Clips of one request must have as many frames as each other.
        batches: dict[int, dict[int, list[bytes]]] = {}
        for index, pictures in enumerate(show_progress(self._read_ahead(videos), "Asking", len(videos))):
            if isinstance(pictures, VideoError):
                answers[index] = VideoAnswer({}, pictures.reason)
                continue
            batch = batches.setdefault(len(pictures), {})
            batch[index] = pictures
            if len(batch) == self._batch_size:
                answers |= self._of_batch(signature, batches.pop(len(pictures)))
        for batch in batches.values():
            answers |= self._of_batch(signature, batch)
        return [answers[index] for index in range(len(videos))]

    def _read_ahead(self, videos: Sequence[Video]) -> Iterator[list[bytes] | VideoError]:
        """The pictures of each video, or why it cannot be read; the next ones are read while the server answers."""
        if not all(isinstance(video, np.ndarray) for video in videos):
            _ = self.clip_spec  # asked for once, not by each thread
        waiting: collections.deque[Future[list[bytes] | VideoError]] = collections.deque()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for video in videos:
                waiting.append(pool.submit(self._pictures, video))
                if len(waiting) > 2 * self._batch_size:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _pictures(self, video: Video) -> list[bytes] | VideoError:
        try:
            frames = video if isinstance(video, np.ndarray) else read_clip(video, self.clip_spec).frames
        except VideoError as error:
            return error
        return encode_frames(frames, self._encoding, self._quality)

    def _of_batch(self, signature: str, batch: Mapping[int, list[bytes]]) -> dict[int, VideoAnswer]:
        outputs = self.ask(signature, {"frames": np.array(list(batch.values()), object)})
        return {
            index: VideoAnswer({name: values[row] for name, values in outputs.items()})
            for row, index in enumerate(batch)
        }

    def _ask(self, what: str, method: Callable[[float], Any]) -> Any:
        """Call with the seconds left, again and again while that may help."""
        deadline = time.monotonic() + self._timeout_seconds
        for num_tries in itertools.count(1):
            try:
                return method(max(0.001, deadline - time.monotonic()))
            except Refusal as refusal:
                # Clients that were refused together must not come back together.
                pause_seconds = FIRST_PAUSE_SECONDS * 2 ** (num_tries - 1) * random.uniform(0.5, 1.5)
                is_in_time = time.monotonic() + pause_seconds < deadline
                if not (refusal.is_temporary and is_in_time and num_tries < self._max_tries):
                    raise ServingError(f"{what} {self._where}", refusal.code, refusal.reason, num_tries) from refusal
            time.sleep(pause_seconds)


def _check_choices(version: int | None, label: str | None, encoding: str, quality: int) -> None:
    if version is not None and label is not None:
        raise ValueError(f"A version is chosen by number or by label, received both {version!r} and {label!r}.")
    if encoding not in get_args(Encoding):
        raise ValueError(f"`encoding` must be one of {get_args(Encoding)}, received {encoding!r}.")
    if not 1 <= quality <= 100:
        raise ValueError(f"`quality` must be from 1 to 100, received {quality!r}.")


def _transport(url: str, model_name: str, version: int | None, label: str | None) -> Any:
    """What speaks the protocol that the URL names; imported here, because it comes with an extra."""
    protocol, _, address = url.partition("://")
    if protocol not in ("http", "https", "grpc") or not address:
        raise ValueError(f"`url` must begin with http://, https:// or grpc:// and name a host, received {url!r}.")
    try:
        if protocol == "grpc":
            from sora_keras.serving.grpc_transport import GrpcTransport

            return GrpcTransport(address.rstrip("/"), model_name, version, label)
        from sora_keras.serving.rest_transport import RestTransport

        return RestTransport(url, model_name, version, label)
    except ImportError as error:
        raise ImportError(
            f"The client needs more than is installed ({error}): pip install 'sora-keras[serving]'"
        ) from error


def _tensor_info(tensor: Mapping[str, Any]) -> TensorInfo:
    name, shape = tensor["dtype"], tensor.get("tensor_shape", {})
    sizes = [int(dimension.get("size", 0)) for dimension in shape.get("dim", [])]
    dimensions = None if shape.get("unknown_rank") else tuple(None if size < 0 else size for size in sizes)
    return TensorInfo(DTYPES.get(name, name.removeprefix("DT_").lower()), dimensions)
