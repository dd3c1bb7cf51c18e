"""Features of clips with their classes in, a generator of more such features for each class out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="sora_keras")
class FeatureGAN(keras.Model):
    """A small conditional generative adversarial network over vectors of features. Arrives compiled.

    The critic scores features high where they are real; the generator makes features of a class from noise. Both learn
    in one step: the critic's gradient reaches the generator with its sign reversed, so that what lowers the critic's
    loss raises the generator's. Every layer of the critic is held to a spectral norm of 1.

    Args:
        num_features: columns N of the features, each of mean 0 and spread about 1: scale them beforehand.
        num_classes: K.
        noise_size: numbers of noise that one vector is made from.
        units: units of the layers of either network.
        learning_rate: Adam's, as compiled.
        seed: for the same noise at each run.

    Call arguments:
        inputs: dict of `features`, `float32 (B, N)`, and `labels`, whole numbers `(B,)`; `fit` takes the same.

    Returns:
        The critic's scores `(B, 2)` of those features, and of as many made for the same labels.

    Raises:
        ValueError: if `num_features`, `num_classes` or a number of units is less than 1.

    Example:
        >>> gan = FeatureGAN(num_features=32, num_classes=2)
        >>> gan.fit({"features": features, "labels": labels}, epochs=200)
        >>> more = gan.generate([0, 0, 1, 1])

    Reference:
        Mirza and Osindero, Conditional Generative Adversarial Nets, 2014, https://arxiv.org/abs/1411.1784; Miyato et
        al., Spectral Normalization, 2018, https://arxiv.org/abs/1802.05957; hinge loss
        `relu(1 - critic(real)) + relu(1 + critic(made))`.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        noise_size: int = 16,
        units: Sequence[int] = (128, 128),
        learning_rate: float = 5e-4,
        seed: int | None = None,
        name: str | None = "feature_gan",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        for argument, value in (("num_features", num_features), ("num_classes", num_classes), ("units", min(units))):
            if value < 1:
                raise ValueError(f"`{argument}` must be at least 1, received {value!r}.")
        self.num_features, self.num_classes, self.noise_size = num_features, num_classes, noise_size
        self.units, self.learning_rate, self.seed = tuple(units), learning_rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.generator = _generator(num_features, num_classes, noise_size, self.units)
        self.critic = _critic(num_features, num_classes, self.units)
        # The two chase one another in circles: momentum would drive them outward; averaged weights lie in the middle.
        self.compile(optimizer=keras.optimizers.Adam(learning_rate, beta_1=0.0, beta_2=0.9, use_ema=True))

    def build(self, input_shape: Any) -> None:
        """Nothing is left to build: both networks were, as the model was made."""
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Score real features beside made ones."""
        features = ops.cast(inputs["features"], "float32")
        classes = ops.one_hot(ops.cast(ops.reshape(inputs["labels"], (-1,)), "int32"), self.num_classes)
        noise = keras.random.normal((ops.shape(features)[0], self.noise_size), seed=self.seed_generator)
        made = self.generator([noise, classes], training=training)
        reversed_made = 2 * ops.stop_gradient(made) - made  # the same values, the opposite gradient
        both = ops.concatenate([features, reversed_made], axis=0)
        scores = self.critic([both, ops.concatenate([classes, classes], axis=0)], training=training)
        return ops.transpose(ops.reshape(scores, (2, -1)))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The critic's hinge loss; the generator's is its opposite."""
        return ops.mean(ops.relu(1 - y_pred[:, 0]) + ops.relu(1 + y_pred[:, 1]))

    def generate(self, labels: Any, seed: int | None = None) -> np.ndarray:
        """Make features `float32 (B, N)` of these classes `(B,)`; the same seed makes the same."""
        labels = np.asarray(labels)
        noise = np.random.default_rng(seed).standard_normal((len(labels), self.noise_size)).astype("float32")
        return self.generator.predict([noise, np.eye(self.num_classes, dtype="float32")[labels]], verbose=0)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "num_features": self.num_features,
            "num_classes": self.num_classes,
            "noise_size": self.noise_size,
            "units": list(self.units),
            "learning_rate": self.learning_rate,
            "seed": self.seed,
            "name": self.name,
        }


def _generator(num_features: int, num_classes: int, noise_size: int, units: tuple[int, ...]) -> keras.Model:
    """Noise and a class to features."""
    noise, classes = keras.Input((noise_size,), name="noise"), keras.Input((num_classes,), name="classes")
    x = layers.Concatenate()([noise, classes])
    for size in units:
        x = layers.LeakyReLU(0.2)(layers.Dense(size)(x))
    return keras.Model([noise, classes], layers.Dense(num_features)(x), name="generator")


def _critic(num_features: int, num_classes: int, units: tuple[int, ...]) -> keras.Model:
    """Features and a class to a score."""
    features, classes = keras.Input((num_features,), name="features"), keras.Input((num_classes,), name="classes")
    x = layers.Concatenate()([features, classes])
    for size in units:
        x = layers.LeakyReLU(0.2)(layers.SpectralNormalization(layers.Dense(size))(x))
    return keras.Model([features, classes], layers.SpectralNormalization(layers.Dense(1))(x), name="critic")
