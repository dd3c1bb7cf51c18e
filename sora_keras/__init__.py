"""Learn video representations with TimeDistributed Conv2D and LSTM layers in Keras, and put them to work.

Names are loaded when they are first used, so importing the package does not import TensorFlow; `__init__.pyi` names
what there is.
"""

import lazy_loader

from sora_keras.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
