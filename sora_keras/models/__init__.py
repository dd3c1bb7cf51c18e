"""Keras models for video, one a file; a model never sees a file or a dataset."""

from sora_keras.models.backbone import SoraBackbone
from sora_keras.models.classifier import SoraClassifier
from sora_keras.models.clip_vae import ClipVAE
from sora_keras.models.convolution_muon import ConvolutionMuon
from sora_keras.models.describe import ModelDescription, describe_model
from sora_keras.models.efficientnet_lite import EfficientNetLite0, efficientnet_lite0_weights
from sora_keras.models.enhancer import SoraEnhancer
from sora_keras.models.feature_gan import FeatureGAN
from sora_keras.models.frozen_encoders import split_after_encoders
from sora_keras.models.generator import SoraGenerator
from sora_keras.models.image_encoder import image_encoder, unfreeze
from sora_keras.models.interpolation import FrameInterpolator
from sora_keras.models.known_crossentropy import KnownBinaryCrossentropy
from sora_keras.models.smoothed_crossentropy import SmoothedCrossentropy
from sora_keras.models.squeezenet import SqueezeNet
from sora_keras.models.understanding import SoraUnderstanding
from sora_keras.models.youtube8m import youtube8m_model

__all__ = [
    "ClipVAE",
    "ConvolutionMuon",
    "EfficientNetLite0",
    "FeatureGAN",
    "FrameInterpolator",
    "KnownBinaryCrossentropy",
    "ModelDescription",
    "SmoothedCrossentropy",
    "SoraBackbone",
    "SoraClassifier",
    "SoraEnhancer",
    "SoraGenerator",
    "SoraUnderstanding",
    "SqueezeNet",
    "describe_model",
    "efficientnet_lite0_weights",
    "image_encoder",
    "split_after_encoders",
    "unfreeze",
    "youtube8m_model",
]
