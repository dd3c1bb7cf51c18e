"""Defaults for fitting models."""

from sora_keras.training.callbacks import training_callbacks
from sora_keras.training.early_stopping import ResumableEarlyStopping

__all__ = ["ResumableEarlyStopping", "training_callbacks"]
