from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sora_keras.apps.video_anomalies import anomaly_scores
from sora_keras.data import during_event, read_ucsd_ped2
from sora_keras.models import SoraGenerator

PRESET = Path(__file__).parents[2] / "saved_models" / "ped2_anomaly"


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(not PRESET.is_dir(), reason=f"{PRESET} is not there: recipes/find_anomalies.py --ship writes it")
def test_the_shipped_model_finds_the_bicycle_when_and_where_it_rides(real_data):
    row = [row for row in read_ucsd_ped2(real_data / "ped2") if row.split == "test"][1]
    curve = anomaly_scores(SoraGenerator.from_preset(PRESET), row.path)
    abnormal = during_event(row, curve.times)
    assert len(curve.times) == 180
    assert roc_auc_score(abnormal, curve.smoothed) > 0.95
    # It crosses the picture from the left to the right, so the worst patches do.
    middles = (curve.boxes[abnormal, 0] + curve.boxes[abnormal, 2]) / 2
    assert np.median(middles[: len(middles) // 3]) < np.median(middles[-len(middles) // 3 :]) - 0.2
