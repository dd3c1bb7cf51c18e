"""Gradients in, steps out that move every direction of a kernel alike: Muon, for convolutions too."""

from __future__ import annotations

import re
from typing import Any

import keras
from keras import ops

LEAST_KERAS = (3, 13)


@keras.saving.register_keras_serializable(package="sora_keras")
class ConvolutionMuon(keras.optimizers.Muon):
    """`keras.optimizers.Muon` that orthogonalizes the steps of convolution kernels, which Keras's leaves to AdamW.

    A kernel `(rows, columns, ..., C, F)` is a matrix of F columns. Its step is made nearly orthogonal, so that the
    directions in which gradients are small move as far as the others, and scaled to the size of Adam's: learning rates
    are like Adam's, or twice that. Biases and scales get Adam's steps. A network of convolutions that sees each clip
    once learns more from as many clips; what it costs a step does not depend on the batch. Give `global_clipnorm` with
    recurrent networks: nothing else bounds what one large gradient leaves in the momentum, and they go astray.

    Args:
        learning_rate: a number, or a schedule such as `warmup_cosine`.
        exclude_layers: regular expressions of paths of layers that get Adam's steps too; name those that make the
            output.
        weight_decay: of the kernels.
        adam_weight_decay: of the other weights.
        **kwargs: those of `keras.optimizers.Muon`.

    Raises:
        RuntimeError: with Keras before 3.13, whose own Muon fails on TensorFlow. From 3.13 on Keras needs Python 3.11.

    Example:
        >>> rate = warmup_cosine(4e-3, num_steps)
        >>> model.compile(ConvolutionMuon(rate, exclude_layers=["motions", "paint"], global_clipnorm=1.0), "mse")

    Reference:
        Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024,
        https://kellerjordan.github.io/posts/muon/; sizes of steps as in Liu et al., Muon is Scalable for LLM Training,
        2025, https://arxiv.org/abs/2502.16982
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 2e-3,
        exclude_layers: list[str] | None = None,
        weight_decay: float | None = None,
        adam_weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        if tuple(map(int, keras.__version__.split(".")[:2])) < LEAST_KERAS:
            raise RuntimeError(
                f"ConvolutionMuon needs Keras {LEAST_KERAS[0]}.{LEAST_KERAS[1]} or later, found {keras.__version__}: "
                f"upgrade Keras, or use another optimizer."
            )
        super().__init__(
            learning_rate=learning_rate,
            exclude_layers=exclude_layers,
            weight_decay=weight_decay,
            adam_weight_decay=adam_weight_decay,
            **kwargs,
        )

    def _should_use_adamw(self, variable: Any) -> bool:
        """What Keras asks of each variable: whether it is no kernel, or excluded."""
        if len(variable.shape) > 2:
            return any(re.search(of, variable.path) for of in self.exclude_layers)
        return super()._should_use_adamw(variable)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """A step of a kernel to one that is nearly orthogonal as a matrix."""
        return ops.reshape(super().zeropower_via_newtonschulz5(_matrix(x), steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """A kernel's step as large as Adam's: an orthogonal matrix of more rows or columns has smaller numbers."""
        return ops.reshape(super().lr_adjust(_matrix(x)), x.shape)


def _matrix(kernel: Any) -> Any:
    """`(..., F)` to `(N, F)`."""
    return ops.reshape(kernel, (-1, kernel.shape[-1]))
