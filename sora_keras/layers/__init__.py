"""Keras layers for video, one concept a file."""

from sora_keras.layers.absent_features import AbsentFeatures
from sora_keras.layers.attention_pooling import AttentionPooling
from sora_keras.layers.class_guards import classes_changed
from sora_keras.layers.cleaning import (
    BilateralOverSpace,
    GaussianOverSpace,
    GaussianOverTime,
    MedianOverSpace,
    MedianOverTime,
)
from sora_keras.layers.clip_augmentation import ClipAugmentation
from sora_keras.layers.clip_mixing import ClipCutMix, ClipMixUp
from sora_keras.layers.color_adjustment import ColorAdjustment
from sora_keras.layers.color_statistics import ColorStatistics, parameters_between
from sora_keras.layers.context_gating import ContextGating
from sora_keras.layers.default_augmentation import default_augmentation
from sora_keras.layers.folding import fold, unfold
from sora_keras.layers.frame_noise import FrameNoise
from sora_keras.layers.frame_recurrence import FrameRecurrence
from sora_keras.layers.luma_quantiles import LumaQuantiles
from sora_keras.layers.mixture_density import MixtureDensity
from sora_keras.layers.mixture_of_experts import MixtureOfExperts
from sora_keras.layers.optical_flow import OpticalFlow
from sora_keras.layers.patch_placement import PatchPlacement
from sora_keras.layers.position_embedding import PositionEmbedding
from sora_keras.layers.random_color_distortion import RandomColorDistortion
from sora_keras.layers.random_frame_drop import RandomFrameDrop
from sora_keras.layers.random_reverse import RandomReverse
from sora_keras.layers.random_silence import RandomSilence
from sora_keras.layers.random_speed import RandomSpeed
from sora_keras.layers.random_window import RandomWindow
from sora_keras.layers.restoration_cell import RestorationCell
from sora_keras.layers.shrunk_frames import ShrunkFrames
from sora_keras.layers.speed_pretext import SpeedPretext
from sora_keras.layers.temporal_difference import TemporalDifference
from sora_keras.layers.temporal_shift import TemporalShift
from sora_keras.layers.time_distributed import TimeDistributed
from sora_keras.layers.top_pooling import TopPooling
from sora_keras.layers.warping import warp
from sora_keras.layers.waveform_augmentation import RandomGain, RandomNoise, RandomTimeShift

__all__ = [
    "AbsentFeatures",
    "AttentionPooling",
    "BilateralOverSpace",
    "ClipAugmentation",
    "ClipCutMix",
    "ClipMixUp",
    "ColorAdjustment",
    "ColorStatistics",
    "ContextGating",
    "FrameNoise",
    "FrameRecurrence",
    "GaussianOverSpace",
    "GaussianOverTime",
    "LumaQuantiles",
    "MedianOverSpace",
    "MedianOverTime",
    "MixtureDensity",
    "MixtureOfExperts",
    "OpticalFlow",
    "PatchPlacement",
    "PositionEmbedding",
    "RandomColorDistortion",
    "RandomFrameDrop",
    "RandomGain",
    "RandomNoise",
    "RandomReverse",
    "RandomSilence",
    "RandomSpeed",
    "RandomTimeShift",
    "RandomWindow",
    "RestorationCell",
    "ShrunkFrames",
    "SpeedPretext",
    "TemporalDifference",
    "TemporalShift",
    "TimeDistributed",
    "TopPooling",
    "classes_changed",
    "default_augmentation",
    "fold",
    "parameters_between",
    "unfold",
    "warp",
]
