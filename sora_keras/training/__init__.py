"""Fitting models: what to compile with, what to call back, what to write down; `__init__.pyi` names what there is."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
