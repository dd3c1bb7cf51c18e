"""Defaults for fitting models."""

from sora_keras.training.callbacks import training_callbacks
from sora_keras.training.data_wait import DataWait
from sora_keras.training.early_stopping import ResumableEarlyStopping

__all__ = ["DataWait", "ResumableEarlyStopping", "training_callbacks"]
