from .audit import audit_manifest as audit_manifest
from .check import check_videos as check_videos
from .describe import describe_presets as describe_presets, preset_table as preset_table
from .evaluate import evaluate_on_directory as evaluate_on_directory
from .predict import Prediction as Prediction, predict_videos as predict_videos
from .train import train_on_directory as train_on_directory
from .tune import tune_on_directory as tune_on_directory
