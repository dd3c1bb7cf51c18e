from .anomaly_curve import normalize_scores as normalize_scores, smooth_scores as smooth_scores
from .anomaly_detection import anomaly_metrics as anomaly_metrics
from .calibration import calibration_metrics as calibration_metrics, plot_calibration as plot_calibration
from .classification import Evaluation as Evaluation, evaluate_classifier as evaluate_classifier
from .false_alarms import recall_at_false_alarms as recall_at_false_alarms
from .frame_level import frame_metrics as frame_metrics
from .frechet import frechet_video_distance as frechet_video_distance
from .intervals import wilson_interval as wilson_interval
from .metrics import classification_metrics as classification_metrics
from .mistake import Mistake as Mistake
from .perceptual import perceptual_distance as perceptual_distance
from .plots import (
    plot_confusion_matrix as plot_confusion_matrix,
    plot_learning_curves as plot_learning_curves,
    plot_mistakes as plot_mistakes,
)
from .prediction_quality import moving_mnist_metrics as moving_mnist_metrics
from .proposals import propose_segments as propose_segments
from .report import save_report as save_report
from .segmentation import edit_score as edit_score, segmentation_metrics as segmentation_metrics
from .segments import (
    Segment as Segment,
    segments_from_scores as segments_from_scores,
    segments_of_labels as segments_of_labels,
)
from .temporal_consistency import warping_error as warping_error
from .temporal_detection import detection_metrics as detection_metrics
from .temporal_iou import temporal_ious as temporal_ious
from .thresholds import best_thresholds as best_thresholds
from .video_quality import ms_ssim as ms_ssim, psnr as psnr, ssim as ssim
from .youtube8m_metrics import youtube8m_metrics as youtube8m_metrics
