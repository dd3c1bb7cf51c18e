"""The sound around each frame in, the features of what is heard there out."""

from __future__ import annotations

import keras
from keras import layers, ops

from sora_keras.layers.absent_features import AbsentFeatures
from sora_keras.layers.random_silence import RandomSilence
from sora_keras.layers.time_distributed import TimeDistributed

SAMPLE_RATE_HZ = 16_000
SILENCED_SHARE = 0.2
_FILTERS = (64, 64)
# Spectra of 25 ms every 10 ms, on 64 bands as wide as hearing tells them apart.
_SPECTRUM_SAMPLES, _SAMPLES_BETWEEN_SPECTRA, _FFT_LENGTH, _BANDS = 400, 160, 512, 64


def sound_input(sound_samples: int) -> keras.KerasTensor:
    """Make the input `sound`.

    Args:
        sound_samples: samples S at 16 kHz around each frame.

    Returns:
        `float32 (B, T, S)`.

    Raises:
        ValueError: if that is no number of samples, or too few for a spectrum.

    Example:
        >>> sound_input(4000).shape
        (None, None, 4000)
    """
    is_whole = isinstance(sound_samples, int) and not isinstance(sound_samples, bool)
    if not is_whole or sound_samples < _SPECTRUM_SAMPLES:
        raise ValueError(
            f"`sound_samples` must be 0, for no sound, or a whole number of at least {_SPECTRUM_SAMPLES}, received "
            f"{sound_samples!r}: such as 4000 for a quarter of a second."
        )
    return keras.Input((None, sound_samples), dtype="float32", name="sound")


def sound_features(sound: keras.KerasTensor, l2: float = 0.0) -> keras.KerasTensor:
    """Connect the stream of sound: log-mel spectra around each frame, through blocks of Conv1D over their time.

    Where the sound is all zeros, there is none: a learned vector stands in its place. A fifth of the clips is heard by
    nobody while training, so that the model learns to do without sound, too. A frame's features depend on the sound
    around it alone.

    Args:
        sound: `float32 (B, T, S)` in -1..1, S samples at 16 kHz around each of T frames, at least 400.
        l2: L2 penalty on the kernels.

    Returns:
        Features `(B, T, 64)`.

    Example:
        >>> sound_features(sound_input(4000)).shape
        (None, None, 64)
    """
    heard = RandomSilence(SILENCED_SHARE, name="random_silence")(sound)
    is_present = ops.any(ops.not_equal(heard, 0.0), axis=-1)
    # Not in half precision, which would be a hiss as loud as speech.
    encoder = TimeDistributed(_sound_encoder(sound.shape[-1], l2), dtype="float32", name="each_sound_encoder")
    return AbsentFeatures(name="absent_sound")(encoder(heard), is_present)


def _sound_encoder(num_samples: int, l2: float) -> keras.Model:
    """One window of sound `(S,)` to `(64,)`."""
    sound = keras.Input((num_samples,), name="sound")
    spectra = layers.MelSpectrogram(
        fft_length=_FFT_LENGTH,
        sequence_stride=_SAMPLES_BETWEEN_SPECTRA,
        sequence_length=_SPECTRUM_SAMPLES,
        sampling_rate=SAMPLE_RATE_HZ,
        num_mel_bins=_BANDS,
        # Keras counts it from the loudest sound of the whole batch. Out of reach, a clip's features are its own.
        top_db=1000.0,
        dtype="float32",
        name="log_mel",
    )(sound)
    # Decibels of 16-bit sound, about -100 to 45.
    x = layers.Permute((2, 1), name="bands_last")(layers.Rescaling(1 / 40, offset=1.0, name="scale_sound")(spectra))
    penalty = keras.regularizers.L2(l2) if l2 else None
    for index, filters in enumerate(_FILTERS):
        x = layers.Conv1D(
            filters, 3, padding="same", activation="relu", kernel_regularizer=penalty, name=f"sound_conv_{index}"
        )(x)
        x = layers.MaxPooling1D(2, padding="same", name=f"sound_pool_{index}")(x)
    return keras.Model(sound, layers.GlobalAveragePooling1D(name="average_sound")(x), name="sound_encoder")
