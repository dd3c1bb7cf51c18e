"""From a trained model to an endpoint."""

from sora_keras.serving.bundle import Bundle, load_bundle
from sora_keras.serving.export import export

__all__ = ["Bundle", "export", "load_bundle"]
