from .callbacks import training_callbacks as training_callbacks
from .class_balance import class_weights as class_weights
from .compiling import compile_for_training as compile_for_training
from .data_wait import DataWait as DataWait
from .deterministic import make_deterministic as make_deterministic
from .distribution import distributed as distributed, share_of_process as share_of_process
from .epoch_seconds import EpochSeconds as EpochSeconds
from .exact_resume import ExactResume as ExactResume
from .hypermodels import BackboneHyperModel as BackboneHyperModel, ClassifierHyperModel as ClassifierHyperModel
from .interrupted import check_interrupted as check_interrupted
from .learning_rate_finder import LearningRates as LearningRates, find_learning_rate as find_learning_rate
from .log import read_log as read_log
from .model_card import write_model_card as write_model_card
from .precision import layer_precision as layer_precision
from .schedules import warmup_cosine as warmup_cosine
from .search_table import save_trials as save_trials
from .tuning import make_tuner as make_tuner
