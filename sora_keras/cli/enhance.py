"""The command that makes a video clearer with a trained model."""

from __future__ import annotations

import argparse

from sora_keras.cli.outcome import Actions


def add_commands(actions: Actions) -> None:
    """Add `enhance`."""
    enhance = actions.add_parser("enhance", help="a trained enhancer on a video of any length, to a clearer video")
    enhance.add_argument("model", help="folder that `SoraEnhancer.save_to_preset` wrote")
    enhance.add_argument("video", help="video file; it is only read")
    enhance.add_argument("to", help="file to write: .mp4, .mov or .mkv")
    enhance.add_argument("--compare", metavar="FILE", help="also write a video of before and after side by side")
    enhance.add_argument("--reference", metavar="FILE", help="what it should look like, to measure PSNR and SSIM")
    enhance.add_argument(
        "--tile-size", type=int, metavar="N", help="pixels restored at once, N x N at most (default: by memory)"
    )
    enhance.add_argument(
        "--quality", type=int, default=17, metavar="CRF", help="of H.264, 0 (best) to 51 (default: %(default)s)"
    )
    enhance.add_argument(
        "--look-ahead",
        type=int,
        default=0,
        metavar="N",
        help="restore each frame by N or more frames to come too: clearer, in three times the time (default: 0)",
    )
    enhance.set_defaults(action=_enhance)


def _enhance(options: argparse.Namespace) -> int:
    from sora_keras.apps.enhance_video import enhance
    from sora_keras.models import SoraEnhancer

    model = SoraEnhancer.from_preset(options.model)
    report = enhance(
        options.video, model, options.to, options.compare, options.reference, options.tile_size, options.quality,
        options.look_ahead,
    )  # fmt: skip
    (height, width), (new_height, new_width) = report.size_before, report.size_after
    sizes = f"{width}x{height} to {new_width}x{new_height}"
    print(f"{report.num_frames} frames of {sizes}, {report.num_frames / report.seconds:.1f} a second: {report.to}")
    if report.broken_seconds:
        times = ", ".join(f"{seconds:.2f}" for seconds in report.broken_seconds[:5])
        more = ", ..." if len(report.broken_seconds) > 5 else ""
        print(f"{len(report.broken_seconds)} frames are broken in the original, and concealed, at {times}{more} s")
    if report.gain is not None:
        print(f"PSNR {report.gain.psnr_before:.2f} to {report.gain.psnr_after:.2f} dB")
        print(f"SSIM {report.gain.ssim_before:.4f} to {report.gain.ssim_after:.4f}")
    if options.compare:
        print(f"side by side: {options.compare}")
    return 0
