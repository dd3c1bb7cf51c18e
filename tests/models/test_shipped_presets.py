"""What `saved_models/` ships: small, with a card, and able to do what the card says."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sora_keras import SoraClassifier, SoraEnhancer, SoraGenerator, anomaly_scores, read_clip
from sora_keras.apps import restored_frames
from sora_keras.data import during_event, read_ucsd_ped2
from sora_keras.evaluation import anomaly_metrics, psnr
from sora_keras.layers import FrameNoise
from sora_keras.video import stream_frames

SAVED_MODELS = Path(__file__).parents[2] / "saved_models"
SHIPPED = sorted(path.parent for path in SAVED_MODELS.glob("*/model_card.md"))


def test_something_ships():
    assert {"fight_detection", "denoise", "ped2_anomaly", "upscale_x4"} <= {folder.name for folder in SHIPPED}


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_is_small_and_has_a_card(folder):
    assert (folder / "model.keras").stat().st_size < 5e6
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    for word in ("## Data", "split hash", "## Metrics", "interval", "command", "cost", "## Limits"):
        assert word in card


@pytest.mark.real_data
def test_the_fight_detector_tells_fights(real_data):
    model = SoraClassifier.from_preset(SAVED_MODELS / "fight_detection")
    assert model.class_names == ["fight", "no_fight"]
    paths = [real_data / "fights" / "fight" / f"fi{number:03}.mp4" for number in (1, 40, 80, 120)]
    others = sorted((real_data / "fights").glob("*/*.mp4"))[-1:-80:-20]
    clips = np.stack([read_clip(path, model.clip_spec).frames for path in (*paths, *others)])
    right = model.predict(clips, batch_size=2, verbose=0).argmax(-1) == [0] * len(paths) + [1] * len(others)
    assert right.mean() > 0.7  # it was trained on these


@pytest.mark.real_data
@pytest.mark.parametrize(("sigma", "least_gain"), [(15, 10), (30, 14), (50, 15)])
def test_the_denoiser_cleans_a_video_it_never_saw(real_data, sigma, least_gain):
    model = SoraEnhancer.from_preset(SAVED_MODELS / "denoise")
    frames = stream_frames(real_data / "signs" / "again.mkv", 240, 320)
    good = np.stack([frame for _, (_, frame) in zip(range(12), frames, strict=False)])
    bad = np.array(FrameNoise(float(sigma), seed=0)(good[None]))[0]
    restored = np.stack([frame.round().clip(0, 255).astype(np.uint8) for frame in restored_frames(bad, model)])
    assert (psnr(restored[6:], good[6:]) - psnr(bad[6:], good[6:])).mean() > least_gain


@pytest.mark.real_data
def test_the_enlarger_beats_bicubic_on_a_video_it_never_saw(real_data):
    model = SoraEnhancer.from_preset(SAVED_MODELS / "upscale_x4")
    frames = stream_frames(real_data / "signs" / "again.mkv", 240, 320)
    good = np.stack([frame for _, (_, frame) in zip(range(12), frames, strict=False)])
    bad = np.stack([cv2.resize(frame, (80, 60), interpolation=cv2.INTER_AREA) for frame in good])
    bicubic = np.stack([cv2.resize(frame, (320, 240), interpolation=cv2.INTER_CUBIC) for frame in bad])
    restored = np.stack([frame.round().clip(0, 255).astype(np.uint8) for frame in restored_frames(bad, model)])
    assert (psnr(restored[6:], good[6:]) - psnr(bicubic[6:], good[6:])).mean() > 0.7


@pytest.mark.real_data
def test_the_walkways_generator_is_surprised_by_a_bicycle(real_data):
    model = SoraGenerator.from_preset(SAVED_MODELS / "ped2_anomaly")
    row = [row for row in read_ucsd_ped2(real_data / "ped2") if row.split == "test"][1]
    curve = anomaly_scores(model, row.path)
    assert anomaly_metrics([during_event(row, curve.times)], [curve.smoothed])["auc"] > 0.95
