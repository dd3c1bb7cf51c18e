from .anomaly_files import write_anomalies as write_anomalies
from .anomaly_plot import draw_anomalies as draw_anomalies, unexpected_moments as unexpected_moments
from .audit import audit_manifest as audit_manifest
from .check import check_videos as check_videos
from .describe import describe_presets as describe_presets, preset_table as preset_table
from .enhance_video import EnhancementReport as EnhancementReport, enhance as enhance
from .evaluate import evaluate_on_directory as evaluate_on_directory
from .frame_scores import FrameScores as FrameScores
from .highlights import draw_key_moments as draw_key_moments, write_highlights as write_highlights
from .key_moment import KeyMoment as KeyMoment, key_moments as key_moments
from .people import PeopleTrack as PeopleTrack, find_people as find_people, write_people as write_people
from .predict import Prediction as Prediction, predict_videos as predict_videos
from .quality_gain import QualityGain as QualityGain
from .restoring import restored_frames as restored_frames
from .side_by_side import write_side_by_side as write_side_by_side
from .timeline import Timeline as Timeline, timeline_of as timeline_of
from .timeline_files import write_timeline as write_timeline
from .timeline_plot import draw_timeline as draw_timeline
from .train import train_on_directory as train_on_directory
from .tune import tune_on_directory as tune_on_directory
from .understand_video import understand as understand
from .video_anomalies import AnomalyCurve as AnomalyCurve, anomaly_scores as anomaly_scores
from .video_scores import score_video as score_video
