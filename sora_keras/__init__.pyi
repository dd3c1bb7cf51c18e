from . import (
    apps as apps,
    data as data,
    evaluation as evaluation,
    features as features,
    layers as layers,
    models as models,
    serving as serving,
    training as training,
    video as video,
)
from .apps import (
    anomaly_scores as anomaly_scores,
    enhance as enhance,
    score_video as score_video,
    understand as understand,
)
from .data import (
    video_dataset_from_directory as video_dataset_from_directory,
    video_dataset_from_manifest as video_dataset_from_manifest,
)
from .evaluation import evaluate_classifier as evaluate_classifier, save_report as save_report
from .models import (
    SoraBackbone as SoraBackbone,
    SoraClassifier as SoraClassifier,
    SoraEnhancer as SoraEnhancer,
    SoraGenerator as SoraGenerator,
    SoraUnderstanding as SoraUnderstanding,
)
from .serving import export as export, load_bundle as load_bundle
from .video import Clip as Clip, ClipSpec as ClipSpec, read_clip as read_clip, write_video as write_video

__version__: str
