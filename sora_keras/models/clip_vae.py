"""Clips with their classes in, a generator of more such clips for each class out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from sora_keras.layers.mixture_density import MixtureDensity
from sora_keras.layers.patch_placement import PatchPlacement
from sora_keras.layers.time_distributed import TimeDistributed
from sora_keras.models.rebuilding import rebuild
from sora_keras.video.clip import ClipSpec

SIDE_STEP = 8  # frames are coded at a fourth of their size, patches at an eighth
DARK = -3.0  # logits that an untrained background begins with


@keras.saving.register_keras_serializable(package="sora_keras")
class ClipVAE(keras.Model):
    """A recurrent variational autoencoder that makes small clips of a class. Arrives compiled.

    One latent vector stands for a clip. An LSTM unrolls it: for each frame it draws a patch, half as high and wide as
    the frame, and says how far to move it on and how much to enlarge it, over a background that the class's clips
    share. So it suits clips in which something moves before a still scene; it is no model of large natural video. Where
    clips lie among the latent vectors is learned too, as a mixture of Gaussians: starts and directions leave holes in
    any single one, and what is drawn there is a blur.

    Args:
        clip_spec: the clips it learns from and makes; height and width are multiples of 8.
        class_names: names of the K classes, in the order of the labels.
        latent_size: numbers that stand for a clip.
        units: units of the LSTMs and of the layers beside them.
        num_components: Gaussians that new latent vectors are drawn from.
        filters: filters at a half and at a fourth of the frame's size, and in the patch likewise.
        num_channels: 3 for RGB frames, 1 for gray ones.
        kl_weight: weight of the latent vectors' divergence beside the frames' crossentropy; 1 bounds the likelihood.
        learning_rate: Adam's, as compiled.
        seed: for the same noise at each run.

    Call arguments:
        inputs: dict of `frames`, `uint8 (B, T, H, W, C)`, and `labels`, whole numbers `(B,)`; `fit` takes the same.

    Returns:
        Dict of `logits` of the pixels' brightness `(B, T, H, W, C)`, and of the latent vectors' `divergence` from the
        mixture, `(B,)`, estimated by the one that was drawn.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> vae = ClipVAE(ClipSpec(num_frames=8, height=32, width=32), class_names=["wave", "jump"])
        >>> vae.fit({"frames": frames, "labels": labels}, batch_size=32, epochs=20)
        >>> vae.generate([0, 0, 1]).shape
        (3, 8, 32, 32, 3)

    Reference:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, https://arxiv.org/abs/1312.6114, its equation 10 with
        the class beside x and z: -log p(x | z, class) + log q(z | x, class) - log p(z); content apart from motion:
        Tulyakov et al., MoCoGAN, 2018, https://arxiv.org/abs/1707.04993.
    """

    def __init__(
        self,
        clip_spec: ClipSpec,
        class_names: Sequence[str],
        latent_size: int = 32,
        units: int = 128,
        num_components: int = 64,
        filters: tuple[int, int] = (16, 32),
        num_channels: int = 3,
        kl_weight: float = 1.0,
        learning_rate: float = 2e-3,
        seed: int | None = None,
        name: str | None = "clip_vae",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        class_names = [str(class_name) for class_name in class_names]
        _check_arguments(clip_spec, class_names, filters, num_channels, kl_weight)
        for argument, value in (("latent_size", latent_size), ("units", units)):
            if value < 1:
                raise ValueError(f"`{argument}` must be at least 1, received {value!r}.")
        self.clip_spec, self.class_names, self.num_channels = clip_spec, class_names, num_channels
        self.latent_size, self.units, self.num_components = latent_size, units, num_components
        self.filters = tuple(filters)
        self.kl_weight, self.learning_rate, self.seed = kl_weight, learning_rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        shape = (clip_spec.num_frames, clip_spec.height, clip_spec.width, num_channels)
        self.encoder = _encoder(shape, len(class_names), latent_size, units, self.filters)
        self.decoder = _decoder(shape, len(class_names), latent_size, units, self.filters)
        self.prior = MixtureDensity(num_components, name="prior")
        self.prior.build((None, latent_size))
        self.divergence = keras.metrics.Mean("divergence")
        self.built = True
        self.compile(optimizer=keras.optimizers.Adam(learning_rate))

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Encode clips, draw a latent vector near each, decode it."""
        classes = ops.one_hot(ops.cast(ops.reshape(inputs["labels"], (-1,)), "int32"), len(self.class_names))
        frames = ops.convert_to_tensor(inputs["frames"])  # JAX's trainer builds a loaded model with NumPy arrays
        mean, log_variance = self.encoder([frames, classes], training=training)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        latent = mean + ops.exp(log_variance / 2) * noise
        log_density = ops.sum(noise**2 + log_variance + math.log(2 * math.pi), axis=-1) / -2
        logits = self.decoder([latent, classes], training=training)
        return {"logits": logits, "divergence": log_density - self.prior(latent)}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Nats a clip: the crossentropy of its pixels' brightness, and the divergence of its latent vector."""
        brightness, logits = ops.cast(x["frames"], "float32") / 255, y_pred["logits"]
        crossentropy = ops.softplus(logits) - logits * brightness
        return ops.mean(ops.sum(crossentropy, axis=(1, 2, 3, 4)) + self.kl_weight * y_pred["divergence"])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The loss, and its divergence alone: near 0, the latent vectors say nothing."""
        self.divergence.update_state(y_pred["divergence"])
        return self.get_metrics_result()

    def generate(self, labels: Any, seed: int | None = None, batch_size: int = 32) -> np.ndarray:
        """Make clips `uint8 (B, T, H, W, C)` of these classes `(B,)`; the same seed makes the same."""
        labels = np.asarray(labels)
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self.class_names):
            raise ValueError(
                f"`labels` must lie in 0..{len(self.class_names) - 1}, the classes {', '.join(self.class_names)}, "
                f"received {labels.min()} to {labels.max()}."
            )
        latent = self.prior.draw(len(labels), seed)
        classes = np.eye(len(self.class_names), dtype="float32")[labels]
        logits = self.decoder.predict([latent, classes], batch_size=batch_size, verbose=0)
        return np.rint(127.5 * (1 + np.tanh(logits / 2))).astype(np.uint8)  # the sigmoid, without overflow

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "clip_spec": self.clip_spec.get_config(),
            "class_names": self.class_names,
            "latent_size": self.latent_size,
            "units": self.units,
            "num_components": self.num_components,
            "filters": list(self.filters),
            "num_channels": self.num_channels,
            "kl_weight": self.kl_weight,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> ClipVAE:
        """The inverse of `get_config`."""
        return rebuild(cls, {**config, "clip_spec": ClipSpec.from_config(config["clip_spec"])})


def _encoder(
    shape: tuple[int, ...], num_classes: int, latent_size: int, units: int, filters: tuple[int, ...]
) -> keras.Model:
    """Frames and a class to mean and log variance."""
    frames = keras.Input(shape, dtype="uint8", name="frames")
    classes = keras.Input((num_classes,), name="classes")
    each_frame = [layers.Conv2D(size, 3, strides=2, padding="same", activation="relu") for size in filters]
    each_frame += [layers.Flatten(), layers.Dense(units, activation="relu")]
    x = TimeDistributed(keras.Sequential(each_frame, name="frame_encoder"))(layers.Rescaling(1 / 255)(frames))
    x = layers.Concatenate()([layers.Bidirectional(layers.LSTM(units))(x), classes])
    x = layers.Dense(units, activation="relu")(x)
    outputs = [layers.Dense(latent_size, name=name)(x) for name in ("mean", "log_variance")]
    return keras.Model([frames, classes], outputs, name="encoder")


def _decoder(
    shape: tuple[int, ...], num_classes: int, latent_size: int, units: int, filters: tuple[int, ...]
) -> keras.Model:
    """A latent vector and a class to logits of frames."""
    num_frames, height, width, num_channels = shape
    latent, classes = keras.Input((latent_size,), name="latent"), keras.Input((num_classes,), name="classes")
    code = layers.Dense(units, activation="relu", name="code")(layers.Concatenate()([latent, classes]))
    first_state = [layers.Dense(units, activation="tanh", name=f"first_{part}")(code) for part in ("output", "memory")]
    codes = layers.RepeatVector(num_frames)(code)
    x = layers.LSTM(units, return_sequences=True, name="unroll")(codes, initial_state=first_state)
    steps = layers.Dense(3, name="steps")(x)
    first_place = layers.Dense(3, name="first_place")(code)[:, None]
    units_of_places = np.array([height / 4, width / 4, 0.1], "float32")
    places = (first_place + ops.cumsum(steps, axis=1) / 4) * units_of_places
    patches = TimeDistributed(_patch_decoder(height // SIDE_STEP, width // SIDE_STEP, num_channels, filters))(
        layers.Concatenate()([x, codes])
    )
    moving = PatchPlacement(height, width, name="patch_placement")(patches, places)
    background = layers.Dense(
        height * width * num_channels,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(DARK),
        name="background",
    )(classes)
    logits = moving + layers.Reshape((1, height, width, num_channels))(background)
    return keras.Model([latent, classes], logits, name="decoder")


def _patch_decoder(rows: int, columns: int, num_channels: int, filters: tuple[int, ...]) -> keras.Sequential:
    """A frame's code to what is drawn onto it, four times as high and wide as the rows and columns it begins with."""
    fine, coarse = filters
    return keras.Sequential(
        [
            layers.Dense(rows * columns * coarse, activation="relu"),
            layers.Reshape((rows, columns, coarse)),
            layers.Conv2DTranspose(fine, 4, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(num_channels, 4, strides=2, padding="same"),
        ],
        name="patch_decoder",
    )


def _check_arguments(
    clip_spec: ClipSpec,
    class_names: list[str],
    filters: Sequence[int],
    num_channels: int,
    kl_weight: float,
) -> None:
    if clip_spec.height % SIDE_STEP or clip_spec.width % SIDE_STEP:
        raise ValueError(
            f"Height and width must be multiples of {SIDE_STEP}, received {clip_spec.height} x {clip_spec.width}."
        )
    if not class_names or len(set(class_names)) < len(class_names):
        raise ValueError(f"`class_names` must hold different names, at least one, received {class_names}.")
    if len(filters) != 2 or min(filters) < 1:
        raise ValueError(f"`filters` must hold two positive numbers, received {tuple(filters)!r}.")
    if num_channels not in (1, 3):
        raise ValueError(f"`num_channels` must be 1 for gray or 3 for RGB, received {num_channels!r}.")
    if kl_weight < 0:
        raise ValueError(f"`kl_weight` must be at least 0, received {kl_weight!r}.")
