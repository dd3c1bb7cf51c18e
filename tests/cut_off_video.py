"""A whole video file in, a file that lacks its end, as after a download that was interrupted, out."""

from __future__ import annotations

import pathlib

import av


def cut_off(path: pathlib.Path, share: float) -> pathlib.Path:
    """Keep a share of an MP4 file, after moving its header to the beginning; the header still tells of the whole."""
    whole = path.with_suffix(".mov")
    with av.open(str(path)) as source, av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    content = whole.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    return path
