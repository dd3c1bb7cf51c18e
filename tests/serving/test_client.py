import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow_serving")

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier, SoraEnhancer, export, read_clip, write_video
from sora_keras.models.streaming import Stream
from sora_keras.serving import Client, ServingError
from sora_keras.serving.client import TensorInfo, VersionStatus
from sora_keras.serving.development import DevelopmentServer

SPEC = ClipSpec(num_frames=4, height=16, width=24)
NAMES = ["ruhig", "bewegt", "Läufer"]
CLIPS = np.random.default_rng(0).integers(0, 256, (5, *SPEC.shape), dtype=np.uint8)
PROTOCOLS = ["rest", "grpc"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return SoraClassifier(SoraBackbone(SPEC, filters=(4, 6), units=(5, 5)), NAMES)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """A classifier, the same as versions 3 and 7, and what makes frames."""
    folder = tmp_path_factory.mktemp("served")
    version = export(model, folder / "mit Leerzeichen ü")
    for number in ("3", "7"):
        shutil.copytree(version, folder / "numbered" / number)
    export(SoraEnhancer(mode="restore", clip_spec=SPEC, filters=4, scale=2), folder / "enhancer")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    models = {name: folder / name for name in os.listdir(folder)}
    with DevelopmentServer(models, rest_port=0, grpc_port=0) as server:
        yield server


@pytest.fixture(params=PROTOCOLS)
def url(server, request):
    return url_of(server, request.param)


def url_of(server, protocol):
    if protocol == "grpc":
        return f"grpc://127.0.0.1:{server.grpc_port}"
    return f"http://127.0.0.1:{server.rest_port}"


@pytest.fixture
def client(url):
    with Client(url, "mit Leerzeichen ü", encoding="png", max_tries=1) as client:
        yield client


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three files: a moving wave, one that is no video, and another wave."""
    folder = tmp_path_factory.mktemp("videos")
    y, x = np.mgrid[:48, :64]
    for name, speed in [("slow.mp4", 0.1), ("fast.mp4", 0.8)]:
        frames = np.stack([128 + 100 * np.sin(0.3 * x + 0.1 * y + speed * t) for t in range(24)])
        write_video(folder / name, np.repeat(frames[..., None], 3, -1).astype(np.uint8), 12.0)
    (folder / "text.mp4").write_text("no video")
    return [folder / name for name in ("slow.mp4", "text.mp4", "fast.mp4")]


def probabilities(model, frames):
    return keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(frames, verbose=0)))


def check_classes(answer, expected):
    assert list(answer.probabilities) == [NAMES[index] for index in np.argsort(-expected)]
    np.testing.assert_allclose([answer.probabilities[name] for name in NAMES], expected, atol=1e-5)
    assert answer.label == NAMES[expected.argmax()]
    assert answer.error is None


def test_videos_are_classified_as_by_the_model(client, model, videos):
    clips = np.stack([read_clip(path, SPEC).frames for path in (videos[0], videos[2])])
    expected = probabilities(model, clips)
    first, second, third = client.predict(videos)
    check_classes(first, expected[0])
    check_classes(third, expected[1])
    assert (second.label, second.probabilities, second.outputs) == (None, {}, {})
    assert "cannot read it as a video (this is a text file)" in second.error


def test_clips_go_in_batches_and_come_back_in_order(url, model):
    expected = probabilities(model, CLIPS)
    with Client(url, "mit Leerzeichen ü", encoding="png", batch_size=2) as client:
        for answer, row in zip(client.predict(CLIPS), expected, strict=True):
            check_classes(answer, row)
        short = CLIPS[1, :2]
        mixed = [CLIPS[0], short, CLIPS[2], CLIPS[3]]
        rows = [expected[0], probabilities(model, short[None])[0], expected[2], expected[3]]
        for answer, row in zip(client.predict(mixed), rows, strict=True):
            check_classes(answer, row)
        assert client.predict([]) == []


def test_the_next_videos_are_read_while_the_server_answers(client, videos, monkeypatch):
    read, third_is_read, ask = [], threading.Event(), client.ask
    client._batch_size = 1

    def read_clip_seen(path, clip_spec):
        read.append(path)
        if len(read) == 3:
            third_is_read.set()
        return read_clip(path, clip_spec)

    def ask_seen(signature, inputs):
        assert third_is_read.wait(timeout=60)
        return ask(signature, inputs)

    assert client.clip_spec == SPEC
    monkeypatch.setattr("sora_keras.serving.client.read_clip", read_clip_seen)
    monkeypatch.setattr(client, "ask", ask_seen)
    assert len(client.predict([videos[0], videos[2], videos[0]])) == 3


def test_jpeg_is_what_the_server_decodes(url, model):
    smooth = np.broadcast_to(np.linspace(0, 255, 24).astype(np.uint8)[None, None, :, None], SPEC.shape)
    with Client(url, "mit Leerzeichen ü", quality=95) as client:
        [answer] = client.predict([smooth])
    expected = probabilities(model, smooth[None])[0]
    np.testing.assert_allclose([answer.probabilities[name] for name in NAMES], expected, atol=0.02)


def test_embeddings_are_the_backbones(client, model, videos):
    clips = np.stack([read_clip(path, SPEC).frames for path in (videos[0], videos[2])])
    embeddings = client.embed(videos)
    expected = keras.ops.convert_to_numpy(model.backbone(clips)["embedding"])
    assert (embeddings.dtype, embeddings.shape) == (np.float32, (3, expected.shape[1]))
    np.testing.assert_allclose(embeddings[[0, 2]], expected, atol=1e-5)
    assert np.isnan(embeddings[1]).all()
    assert client.embed([videos[1]]).shape == (1, expected.shape[1])
    assert client.embed([]).shape == (0, expected.shape[1])


def test_frames_come_back_as_frames(url):
    with Client(url, "enhancer", encoding="png") as client:
        [answer] = client.predict(CLIPS[:1])
        expected = client.ask("serving_default", {"frames": CLIPS[:1]})["frames"][0]
        stream = client.stream()
        streamed = np.concatenate([stream.step(frame[None])["frame"] for frame in CLIPS[0]])
    assert (answer.outputs["frames"].dtype, answer.outputs["frames"].shape) == (np.uint8, (4, 32, 48, 3))
    np.testing.assert_array_equal(answer.outputs["frames"], expected)
    assert (answer.label, answer.probabilities) == (None, {})
    assert np.abs(streamed.astype(int) - expected).max() <= 1


def test_streams_side_by_side_are_those_of_the_model(client, model):
    remote, local = client.stream(num_streams=2), Stream(model, num_streams=2)
    for index in range(4):
        if index == 2:
            remote.forget([1])
            local.forget([1])
        frames = CLIPS[:2, index]
        answer, expected = remote.step(frames), local.step(frames)["logits"]
        expected = keras.ops.convert_to_numpy(keras.ops.softmax(expected))
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
        assert sorted(answer) == ["class_names", "label", "probabilities"]
    remote.forget()
    first = probabilities(model, CLIPS[:2, :1])
    np.testing.assert_allclose(remote.step(CLIPS[:2, 0])["probabilities"], first, atol=1e-5)


def test_a_stream_says_what_it_takes(client):
    stream = client.stream(num_streams=2)
    message = r"uint8 of shape \(2, 16, 24, 3\), received float32 of shape \(2, 16, 25, 3\)"
    with pytest.raises(ValueError, match=message):
        stream.step(np.zeros((2, 16, 25, 3), np.float32))
    with pytest.raises(ValueError, match=r"`num_streams` must be at least 1, received -3"):
        client.stream(num_streams=-3)


def test_status_and_metadata(client):
    assert client.status() == [VersionStatus(1, "AVAILABLE", "")]
    metadata = client.metadata()
    assert sorted(metadata) == ["clip_spec", "embed", "embed_encoded", "encoded", "serving_default", "step"]
    assert metadata["serving_default"]["inputs"] == {"frames": TensorInfo("uint8", (None, None, 16, 24, 3))}
    assert metadata["encoded"]["outputs"] == {
        "probabilities": TensorInfo("float32", (None, 3)),
        "class_names": TensorInfo("str", (None, 3)),
        "label": TensorInfo("str", (None,)),
    }


def test_clip_spec_comes_from_the_server_or_the_bundle(client, url, folder):
    assert client.clip_spec == SPEC
    with Client(url, "nobody serves it", bundle_path=folder / "numbered") as other:
        assert other.clip_spec == SPEC
    with (
        Client(url, "numbered", bundle_path=folder) as other,
        pytest.raises(ValueError, match="holds no exported model"),
    ):
        _ = other.clip_spec


def test_a_version_is_chosen(url):
    with Client(url, "numbered", version=7) as client:
        assert client.status() == [VersionStatus(7, "AVAILABLE", "")]
        assert client.predict(CLIPS[:1])[0].label in NAMES
    with Client(url, "numbered", version=9) as client:
        for ask in (lambda: client.predict(CLIPS), client.status):
            with pytest.raises(
                ServingError, match=r"'numbered' at .* NOT_FOUND: .*9.*; look at the name and the version"
            ):
                ask()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_label_is_chosen(folder, tmp_path, protocol):
    (tmp_path / "models.config").write_text(f"""model_config_list {{ config {{
        name: "numbered" base_path: "{folder / "numbered"}" model_platform: "tensorflow"
        model_version_policy {{ specific {{ versions: 7 }} }} version_labels {{ key: "stable" value: 7 }}
    }} }}""")
    with DevelopmentServer(tmp_path / "models.config", rest_port=0, grpc_port=0) as server:
        with Client(url_of(server, protocol), "numbered", label="stable") as client:
            assert client.predict(CLIPS[:1])[0].label in NAMES
        with (
            Client(url_of(server, protocol), "numbered", label="canary") as client,
            pytest.raises(ServingError, match="INVALID_ARGUMENT: Unrecognized servable version label: canary"),
        ):
            client.predict(CLIPS[:1])


def test_a_missing_model_is_named(url):
    with Client(url, "nowhere") as client:
        with pytest.raises(ServingError, match=r"'nowhere' at .*NOT_FOUND: .*nowhere.*; look at the name") as raised:
            client.predict(CLIPS)
        assert (raised.value.code, raised.value.num_tries) == ("NOT_FOUND", 1)


def test_what_a_model_has_not_is_named(url):
    message = r"'enhancer' at .* has no signature 'embed_encoded', but \['clip_spec', 'encoded', 'serving_default', 's"
    with Client(url, "enhancer") as client, pytest.raises(ValueError, match=message):
        client.embed(CLIPS)


def test_a_wrong_question_is_answered_with_the_servers_reason(client):
    wrong = {"frames": np.zeros((1, 4, 16, 25, 3), np.uint8)}
    message = r"Signature 'serving_default' of 'mit .*INVALID_ARGUMENT: .*25.*; compare what was sent"
    with pytest.raises(ServingError, match=message):
        client.ask("serving_default", wrong)


def test_a_single_path_and_other_frames_are_refused(client):
    with pytest.raises(TypeError, match=r"`videos` must be a list, received the single path 'street.mp4'"):
        client.predict("street.mp4")
    with pytest.raises(ValueError, match=r"uint8 of shape \(T, H, W, 3\), received float64 of shape \(2, 5, 7, 3\)"):
        client.predict([np.zeros((2, 5, 7, 3))])
    with pytest.raises(ValueError, match=r"uint8 of shape \(T, H, W, 3\), received uint8 of shape \(4, 16, 24\)"):
        client.predict(CLIPS[0, ..., 0][None])
    with pytest.raises(ValueError, match=r"3 channels, RGB, or 1, gray, received uint8 of shape \(2, 5, 7, 4\)"):
        client.predict([np.zeros((2, 5, 7, 4), np.uint8)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "localhost:8501"}, r"http://, https:// or grpc:// and name a host, received 'localhost:8501'"),
        ({"url": "grpc://"}, r"received 'grpc://'"),
        ({"version": 3, "label": "stable"}, "by number or by label, received both 3 and 'stable'"),
        ({"encoding": "webp"}, r"`encoding` must be one of \('jpeg', 'png'\), received 'webp'"),
        ({"quality": 101}, "`quality` must be from 1 to 100, received 101"),
        ({"batch_size": 0}, "`batch_size` must be positive, received 0"),
        ({"timeout_seconds": -2.5}, "`timeout_seconds` must be positive, received -2.5"),
        ({"max_tries": -1}, "`max_tries` must be positive, received -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Client(**{"url": "http://localhost:8501", "model_name": "fights", **arguments})


def test_threads_share_a_client(client, model):
    expected = probabilities(model, CLIPS)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda index: client.predict(CLIPS[index % 5][None])[0], range(40)))
    for index, answer in enumerate(answers):
        check_classes(answer, expected[index % 5])


def test_importing_the_client_imports_neither_http_nor_grpc():
    code = "import sys, sora_keras.serving.client; print([name for name in ('httpx', 'grpc') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("url", "module"), [("http://a:1", "httpx"), ("grpc://a:1", "grpc")])
def test_a_missing_package_is_named(url, module, monkeypatch):
    for loaded in ("rest_transport", "grpc_transport"):
        monkeypatch.delitem(sys.modules, f"sora_keras.serving.{loaded}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs more than is installed \(.*{module}.*pip install 'sora-keras\[serv"):
        Client(url, "fights")


@pytest.mark.real_data
def test_real_videos_are_classified_as_by_the_model(url, model, real_data):
    paths = sorted((real_data / "fights" / "fight").glob("*.mp4"))[:3] + [real_data / "broken" / "not_a_video.mp4"]
    clips = np.stack([read_clip(path, SPEC).frames for path in paths[:3]])
    with Client(url, "mit Leerzeichen ü", encoding="png") as client:
        *answers, unread = client.predict(paths)
        embeddings = client.embed(paths[:3])
    for answer, expected in zip(answers, probabilities(model, clips), strict=True):
        check_classes(answer, expected)
    assert unread.error
    np.testing.assert_allclose(embeddings, model.backbone(clips)["embedding"], atol=1e-5)


def test_answers_past_four_megabytes_arrive(server):
    clip = CLIPS[0].repeat(250, axis=0)
    with Client(url_of(server, "grpc"), "enhancer", max_tries=1) as client:
        [answer] = client.predict([clip])
    assert answer.outputs["frames"].shape == (1000, 32, 48, 3)
    assert answer.outputs["frames"].nbytes > 4 * 2**20
