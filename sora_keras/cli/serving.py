"""The commands that bring a trained model to an endpoint."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from sora_keras.cli.outcome import Actions


def add_commands(actions: Actions) -> None:
    """Add `export` and `serve`."""
    export = actions.add_parser("export", help="a trained model to a versioned SavedModel for TensorFlow Serving")
    export.add_argument("model", help="folder that `train` or `save_to_preset` wrote")
    export.add_argument("--to", required=True, metavar="DIR", help="folder of the versions; the next number is written")
    export.add_argument(
        "--weights",
        choices=("float32", "bfloat16", "int8"),
        default="float32",
        help="stored so (%(default)s)",
    )
    export.add_argument("--videos", nargs="+", metavar="FILE", help="real ones to check the answers on, up to five")
    export.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of the frames to be restored, for an enhancer"
    )
    export.set_defaults(action=_export)
    serve = actions.add_parser("serve", help="an exported model to a server: TensorFlow Serving's, if it is here")
    serve.add_argument("model", help="folder of the versions that `export` or `train` wrote")
    serve.add_argument("--rest-port", type=int, default=8501, metavar="N", help="default: %(default)s")
    serve.add_argument("--grpc-port", type=int, default=8500, metavar="N", help="default: %(default)s")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    serve.add_argument("--batching", action="store_true", help="join requests, as batching.config says")
    serve.add_argument("--development", action="store_true", help="take the development server in any case")
    serve.set_defaults(action=_serve)


def _export(options: argparse.Namespace) -> int:
    import keras
    import numpy as np

    from sora_keras.models import SoraEnhancer
    from sora_keras.models.presets import load_preset
    from sora_keras.serving import export
    from sora_keras.video import read_clip

    model = load_preset(options.model, keras.Model)
    if options.size:
        height, width = options.size
        clip_spec = dataclasses.replace(model.clip_spec, height=height, width=width)
        model = SoraEnhancer.from_preset(options.model, clip_spec)
    num_channels = getattr(model, "num_channels", 3)
    videos = [read_clip(path, model.clip_spec).frames[..., :num_channels] for path in options.videos or ()]
    clips = np.stack(videos) if videos else None
    card = Path(options.model) / "model_card.md"
    model_card = card if card.exists() else None
    print(export(model, options.to, clips=clips, model_card=model_card, weights=options.weights))
    return 0


def _serve(options: argparse.Namespace) -> int:
    from sora_keras.serving.serve import serve

    return serve(
        options.model, options.rest_port, options.grpc_port, options.host, options.batching, options.development
    )
