from __future__ import annotations

import heapq
import math
import random

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from sora_keras.evaluation.youtube8m_metrics import youtube8m_metrics


def ap_by_hand(pairs, num_positives, top_n):
    """Of (score, label) pairs in order of arrival: one by one, in the order that the published code gives to them."""
    heap = []
    for pair in pairs:
        if top_n is None or len(heap) < top_n:
            heapq.heappush(heap, pair)
        elif pair[0] > heap[0][0]:
            heapq.heappop(heap)
            heapq.heappush(heap, pair)
    random.seed(0)
    places = random.sample(range(len(heap)), len(heap))
    found, total = 0, 0.0
    for rank, (_, label) in enumerate(sorted((heap[i] for i in places), key=lambda pair: -pair[0]), start=1):
        if label:
            found += 1
            total += found / rank
    possible = num_positives if top_n is None else min(num_positives, top_n)
    return total / possible if possible else 0.0


def by_hand(batches, top_k, top_n=None, skips_absent_labels=True):
    num_labels = batches[0][0].shape[1]
    lists, positives, everything = [[] for _ in range(num_labels)], [0] * num_labels, []
    perr, hits = [], []
    for labels, scores in batches:
        arrived = [[] for _ in range(num_labels)]
        for truth, score in zip(labels, scores, strict=True):
            kept = np.argpartition(score, -min(top_k, num_labels))[-min(top_k, num_labels) :]
            for label in kept:
                arrived[label].append((float(score[label]), int(truth[label])))
            for label in range(num_labels):
                positives[label] += int(truth[label])
            count = int(truth.sum())
            best = np.argpartition(score, -count)[-count:] if count else []
            perr.append(sum(truth[i] for i in best if score[i] > 0) / max(count, 1))
            hits.append(truth[max(range(num_labels), key=lambda i: (score[i], -i))])
        for label in range(num_labels):
            lists[label] += arrived[label]
            everything += arrived[label]
    counted = [i for i in range(num_labels) if positives[i] or not skips_absent_labels]
    precisions = [ap_by_hand(lists[i], positives[i], top_n) for i in counted]
    return {
        "gap": ap_by_hand(everything, sum(positives), None),
        "map": sum(precisions) / max(len(precisions), 1),
        "perr": sum(perr) / len(perr),
        "hit_at_1": sum(hits) / len(hits),
    }


def random_batches(seed, num_labels, levels, sizes=(17, 1, 30), share=0.1):
    rng = np.random.default_rng(seed)
    for size in sizes:
        labels = (rng.random((size, num_labels)) < share).astype("float32")
        scores = np.floor(rng.random((size, num_labels)) * levels + 0.7 * labels) / (levels + 1)
        yield labels, scores.astype("float32")


@pytest.mark.parametrize("levels", [1, 2, 7, 10**6])
@pytest.mark.parametrize(("num_labels", "top_k"), [(3, 20), (40, 20), (40, 3)])
@pytest.mark.parametrize("others", [{}, {"top_n": 5, "skips_absent_labels": False}])
def test_as_by_hand_even_where_scores_are_equal(levels, num_labels, top_k, others):
    batches = list(random_batches(num_labels + top_k, num_labels, levels))
    scores = youtube8m_metrics(batches, top_k, **others)
    for name, value in by_hand(batches, top_k, **others).items():
        assert scores[name] == pytest.approx(value, abs=3e-7), name
    assert scores["num_videos"] == 48


def test_equal_scores_are_neither_put_best_first_nor_last():
    labels = np.array([[1], [0]] * 50)
    gap = youtube8m_metrics([(labels, np.full((100, 1), 0.5))])["gap"]
    assert gap == pytest.approx(by_hand([(labels, np.full((100, 1), 0.5))], 1)["gap"])
    assert 0.4 < gap < 0.6  # 1 with all that hold first


def test_with_all_labels_kept_gap_and_map_are_average_precisions():
    rng = np.random.default_rng(0)
    labels = (rng.random((200, 12)) < 0.2).astype("float32")
    scores = (rng.random((200, 12)) + 0.3 * labels) / 1.3
    result = youtube8m_metrics([(labels, scores)], top_k=12)
    assert result["gap"] == pytest.approx(average_precision_score(labels.ravel(), scores.ravel()))
    each = [average_precision_score(labels[:, i], scores[:, i]) for i in range(12)]
    np.testing.assert_allclose(result["average_precisions"], each)
    assert result["map"] == pytest.approx(np.mean(each))


def test_a_worked_case():
    # kept: .9 yes, .8 no, .7 yes, .6 no; label 2 of the second video holds and is not kept
    labels = np.array([[1, 0, 0], [1, 0, 1]])
    scores = np.array([[0.9, 0.8, 0.1], [0.7, 0.6, 0.0]])
    result = youtube8m_metrics([(labels, scores)], top_k=2)
    assert result["gap"] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert result["map"] == pytest.approx((1.0 + 0.0) / 2)  # label 0, label 2; no video has label 1
    assert result["perr"] == pytest.approx((1 + 1 / 2) / 2)
    assert result["hit_at_1"] == 1.0
    assert [round(value, 3) for value in result["average_precisions"][[0, 2]]] == [1.0, 0.0]
    assert math.isnan(result["average_precisions"][1])
    assert youtube8m_metrics([(labels, scores)], 2, skips_absent_labels=False)["map"] == pytest.approx(1 / 3)


def test_a_probability_of_zero_recalls_nothing():
    result = youtube8m_metrics([(np.ones((1, 2)), np.array([[0.5, 0.0]]))])
    assert result["perr"] == 0.5


def test_videos_without_labels():
    result = youtube8m_metrics([(np.zeros((3, 4)), np.full((3, 4), 0.5))])
    assert [result[name] for name in ("gap", "map", "perr", "hit_at_1")] == [0, 0, 0, 0]


def test_batches_are_streamed():
    alive, most = [0], [0]

    class Counted(np.ndarray):
        def __del__(self):
            alive[0] -= 1

    def batches():
        for labels, scores in random_batches(1, 50, 10**6, sizes=(8,) * 20):
            counted = scores.view(Counted)
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            yield labels, counted
            del counted

    youtube8m_metrics(batches(), top_k=2)
    assert most[0] <= 3


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "received none"),
        ([(np.zeros((2, 3)), np.zeros((2, 4)))], r"received \(2, 3\) and \(2, 4\)"),
        ([(np.zeros((2, 3)), np.zeros((2, 3))), (np.zeros((2, 5)), np.zeros((2, 5)))], "after batches of 3 labels"),
        ([(np.full((2, 3), -1), np.zeros((2, 3)))], "Labels must be 0 or 1, received -1"),
        ([(np.zeros((2, 3)), np.full((2, 3), 1.5))], r"from 0 to 1, received 1\.5"),
        ([(np.zeros((2, 3)), np.full((2, 3), np.nan))], "from 0 to 1, received nan"),
    ],
)
def test_what_cannot_be_judged_is_refused(batches, message):
    with pytest.raises(ValueError, match=message):
        youtube8m_metrics(batches)


@pytest.mark.parametrize(("name", "number"), [("top_k", 0), ("top_n", -7)])
def test_bad_numbers_are_named(name, number):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, received {number}"):
        youtube8m_metrics([(np.zeros((2, 3)), np.zeros((2, 3)))], **{name: number})
