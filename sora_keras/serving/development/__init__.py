"""A small server that speaks TensorFlow Serving's protocols where TensorFlow Serving itself is not there."""

from sora_keras.serving.development.server import DevelopmentServer

__all__ = ["DevelopmentServer"]
