"""What people run on top of the other rooms: train on a folder, predict on videos, check a folder."""

from sora_keras.apps.check import check_videos
from sora_keras.apps.evaluate import evaluate_on_directory
from sora_keras.apps.predict import Prediction, predict_videos
from sora_keras.apps.train import train_on_directory

__all__ = ["Prediction", "check_videos", "evaluate_on_directory", "predict_videos", "train_on_directory"]
