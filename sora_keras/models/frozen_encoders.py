"""A model with frozen encoders to two: one that reads clips, to be run once, and one of all that is trained."""

from __future__ import annotations

import keras


def split_after_encoders(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cut a model behind its frozen encoders. The parts share its layers: to train the second is to train the model.

    A frozen encoder says the same of a clip at every epoch. Let it read each clip once, and once more mirrored, say,
    then fit the second part on what it said: an epoch takes a second in place of minutes. Nothing is lost but
    augmentation drawn anew at each epoch.

    Args:
        model: a `SoraBackbone`, or a task model on one, whose frames are read by nothing but a `frame_encoder`, a
            `motion_encoder`, or both, with `trainable = False`.

    Returns:
        Model of the clips to a list of features `(B, T, D)`, one for each encoder, and model of such a list to what
        `model` gives, compiled anew with the optimizer, loss and metrics of `model`, if it is compiled.

    Raises:
        ValueError: if there is no such encoder, one is not frozen, or other layers read the frames too.

    Example:
        >>> reader, rest = split_after_encoders(classifier)
        >>> features = reader.predict(clips)
        >>> rest.fit(features, labels, epochs=15)
        >>> classifier.predict(other_clips)
    """
    backbone = getattr(model, "backbone", model)
    encoders = [encoder for encoder in (backbone.frame_encoder, backbone.motion_encoder) if encoder is not None]
    if not encoders or any(encoder.trainable_weights for encoder in encoders):
        raise ValueError(
            f"{model.name!r} must have frozen encoders, received {[encoder.name for encoder in encoders]}: give a "
            "`frame_encoder` or a `motion_encoder` and set its `trainable` to False beforehand."
        )
    features = backbone.encoder_outputs
    others = [tensor for tensor in model.inputs if tensor.name != "frames"]
    reader = keras.Model(model.input, features, name=f"{model.name}_encoders")
    try:
        rest = keras.Model([*features, *others], model.output, name=f"{model.name}_rest")
    except ValueError as error:
        raise ValueError(
            f"{model.name!r} reads the frames by {backbone.filters} Conv2D filters beside its frozen encoders: use "
            "`filters=()`."
        ) from error
    if model.compiled:
        rest.compile_from_config(model.get_compile_config())
    return reader, rest
