from .audit import Audit as Audit, audit_rows as audit_rows
from .clip_spec_suggestion import (
    ClipSpecSuggestion as ClipSpecSuggestion,
    suggest_clip_spec as suggest_clip_spec,
)
from .datasets.digit_events import make_digit_events as make_digit_events
from .datasets.directory import rows_from_directory as rows_from_directory
from .datasets.kth import read_kth as read_kth
from .datasets.moving_digits import make_moving_digits as make_moving_digits
from .datasets.moving_mnist import (
    moving_mnist_dataset as moving_mnist_dataset,
    moving_mnist_sequences as moving_mnist_sequences,
)
from .datasets.ucf101 import read_ucf101 as read_ucf101
from .datasets.ucsd_ped2 import read_ucsd_ped2 as read_ucsd_ped2
from .datasets.youtube8m import youtube8m_dataset as youtube8m_dataset
from .downloading.download import download as download
from .epoch_order import EpochOrder as EpochOrder
from .event_manifest import read_events as read_events
from .events import during_event as during_event
from .faults import Fault as Fault, Faults as Faults, TooManyFaultsError as TooManyFaultsError
from .idx import read_idx as read_idx
from .manifest import (
    Event as Event,
    Row as Row,
    read_manifest as read_manifest,
    relabeled as relabeled,
    rows_of_events as rows_of_events,
    write_manifest as write_manifest,
)
from .patches import patch_dataset as patch_dataset
from .pipeline import (
    video_dataset_from_directory as video_dataset_from_directory,
    video_dataset_from_manifest as video_dataset_from_manifest,
)
from .splits import k_fold as k_fold, official_split as official_split, split_rows as split_rows
from .statistics import channel_statistics as channel_statistics
from .timed_labels import vocabulary_labels as vocabulary_labels
from .windows import (
    rows_of_windows as rows_of_windows,
    throughout as throughout,
    without_times as without_times,
)
