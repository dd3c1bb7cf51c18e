from .datasets.directory import rows_from_directory as rows_from_directory
from .datasets.moving_digits import make_moving_digits as make_moving_digits
from .faults import Fault as Fault, Faults as Faults, TooManyFaultsError as TooManyFaultsError
from .manifest import (
    Event as Event,
    Row as Row,
    read_manifest as read_manifest,
    relabeled as relabeled,
    rows_of_events as rows_of_events,
    write_manifest as write_manifest,
)
from .pipeline import (
    video_dataset_from_directory as video_dataset_from_directory,
    video_dataset_from_manifest as video_dataset_from_manifest,
)
from .splits import k_fold as k_fold, official_split as official_split, split_rows as split_rows
