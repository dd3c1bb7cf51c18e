"""The commands that bring a trained model to an endpoint."""

from __future__ import annotations

import argparse
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
    export.set_defaults(action=_export)
    serve = actions.add_parser("serve", help="an exported model to a server: TensorFlow Serving's, if it is here")
    serve.add_argument("model", help="folder of the versions that `export` or `train` wrote")
    serve.add_argument("--rest-port", type=int, default=8501, metavar="N", help="default: %(default)s")
    serve.add_argument("--grpc-port", type=int, default=8500, metavar="N", help="default: %(default)s")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    serve.add_argument("--development", action="store_true", help="take the development server in any case")
    serve.set_defaults(action=_serve)


def _export(options: argparse.Namespace) -> int:
    import keras

    from sora_keras.models.presets import load_preset
    from sora_keras.serving import export

    card = Path(options.model) / "model_card.md"
    model_card = card if card.exists() else None
    print(export(load_preset(options.model, keras.Model), options.to, model_card=model_card, weights=options.weights))
    return 0


def _serve(options: argparse.Namespace) -> int:
    from sora_keras.serving.serve import serve

    return serve(options.model, options.rest_port, options.grpc_port, options.host, options.development)
