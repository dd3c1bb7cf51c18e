from .classification import Evaluation as Evaluation, evaluate_classifier as evaluate_classifier
from .intervals import wilson_interval as wilson_interval
from .metrics import classification_metrics as classification_metrics
from .mistake import Mistake as Mistake
from .plots import (
    plot_confusion_matrix as plot_confusion_matrix,
    plot_learning_curves as plot_learning_curves,
    plot_mistakes as plot_mistakes,
)
from .report import save_report as save_report
