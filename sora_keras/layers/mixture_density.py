"""Vectors in, the logarithm of how likely a learned mixture of Gaussians makes each of them out."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class MixtureDensity(keras.layers.Layer):
    """A mixture of Gaussians with variances along the axes, whose shares, means and variances are learned.

    Args:
        num_components: Gaussians K in the mixture.

    Call arguments:
        vectors: `(B, D)`.

    Returns:
        Log densities `(B,)`.

    Raises:
        ValueError: if `num_components` is less than 1.

    Example:
        >>> prior = MixtureDensity(64)
        >>> log_densities = prior(latent)
        >>> prior.draw(5, seed=0).shape
        (5, 32)

    Reference:
        Tomczak and Welling, VAE with a VampPrior, 2018, https://arxiv.org/abs/1705.07120, section 4's mixture of
        Gaussians: p(z) = sum_k s_k N(z | m_k, diag(v_k)).
    """

    def __init__(self, num_components: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_components < 1:
            raise ValueError(f"`num_components` must be at least 1, received {num_components!r}.")
        self.num_components = num_components

    def build(self, input_shape: Any) -> None:
        """Shares, means around 0, and variances of 1."""
        shape = (self.num_components, input_shape[-1])
        self.share_logits = self.add_weight(shape=(shape[0],), initializer="zeros", name="share_logits")
        self.means = self.add_weight(shape=shape, initializer=keras.initializers.RandomNormal(stddev=0.5), name="means")
        self.log_variances = self.add_weight(shape=shape, initializer="zeros", name="log_variances")

    def call(self, vectors: Any) -> Any:
        """Add up the components' densities."""
        squares = (vectors[:, None] - self.means) ** 2 * ops.exp(-self.log_variances)
        exponents = ops.sum(squares + self.log_variances + math.log(2 * math.pi), axis=-1) / -2
        return ops.logsumexp(exponents + ops.log_softmax(self.share_logits), axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """A number for each vector."""
        return (input_shape[0],)

    def draw(self, num_vectors: int, seed: int | None = None) -> np.ndarray:
        """Draw vectors `float32 (num_vectors, D)` from the mixture; the same seed draws the same."""
        shares, means, log_variances = (
            ops.convert_to_numpy(values) for values in (ops.softmax(self.share_logits), self.means, self.log_variances)
        )
        generator = np.random.default_rng(seed)
        components = generator.choice(self.num_components, num_vectors, p=shares / shares.sum(dtype=np.float64))
        noise = generator.standard_normal((num_vectors, means.shape[1]))
        return (means[components] + np.exp(log_variances[components] / 2) * noise).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "num_components": self.num_components}
