"""A causal model of clips in, the same model for one frame at a time out: no frame is ever read twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from sora_keras.layers import AttentionPooling, OpticalFlow, TemporalDifference, TemporalShift, TimeDistributed
from sora_keras.models.backbone import SoraBackbone

# What treats each frame alone, so that it is the same for a clip of one frame.
LAYERS_OF_A_FRAME = (
    TimeDistributed, layers.InputLayer, layers.Activation, layers.Add, layers.BatchNormalization, layers.Concatenate,
    layers.Dense, layers.Dropout, layers.LayerNormalization, layers.Normalization, layers.ReLU, layers.Rescaling,
)  # fmt: skip
OPERATIONS_OF_A_FRAME = frozenset({
    "Add", "Cast", "Clip", "ExpandDims", "GetItem", "Multiply", "Sqrt", "Square", "Subtract", "Sum",
})  # fmt: skip
# What `_Past` has a way to go on with.
LAYERS_OF_THE_PAST = (
    AttentionPooling, OpticalFlow, TemporalDifference, TemporalShift, layers.GRU, layers.GlobalAveragePooling1D,
    layers.LSTM,
)  # fmt: skip
SEEN = "frames_seen"


def step_model(model: keras.Model) -> keras.Model:
    """Connect a causal model's layers for one frame and a state: the same weights, and the same numbers.

    After T frames it gives what the model gives for the clip of these T frames: averages over the clip go on as running
    ones. What a layer needs of the past is in the state: the frame before, an LSTM's memory, sums. So a step takes the
    same time, however long the stream.

    Args:
        model: a `SoraBackbone`, `SoraClassifier` or `SoraUnderstanding` that reads frames alone, with
            `sequence="lstm"`, `"gru"` or `"lstm_attention"`. Of the latter model what it says of each frame is kept,
            what it says of the whole clip is not.

    Returns:
        A model from a dict of `frame`, `uint8 (B, H, W, 3)`, and the state, to a dict of the outputs, `(B, ...)`
        without T, and the new state under the names of the old one. A classifier's output is called `logits`. The first
        state is zeros: `initial_state`.

    Raises:
        ValueError: if the model looks ahead, or reads more than frames.

    Example:
        >>> step = step_model(SoraBackbone(ClipSpec(16, 64, 64)))
        >>> state = initial_state(step)
        >>> for frame in frames:
        ...     outputs = step.predict_on_batch({"frame": frame[None], **state})
        ...     state = {name: outputs.pop(name) for name in state}
    """
    _check_inputs(model)
    graph = keras.Model(model.inputs, _outputs_of_frames(model))
    _check_layers(graph)
    step = _Step(graph, name="step")
    frame = keras.Input(model.clip_spec.shape[1:], dtype="uint8", name="frame")
    _, first = step(frame)
    states = {name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name) for name, tensor in first.items()}
    outputs, new_states = step(frame, states)
    return keras.Model({"frame": frame, **states}, {**outputs, **new_states}, name=f"{model.name}_step")


def initial_state(step: keras.Model, num_streams: int = 1) -> dict[str, np.ndarray]:
    """The state before the first frame.

    Args:
        step: from `step_model`.
        num_streams: B, streams that go side by side.

    Returns:
        Zeros by name.

    Example:
        >>> state = initial_state(step, num_streams=24)
    """
    return {
        name: np.zeros((num_streams, *tensor.shape[1:]), tensor.dtype)
        for name, tensor in step.input.items()
        if name != "frame"
    }


class Stream:
    """Watch one or more streams of frames with a causal model, frame by frame.

    Give it frames at the rate of the clips that the model learned from. After many more frames than those clips had,
    what the model averages over time hardly moves any more: `forget` begins anew.

    Args:
        model: as `step_model` takes it.
        num_streams: B, streams that go side by side, a frame of each at every step.

    Raises:
        ValueError: as of `step_model`, or if `num_streams` is less than 1.

    Example:
        >>> stream = Stream(SoraClassifier.from_preset("saved_models/camera"))
        >>> for _, frame in sora_keras.video.stream_frames("street.mp4", 112, 112):
        ...     logits = stream.step(frame[None])["logits"][0]
    """

    def __init__(self, model: keras.Model, num_streams: int = 1) -> None:
        if num_streams < 1:
            raise ValueError(f"`num_streams` must be at least 1, received {num_streams!r}.")
        self._step = step_model(model)
        self._state = initial_state(self._step, num_streams)
        self._shape = (num_streams, *model.clip_spec.shape[1:])

    def step(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Read the next frame of each stream.

        Args:
            frames: `uint8 (B, H, W, 3)`.

        Returns:
            The model's outputs by name, `(B, ...)`, as for the clip of all frames so far.

        Raises:
            ValueError: if the frames are of another shape or type.
        """
        if frames.shape != self._shape or frames.dtype != np.uint8:
            raise ValueError(
                f"`frames` must be uint8 of shape {self._shape}, received {frames.dtype} of shape {frames.shape}."
            )
        outputs = self._step.predict_on_batch({"frame": frames, **self._state})
        self._state = {name: outputs.pop(name) for name in self._state}
        return dict(outputs)

    def forget(self, streams: Sequence[int] | None = None) -> None:
        """Begin anew.

        Args:
            streams: numbers of the streams that do, such as one whose camera was changed; `None` for all.
        """
        which = slice(None) if streams is None else list(streams)
        for name, values in self._state.items():
            self._state[name] = values = np.array(values)
            values[which] = 0


