"""Clips in, clips out: any Keras image augmentation, with one random draw for all frames of a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras
from keras import ops, tree

from sora_keras.layers.class_guards import check_classes, label_order, swap_labels

MIXES = (keras.layers.MixUp, keras.layers.CutMix)
DEGREES_THAT_TURN = 45  # from here on a leftward motion looks more like an upward one


@keras.saving.register_keras_serializable(package="sora_keras")
class ClipAugmentation(keras.layers.Layer):
    """Apply Keras image augmentation layers to clips: every clip draws anew, all of its frames share the draw.

    Keras's image layers refuse clips, and on frames one by one they flip or turn each frame for itself, which destroys
    motion. Here a single clip `(T, H, W, C)` or a batch of clips `(B, T, H, W, C)` goes in, so the layer fits
    `dataset.map(augmentation)`, before or after batching, with or without labels, as well as the beginning of a model.

    At inference nothing happens, except that layers which set the frames' size keep doing so (`RandomCrop` takes the
    middle). `keras.layers.Pipeline` and `RandomColorJitter` are taken apart, `RandAugment` draws its operations for
    each clip and computes only those, `Equalization` equalizes the clip as a whole. The randomness comes from this
    layer's `seed`; the layers' own seeds are unused. In `dataset.map` Keras must run on TensorFlow, in a model it may
    run on any backend (`RandomElasticTransform` on TensorFlow only).

    Args:
        layers: Keras image layers, applied in this order; for `uint8` clips with `value_range=(0, 255)`. Not `AugMix`,
            `MixUp` and `CutMix`: see `RandAugment`, `ClipMixUp` and `ClipCutMix`.
        class_names: names of the classes in the order of the labels. With them, layers that would turn a class into
            another are refused: a flip where left and right are classes. See `classes_changed`.
        flip_labels: classes that become one another in the mirror, such as `{"left": "right"}`: the flip is then
            allowed, the layer wants labels, and swaps those of the clips it flips.
        seed: for the same draws at each run, in `dataset.map` as long as that makes no parallel calls.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype; computed in `float32`.
        labels: left as they are, but for `flip_labels`: whole numbers `(B,)` or one-hot `(B, K)`, without B for a
            single clip.
        training: whether to augment; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        Frames of the same dtype (`uint8` rounded and kept in 0..255), and labels if they came in.

    Raises:
        ValueError: if a layer is none for images or cannot share a draw, or would change classes.

    Example:
        >>> augmentation = ClipAugmentation([keras.layers.RandomFlip("horizontal"), keras.layers.RandomBrightness(0.2)])
        >>> dataset = dataset.map(augmentation, num_parallel_calls=2)
    """

    def __init__(
        self,
        layers: Sequence[keras.layers.Layer],
        class_names: Sequence[str] | None = None,
        flip_labels: Mapping[str, str] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.layers = list(layers)
        self.class_names = None if class_names is None else list(class_names)
        self.flip_labels = None if flip_labels is None else dict(flip_labels)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._parts = _take_apart(self.layers)
        self._label_order = label_order(class_names, flip_labels, "flip_labels")
        for part in self._parts:
            _check_part(part, self.class_names, self.flip_labels)

    def build(self, input_shape: Any, *_: Any) -> None:
        """Build the layers, as if for images."""
        shape = (None, *input_shape[-3:])
        for part in self._parts:
            if not part.built:
                part.build(shape)

    def call(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """Draw for each clip, apply to all its frames."""
        rank = len(frames.shape)
        if rank not in (4, 5):
            raise ValueError(
                f"Clips must have the shape (B, T, H, W, C) or (T, H, W, C), received {tuple(frames.shape)}."
            )
        if not training:
            outputs = self._set_size(frames)
            return outputs if labels is None else (outputs, labels)
        if self._label_order is not None and labels is None:
            raise ValueError(
                "`flip_labels` swaps the labels of flipped clips, but received frames only: call with (frames, labels)."
            )
        if rank == 4:
            outputs, is_flipped = self._augment_clip(frames, self._seeds((2,)))
        else:
            seeds = self._seeds((ops.shape(frames)[0], 2))
            outputs, is_flipped = ops.map(lambda clip: self._augment_clip(*clip), (frames, seeds))
        if labels is None:
            return outputs
        if self._label_order is None:
            return outputs, labels
        if rank == 5:
            return outputs, swap_labels(labels, is_flipped, self._label_order)
        swapped = swap_labels(ops.expand_dims(labels, 0), ops.expand_dims(is_flipped, 0), self._label_order)
        return outputs, swapped[0]

    def _seeds(self, shape: tuple[Any, ...]) -> Any:
        drawn = keras.random.randint(shape, 0, 2**31 - 1, seed=self.seed_generator)
        return ops.cast(drawn, self.seed_generator.state.dtype)

    def _augment_clip(self, frames: Any, seed: Any) -> tuple[Any, Any]:
        """One clip `(T, H, W, C)`, and whether it was mirrored."""
        draws = _ClipDraws(seed)
        outputs, is_flipped = ops.cast(frames, self.compute_dtype), ops.convert_to_tensor(False)
        for part in self._parts:
            if isinstance(part, keras.layers.RandAugment):
                outputs = _rand_augment(part, outputs, draws)
            elif isinstance(part, keras.layers.RandomCrop):
                outputs = _crop(part, outputs, draws)
            else:
                outputs, transformation = _apply(part, outputs, draws)
                if _mirrors(part):
                    flipped_now = ops.reshape(transformation["flips"], ())
                    is_flipped = ops.logical_xor(is_flipped, flipped_now)
        return _as_dtype(outputs, frames.dtype), is_flipped

    def _set_size(self, frames: Any) -> Any:
        """Only what the layers do to the frames' size."""
        for part in self._parts:
            size = (1, *frames.shape[-3:])
            if tuple(part.compute_output_shape(size)) == size:
                continue
            flat = ops.reshape(frames, (-1, *ops.shape(frames)[-3:]))
            if isinstance(part, keras.layers.RandomCrop):
                flat = _crop(part, flat, None)
            else:
                flat = part.transform_images(flat, None, training=False)
            flat = _as_dtype(flat, frames.dtype)
            frames = ops.reshape(flat, (*ops.shape(frames)[:-3], *ops.shape(flat)[1:]))
        return frames

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The frames' shape with the size that the layers give them."""
        size = (1, *input_shape[-3:])
        for part in self._parts:
            size = tuple(part.compute_output_shape(size))
        return (*input_shape[:-3], *size[1:])

    def compute_output_spec(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """The frames' spec, and that of labels if they came in."""
        outputs = keras.KerasTensor(self.compute_output_shape(frames.shape), dtype=frames.dtype)
        return outputs if labels is None else (outputs, keras.KerasTensor(labels.shape, dtype=labels.dtype))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "layers": [keras.saving.serialize_keras_object(layer) for layer in self.layers],
            "class_names": self.class_names,
            "flip_labels": self.flip_labels,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ClipAugmentation:
        """The inverse of `get_config`."""
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
        return cls(**{**config, "layers": layers})


class _ClipDraws(keras.random.SeedGenerator):
    """The seeds of one clip: a pure function of where it starts, so it can run inside `ops.map` on every backend."""

    def __init__(self, start: Any) -> None:
        self._next = start

    def next(self, ordered: bool = True) -> Any:
        seed = self._next
        self._next = seed + ops.cast(ops.convert_to_tensor([0, 1]), seed.dtype)
        return seed


def _take_apart(layers: Sequence[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Layers that hold layers replaced by those."""
    parts: list[keras.layers.Layer] = []
    for layer in layers:
        if isinstance(layer, keras.layers.Pipeline):
            parts.extend(_take_apart(layer.layers))
        elif isinstance(layer, keras.layers.RandomColorJitter):
            # It draws while it transforms, once a frame.
            jitters = (layer.random_brightness, layer.random_contrast, layer.random_saturation, layer.random_hue)
            parts.extend(jitter for jitter in jitters if jitter is not None)
        else:
            parts.append(layer)
    return parts


def _check_part(
    part: keras.layers.Layer, class_names: Sequence[str] | None, flip_labels: Mapping[str, str] | None
) -> None:
    name = type(part).__name__
    if not (hasattr(part, "get_random_transformation") and hasattr(part, "transform_images")):
        raise ValueError(f"`layers` must hold Keras image augmentation layers, received {name}.")
    if isinstance(part, MIXES):
        raise ValueError(f"{name} mixes a clip with another one: use Clip{name} on batches, received it in `layers`.")
    if isinstance(part, keras.layers.AugMix):
        raise ValueError("AugMix draws while a graph is built, the same for all clips ever after: use RandAugment.")
    if _mirrors(part):
        check_classes(class_names, flip_labels, "mirrored", f'{name}("{part.mode}")', "flip_labels")
    if isinstance(part, keras.layers.RandomFlip) and "vertical" in part.mode:
        check_classes(class_names, None, "upside_down", f'{name}("{part.mode}")', "")
    rotation = getattr(part, "random_rotation", part)  # RandAugment holds one
    if isinstance(rotation, keras.layers.RandomRotation):
        degrees = 360 * max(abs(bound) for bound in rotation.factor)
        if degrees >= DEGREES_THAT_TURN:
            check_classes(class_names, None, "turned", f"{name} by up to {degrees:.0f} degrees", "")


def _mirrors(part: keras.layers.Layer) -> bool:
    return isinstance(part, keras.layers.RandomFlip) and "horizontal" in part.mode


def _apply(part: keras.layers.Layer, frames: Any, draws: _ClipDraws) -> tuple[Any, Any]:
    """Transform all frames `(T, H, W, C)` with what is drawn for one; returns the draw, too."""
    drawn = part.get_random_transformation(frames[:1], training=True, seed=draws)
    if isinstance(part, keras.layers.RandomElasticTransform):
        return _bend(part, frames, drawn), drawn
    num_frames = ops.shape(frames)[0]

    def share(value: Any) -> Any:
        # What has the rank of the frames broadcasts by itself.
        if not keras.ops.is_tensor(value) or len(value.shape) in (0, 4) or value.shape[0] != 1:
            return value
        # Not `repeat`: on PyTorch it gives a view of one number, which Keras's layers cannot write to.
        return ops.take(value, ops.zeros((num_frames,), "int32"), axis=0)

    return part.transform_images(frames, tree.map_structure(share, drawn), training=True), drawn


def _bend(part: keras.layers.RandomElasticTransform, frames: Any, drawn: Any) -> Any:
    """The frames as channels of one image: Keras draws the displacement for each image while it transforms."""
    num_frames, height, width, channels = frames.shape
    if num_frames is None:
        raise ValueError("RandomElasticTransform needs clips of a known number of frames, received T = None.")
    image = ops.reshape(ops.transpose(frames, (1, 2, 0, 3)), (1, height, width, num_frames * channels))
    image = part.transform_images(image, drawn, training=True)
    return ops.transpose(ops.reshape(image, (height, width, num_frames, channels)), (2, 0, 1, 3))


def _crop(part: keras.layers.RandomCrop, frames: Any, draws: _ClipDraws | None) -> Any:
    """Cut out of all frames `(T, H, W, C)` a place drawn, or the middle; frames too small are scaled up."""
    num_frames, height, width, channels = ops.shape(frames)
    if height is None or width is None or height < part.height or width < part.width:
        return ops.cast(ops.image.resize(frames, (part.height, part.width)), frames.dtype)
    spare = (height - part.height, width - part.width)
    if draws is None:
        top, left = spare[0] // 2, spare[1] // 2
    else:
        top, left = (keras.random.randint((), 0, length + 1, seed=draws) for length in spare)
    return ops.slice(frames, (0, top, left, 0), (num_frames, part.height, part.width, channels))


def _rand_augment(part: keras.layers.RandAugment, frames: Any, draws: _ClipDraws) -> Any:
    """As many operations as it says, drawn for this clip; Keras draws them for the whole batch and computes all."""
    operations = [getattr(part, name) for name in sorted(part._AUGMENT_LAYERS)]
    branches = [partial(_apply_from, operation) for operation in operations]
    for _ in range(part.num_ops):
        index = keras.random.randint((), 0, len(operations), seed=draws)
        frames = ops.switch(index, branches, frames, draws.next())
    return frames


def _apply_from(part: keras.layers.Layer, frames: Any, seed: Any) -> Any:
    return _apply(part, frames, _ClipDraws(seed))[0]


def _as_dtype(frames: Any, dtype: str) -> Any:
    """Back to the frames' dtype; whole numbers are rounded, `uint8` stays in 0..255."""
    dtype = keras.backend.standardize_dtype(dtype)
    if "int" in dtype:
        frames = ops.round(frames)
    if dtype == "uint8":
        frames = ops.clip(frames, 0, 255)
    return ops.cast(frames, dtype)
