"""Videos to `tf.data`: manifests, splits, pipelines and datasets."""

from sora_keras.data.datasets.directory import rows_from_directory
from sora_keras.data.datasets.moving_digits import make_moving_digits
from sora_keras.data.faults import Fault, Faults, TooManyFaultsError
from sora_keras.data.manifest import Event, Row, read_manifest, relabeled, rows_of_events, write_manifest
from sora_keras.data.pipeline import video_dataset_from_directory, video_dataset_from_manifest
from sora_keras.data.splits import k_fold, official_split, split_rows

__all__ = [
    "Event",
    "Fault",
    "Faults",
    "Row",
    "TooManyFaultsError",
    "k_fold",
    "make_moving_digits",
    "official_split",
    "read_manifest",
    "relabeled",
    "rows_from_directory",
    "rows_of_events",
    "split_rows",
    "video_dataset_from_directory",
    "video_dataset_from_manifest",
    "write_manifest",
]
