"""Videos to `tf.data`: manifests, splits, pipelines and datasets."""

from sora_keras.data.datasets.moving_digits import make_moving_digits
from sora_keras.data.faults import Fault, Faults
from sora_keras.data.manifest import Row, k_fold, read_manifest, rows_from_directory, split_rows
from sora_keras.data.pipeline import video_dataset_from_directory, video_dataset_from_manifest

__all__ = [
    "Fault",
    "Faults",
    "Row",
    "k_fold",
    "make_moving_digits",
    "read_manifest",
    "rows_from_directory",
    "split_rows",
    "video_dataset_from_directory",
    "video_dataset_from_manifest",
]
