"""Defaults for fitting models."""

from sora_keras.training.callbacks import training_callbacks

__all__ = ["training_callbacks"]
