"""The commands that look at videos, find what is wrong with them, serve and download them."""

from __future__ import annotations

import argparse
from pathlib import Path

from sora_keras.cli.outcome import Actions


def add_commands(actions: Actions) -> None:
    """Add `suggest`, `check`, `audit`, `data-service` and `download`."""
    _add_suggest(actions)
    _add_check(actions)
    _add_audit(actions)
    _add_data_service(actions)
    _add_download(actions)


def _add_suggest(actions: Actions) -> None:
    suggest = actions.add_parser("suggest", help="frames, rate and size that fit the videos and this machine, and why")
    suggest.add_argument("folder", help="folder with one sub-folder of videos for each class, or CSV manifest")
    suggest.set_defaults(action=_suggest)


def _add_check(actions: Actions) -> None:
    check = actions.add_parser("check", help="which videos cannot be read, and why; or what such a list says")
    check.add_argument("videos", help="folder with videos at any depth, CSV manifest, or list of faults (.jsonl)")
    check.add_argument("--to", metavar="FILE", help="list of faults (.jsonl) to write, for `train --faults`")
    check.set_defaults(action=_check)


def _add_audit(actions: Actions) -> None:
    audit = actions.add_parser("audit", help="what leaks across a split: groups, files, copies, scenes")
    audit.add_argument("manifest", help="CSV manifest with a column split (else: what leaks between groups)")
    audit.add_argument("--to", metavar="DIR", help="where audit.jsonl and, if anything leaks, leaks.jpg go")
    audit.add_argument("--most", type=int, default=10, metavar="N", help="findings to print of a kind (%(default)s)")
    audit.add_argument("--files-only", action="store_true", help="do not read the videos to compare pictures")
    audit.add_argument("--same-scene", default="leak", choices=("leak", "notice"), help="(default: %(default)s)")
    audit.set_defaults(action=_audit)


def _add_data_service(actions: Actions) -> None:
    service = actions.add_parser("data-service", help="a dispatcher or worker that decodes videos for other processes")
    service.add_argument("role", choices=("dispatcher", "worker"))
    service.add_argument("--dispatcher", metavar="HOST:PORT", help="of a worker: the dispatcher to serve")
    service.add_argument("--port", type=int, help="to listen at (default: 5050 of a dispatcher, any of a worker)")
    service.add_argument("--address", metavar="HOST[:PORT]", help="of a worker: where clients reach it (localhost)")
    service.add_argument("--work-dir", metavar="DIR", help="of a dispatcher: its journal, to go on after a restart")
    service.set_defaults(action=_data_service)


def _add_download(actions: Actions) -> None:
    download = actions.add_parser("download", help="a published dataset, resumed where it was interrupted, and checked")
    download.add_argument("name", help="ucf101, kth, ucsd_ped2, mnist, moving_mnist or youtube8m")
    download.add_argument("--to", required=True, metavar="DIR", help="folder to unpack it to")
    download.add_argument("--partition", help="part of youtube8m, such as 2/frame/validate")
    download.add_argument("--mirror", default="us", help="of youtube8m: us, eu or asia (default: %(default)s)")
    download.add_argument("--share", default="1,1", metavar="I,N", help="the I-th of N shares of youtube8m's shards")
    download.set_defaults(action=_download)


def _suggest(options: argparse.Namespace) -> int:
    from sora_keras.data import suggest_clip_spec
    from sora_keras.data.datasets.directory import rows_from

    suggestion = suggest_clip_spec(rows_from(options.folder))
    spec = suggestion.clip_spec
    rate = "" if spec.frames_per_second is None else f" --fps {spec.frames_per_second:g}"
    print(f"--frames {spec.num_frames} --size {spec.height}{rate}")
    print(*suggestion.reasons, sep="\n")
    return 0


def _check(options: argparse.Namespace) -> int:
    if options.videos.endswith(".jsonl"):
        return _print_faults(options.videos)
    from sora_keras.apps.check import check_videos

    num_videos, faults = check_videos(options.videos, options.to)
    for fault in faults:
        print(fault)
    print(f"{num_videos - len(faults)} of {num_videos} videos can be read to their end.")
    return 1 if faults else 0


def _print_faults(path: str) -> int:
    from sora_keras.data import Faults

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no list of faults {path}: `train` and `check --to` write one.")
    faults = Faults(path)
    for fault in faults:
        print(f"{fault.found_at}  {fault}")
    print(f"{len(faults)} videos could not be read and have not changed since.")
    return 1 if len(faults) else 0


def _audit(options: argparse.Namespace) -> int:
    from sora_keras.apps.audit import audit_manifest

    audit = audit_manifest(options.manifest, options.to, not options.files_only, options.same_scene)
    for line in audit.lines(options.most):
        print(line)
    return 0 if audit.is_clean else 1


def _data_service(options: argparse.Namespace) -> int:
    from sora_keras.apps.data_service import run_dispatcher, run_worker

    if options.role == "dispatcher":
        run_dispatcher(5050 if options.port is None else options.port, options.work_dir)
    elif options.dispatcher is None:
        raise ValueError("a worker needs the address of its dispatcher: --dispatcher HOST:PORT.")
    else:
        run_worker(options.dispatcher, options.port or 0, options.address)
    return 0


def _download(options: argparse.Namespace) -> int:
    from sora_keras.data import download

    try:
        share, num_shares = (int(number) for number in options.share.split(","))
    except ValueError:
        raise ValueError(f"--share takes two numbers such as 1,100, received {options.share!r}.") from None
    for path in download(options.name, options.to, options.partition, options.mirror, (share, num_shares)):
        print(path)
    return 0
