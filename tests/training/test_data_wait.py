from __future__ import annotations

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.training import DataWait

BATCHES = 6
SECONDS = 0.05


def batches(seconds):
    """Batches that take their time."""

    def slow(index):
        time.sleep(seconds)
        return np.full((2, 3), index, np.float32)

    dataset = tf.data.Dataset.range(BATCHES)
    dataset = dataset.map(lambda index: tf.ensure_shape(tf.numpy_function(slow, (index,), tf.float32), (2, 3)))
    return dataset.map(lambda x: (x, x[:, :1])).prefetch(1)


class Slow(keras.layers.Layer):
    """A layer that takes its time."""

    def call(self, inputs):
        def wait(array):
            time.sleep(SECONDS)
            return array

        return tf.ensure_shape(tf.numpy_function(wait, (inputs,), tf.float32), inputs.shape)


def fit(dataset, data_wait, slow):
    model = keras.Sequential([Slow(), keras.layers.Dense(1)] if slow else [keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(dataset, epochs=2, callbacks=[data_wait], verbose=0, shuffle=False).history


def test_slow_data_is_waited_for():
    data_wait = DataWait(warn_above=None)
    assert min(fit(data_wait.watch(batches(SECONDS)), data_wait, slow=False)["data_wait"]) > 0.7


def test_data_that_is_there_is_not():
    data_wait = DataWait(warn_above=None)
    assert max(fit(data_wait.watch(batches(0.0)), data_wait, slow=True)["data_wait"]) < 0.3


def test_elements_and_their_number_stay(caplog):
    structured = tf.data.Dataset.range(5).map(lambda index: ({"frames": index, "features": 2 * index}, index + 1))
    watched = DataWait().watch(structured)
    assert watched.element_spec == structured.element_spec
    assert list(watched.as_numpy_iterator()) == list(structured.as_numpy_iterator())
    assert int(watched.cardinality()) == 5


def test_warns_once(caplog):
    data_wait = DataWait(warn_above=0.4)
    fit(data_wait.watch(batches(SECONDS)), data_wait, slow=False)
    assert len([message for message in caplog.messages if "is spent waiting for data: pass `cache`" in message]) == 1


def test_share_out_of_range():
    with pytest.raises(ValueError, match=r"`warn_above` must be a share from 0 to 1, or None, received 7"):
        DataWait(warn_above=7)