class _Step(layers.Layer):
    """Runs a model's graph on one frame, with others in the place of the layers that look at several."""

    def __init__(self, graph: keras.Model, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.graph = graph

    def call(self, frame: Any, states: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """The outputs, without time, and the new states; without states it is the first frame."""
        past = _Past(ops.zeros((ops.shape(frame)[0], 1), "float32"), states)
        # Keras has no public way to run a graph of layers with others in the place of some.
        outputs = self.graph._run_through_graph([ops.expand_dims(frame, 1)], past.replace)
        structure = self.graph.output
        outputs = {name: ops.squeeze(x, 1) if _has_time(structure[name]) else x for name, x in outputs.items()}
        return outputs, past.new


class _Past:
    """What is kept from frame to frame, gathered while a graph is run with what keeps it."""

    def __init__(self, none_seen: Any, old: dict[str, Any] | None) -> None:
        self.old = old
        seen = none_seen if old is None else old[SEEN]
        self.count = seen + 1.0
        self.is_first = ops.equal(seen, 0.0)
        self.new = {SEEN: self.count}

    def replace(self, operation: Any) -> Callable[..., Any]:
        """What to call in the place of an operation of the graph."""
        if isinstance(operation, (TemporalDifference, OpticalFlow)):
            return lambda clip: self._beside_the_last(operation, clip, is_first_still=True)
        if isinstance(operation, TemporalShift):
            return lambda clip: self._beside_the_last(operation, clip, is_first_still=False)
        if isinstance(operation, (layers.LSTM, layers.GRU)):
            return lambda features, mask=None: self._remember(operation, features)
        if isinstance(operation, layers.GlobalAveragePooling1D):
            average = self._average_of_squares if operation.name == "average_square" else self._average
            return lambda features, mask=None: average(operation.name, features)
        if isinstance(operation, AttentionPooling):
            return lambda features, mask=None: self._attend(operation, features)
        return operation

    def _of(self, name: str, like: Any) -> Any:
        """The old state of that name: zeros before the first frame."""
        if name in self.new:
            raise ValueError(f"The layer behind {name!r} is called twice, and only one of its pasts could be kept.")
        self.new[name] = None  # taken
        return ops.zeros_like(like) if self.old is None else self.old[name]

    def _beside_the_last(self, layer: Any, clip: Any, is_first_still: bool) -> Any:
        """A layer that looks one frame back is shown two frames."""
        name, frame = f"{layer.name}_last", ops.squeeze(clip, 1)
        last = self._of(name, frame)
        self.new[name] = frame
        if is_first_still:
            last = ops.where(ops.reshape(self.is_first, (-1, 1, 1, 1)), frame, last)
        return layer(ops.stack([last, frame], axis=1))[:, 1:]

    def _remember(self, layer: Any, features: Any) -> Any:
        """An LSTM or GRU goes on from where it was."""
        feature = features[:, 0]
        names = [f"{layer.name}_{part}" for part in ("output", "memory")[: 2 if isinstance(layer, layers.LSTM) else 1]]
        like = ops.repeat(feature[:, :1], layer.units, axis=1)
        output, new = layer.cell(feature, [self._of(name, like) for name in names])
        self.new.update(zip(names, new, strict=True))
        return ops.expand_dims(output, 1)

    def _average(self, name: str, features: Any) -> Any:
        """Of all frames so far."""
        name, feature = f"{name}_so_far", ops.cast(features[:, 0], "float32")
        average = self._of(name, feature)
        self.new[name] = average + (feature - average) / self.count
        return ops.cast(self.new[name], features.dtype)

    def _average_of_squares(self, name: str, squares: Any) -> Any:
        """Of deviations from an average that has moved with this frame (Welford 1962).

        With n frames the square adds n / (n - 1) of itself to the sum of the squares around the average before.
        """
        factor = ops.expand_dims(self.count / ops.maximum(self.count - 1.0, 1.0), -1)
        return self._average(name, ops.cast(squares, "float32") * factor)

    def _attend(self, layer: AttentionPooling, features: Any) -> Any:
        """A softmax over frames that goes on: its largest score, the sum of the weights, and the weighted sum."""
        score, feature = layer.scores(features[:, 0]), ops.cast(features[:, 0], "float32")
        names = [f"{layer.name}_{part}" for part in ("largest", "weights", "total")]
        largest, weights, total = map(self._of, names, (score, score, feature))
        new_largest = ops.where(self.is_first, score, ops.maximum(largest, score))
        fade = ops.where(self.is_first, 0.0, ops.exp(largest - new_largest))
        weight = ops.exp(score - new_largest)
        weights, total = fade * weights + weight, fade * total + weight * feature
        self.new.update(zip(names, (new_largest, weights, total), strict=True))
        return ops.cast(total / weights, features.dtype)


def _check_inputs(model: keras.Model) -> None:
    backbone = getattr(model, "backbone", model)
    if not isinstance(backbone, SoraBackbone):
        raise ValueError(
            f"Only models on a `SoraBackbone` are read frame by frame here, received a {type(model).__name__}."
        )
    if names := [tensor.name for tensor in model.inputs if tensor.name != "frames"]:
        raise ValueError(f"A stream brings frames alone, and the model reads {', '.join(sorted(names))}, too.")


def _check_layers(graph: keras.Model) -> None:
    for operation in graph.operations:
        if isinstance(operation, LAYERS_OF_A_FRAME + LAYERS_OF_THE_PAST):
            continue
        if type(operation).__name__ not in OPERATIONS_OF_A_FRAME:
            raise ValueError(
                f"The layer {operation.name!r} ({type(operation).__name__}) may look at frames to come, and a stream "
                'has none: take a model with sequence="lstm", "gru" or "lstm_attention".'
            )


def _outputs_of_frames(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """The outputs by name; of a model that judges frames and the clip, those of frames."""
    if not isinstance(model.output, dict):
        return {"logits": model.output}
    if isinstance(model, SoraBackbone):
        return dict(model.output)
    return {name: tensor for name, tensor in model.output.items() if _has_time(tensor)}


def _has_time(tensor: keras.KerasTensor) -> bool:
    return len(tensor.shape) > 2
