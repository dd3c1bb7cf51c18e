"""From a trained model to an endpoint."""

from sora_keras.serving.bundle import Bundle, load_bundle
from sora_keras.serving.client import Client, VideoAnswer
from sora_keras.serving.export import export
from sora_keras.serving.serving_error import ServingError

__all__ = ["Bundle", "Client", "ServingError", "VideoAnswer", "export", "load_bundle"]
