"""Keras layers for video, one a file."""

from sora_keras.layers.temporal_difference import TemporalDifference
from sora_keras.layers.time_distributed import TimeDistributed

__all__ = ["TemporalDifference", "TimeDistributed"]
