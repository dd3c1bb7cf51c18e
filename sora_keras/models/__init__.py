"""Keras models for video, one a file; a model never sees a file or a dataset."""

from sora_keras.models.backbone import SoraBackbone
from sora_keras.models.classifier import SoraClassifier
from sora_keras.models.squeezenet import SqueezeNet

__all__ = ["SoraBackbone", "SoraClassifier", "SqueezeNet"]
