from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sora_keras import ClipSpec, video_dataset_from_directory
from sora_keras.cli import main
from sora_keras.video import write_video

OPTIONS = {
    "train": "--to --preset --frames --size --fps --groups --epochs --batch-size --learning-rate --schedule "
    "--weight-decay --label-smoothing --balance-classes --precision --deterministic --seed --cache --faults --on-fault "
    "--max-failures folder",
    "tune": "--to --trials --method --frames --size --fps --groups --epochs --batch-size --seed folder",
    "suggest": "folder",
    "describe": "--frames --size MODEL",
    "evaluate": "--to --groups model folder",
    "predict": "--json model VIDEO",
    "export": "model --to",
    "check": "videos --to",
    "audit": "manifest --to --most --files-only --same-scene",
    "data-service": "--dispatcher --port --address --work-dir",
    "download": "name --to --partition --mirror --share",
}
TRAIN = ["--frames", "4", "--size", "16", "--epochs", "1"]


def make_videos(folder: Path, **levels: int) -> Path:
    """Six gray videos of each class."""
    for name, level in levels.items():
        (folder / name).mkdir(parents=True)
        for index in range(6):
            frames = np.full((6, 16, 16, 3), level + index, np.uint8)
            write_video(folder / name / f"{index} ü.mp4", frames, frames_per_second=8.0)
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    return make_videos(tmp_path_factory.mktemp("cli") / "meine Videos", dunkel=30, grün=150)


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory) -> tuple[Path, str]:
    """The model's folder, and what training printed."""
    to = tmp_path_factory.mktemp("model") / "grau ä"
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main(["train", str(videos), "--to", str(to), *TRAIN]) == 0
    return to, output.getvalue()


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a subcommand: exit code, output, error output."""
    # One process that loads many models makes TensorFlow complain of retracing; one command never does.
    monkeypatch.setattr(logging.getLogger("tensorflow"), "level", logging.ERROR)

    def run_command(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = exit_.code
        output = capsys.readouterr()
        return code, output.out, output.err

    return run_command


@pytest.fixture
def fails(run):
    """Run a subcommand that must fail with one line on the error output, and return the line."""

    def run_command(*arguments):
        code, output, error = run(*arguments)
        assert code == 2
        assert output == ""
        assert error.startswith(f"sora-keras {arguments[0]}: ")
        assert error.count("\n") == 1
        assert error.endswith("\n")
        return error

    return run_command


class TestHelp:
    def test_names_every_command(self, run):
        code, output, error = run("--help")
        assert (code, error) == (0, "")
        assert all(re.search(rf"\n    {command}\s", output) for command in OPTIONS)

    @pytest.mark.parametrize("command", OPTIONS)
    def test_lists_every_option(self, run, command):
        code, output, error = run(command, "--help")
        assert (code, error) == (0, "")
        for option in OPTIONS[command].split():
            assert re.search(rf"\n  {option}\s", output)

    def test_tells_the_defaults_of_the_library(self, run):
        _, output, _ = run("train", "--help")
        for default in ("small", "16", "64", "40", "0.002", "0"):
            assert f"(default: {default})" in output

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "the following arguments are required: COMMAND"),
            (["trian", "videos"], "invalid choice: 'trian'"),
            (["train", "videos"], "the following arguments are required: --to"),
            (["train", "videos", "--to", "x", "--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
            (["predict", "model"], "the following arguments are required: VIDEO"),
            (["check", "videos", "--fast"], "unrecognized arguments: --fast"),
        ],
    )
    def test_wrong_usage(self, run, arguments, message):
        code, output, error = run(*arguments)
        assert (code, output) == (2, "")
        assert error.startswith("usage: sora-keras")
        assert message in error


class TestTrain:
    def test_writes_and_tells(self, trained, videos):
        to, output = trained
        assert {path.name for path in to.iterdir() if path.suffix not in (".config", ".yaml")} == {
            "model.keras",
            "model_card.md",
            "report",
            "training",
            "1",
        }
        *_, accuracy, following = output.splitlines()
        assert accuracy.startswith("accuracy ")
        assert accuracy.endswith(f" videos; report: {to / 'report' / 'report.md'}")
        assert following == f"next: sora-keras predict '{to}' VIDEO"
        assert "\b" not in output
        assert "\x1b" not in output

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--frames", "0"], "num_frames must be a whole number of at least 1, received 0."),
            (["--size", "-8"], "height must be a whole number of at least 1, received -8."),
            (["--fps", "-2.5"], "frames_per_second must be a positive number, or None"),
            (["--size", "6"], "received 6 x 6"),
            (["--epochs", "-1"], "`epochs` must be at least 1, received -1."),
            (["--batch-size", "0"], "`batch_size` must be at least 1, received 0."),
            (["--learning-rate", "-0.5"], "`learning_rate` must be a positive number, received -0.5."),
            (["--seed", "-3"], "`seed` must be from 0 to 4294967295, received -3."),
            (["--preset", "huge"], "no preset 'huge': expected one of ['base', 'pretrained', 'small', 'streaming']"),
            (["--groups", "person"], "`groups='person'` names a column"),
        ],
    )
    def test_wrong_values(self, fails, videos, tmp_path, arguments, message):
        assert message in fails("train", videos, "--to", tmp_path / "model", *arguments)
        assert list(tmp_path.iterdir()) == []

    def test_wrong_folders(self, fails, tmp_path):
        to = tmp_path / "model"
        (tmp_path / "empty").mkdir()
        assert f"{tmp_path / 'empty'} holds no videos" in fails("train", tmp_path / "empty", "--to", to)
        assert f"{tmp_path / 'gone'} is not a folder" in fails("train", tmp_path / "gone", "--to", to)
        one = make_videos(tmp_path / "one", red=80)
        assert f"{one} has videos of one class only, ['red']" in fails("train", one, "--to", to)
        assert "0 ü.mp4 lies in no class's sub-folder" in fails("train", one / "red", "--to", to)
        (one / "blue").mkdir()
        (one / "red" / "0 ü.mp4").rename(one / "blue" / "alone.mp4")
        error = fails("train", one, "--to", to)
        assert f"Class 'blue' has videos of 1 group (such as {one / 'blue' / 'alone.mp4'})" in error
        assert not to.exists()

    def test_nothing_can_be_read(self, fails, tmp_path):
        folder = make_videos(tmp_path / "broken", red=80, blue=10)
        for path in folder.rglob("*.mp4"):
            path.write_bytes(b"")
        error = fails("train", folder, "--to", tmp_path / "model")
        assert "videos cannot be read, more than the share of 0.05" in error
        assert "the first: " in error
        assert "the file is empty (0 bytes); download or copy it again" in error

    def test_no_place_to_write_to(self, fails, videos):
        a_file = next(videos.rglob("*.mp4"))
        error = fails("train", videos, "--to", a_file / "model")
        assert f"{a_file / 'model'} cannot be written (Not a directory): name another folder." in error


class TestPredict:
    def test_table(self, run, trained, videos):
        paths = sorted(videos.rglob("3*.mp4"))
        code, output, error = run("predict", trained[0], *paths)
        assert (code, error) == (0, "")
        rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]
        assert [row[0] for row in rows] == [str(path) for path in paths]
        assert {row[1] for row in rows} <= {"dunkel", "grün"}
        assert all(0.5 <= float(row[2]) <= 1 for row in rows)

    def test_json(self, run, trained, videos):
        paths = sorted(videos.rglob("*.mp4"))
        code, output, error = run("predict", trained[0], *paths, "--json")
        assert (code, error) == (0, "")
        predictions = [json.loads(line) for line in output.splitlines()]
        assert [prediction["path"] for prediction in predictions] == [str(path) for path in paths]
        for prediction in predictions:
            assert set(prediction) == {"path", "label", "probabilities"}
            assert prediction["label"] == max(prediction["probabilities"], key=prediction["probabilities"].get)
            assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)

    def test_unreadable_videos_are_told_and_the_others_predicted(self, run, trained, videos, tmp_path):
        bad, good = tmp_path / "[kaputt] ü.mp4", next(videos.rglob("*.mp4"))
        bad.write_bytes(b"")
        code, output, error = run("predict", trained[0], bad, good)
        assert code == 2
        assert "[kaputt] ü.mp4" in output
        assert "cannot be read" in output
        assert good.name in output
        assert error == f"{bad}: the file is empty (0 bytes); download or copy it again\n"
        code, output, error = run("predict", "--json", trained[0], bad, good)
        assert code == 2
        first, second = (json.loads(line) for line in output.splitlines())
        assert first["label"] is None
        assert first["probabilities"] == {}
        assert first["error"].startswith("the file is empty")
        assert second["label"] in ("dunkel", "grün")
        assert error.startswith(str(bad))

    def test_long_paths_are_not_cut(self, run, trained, videos, tmp_path):
        path = tmp_path / f"{'x' * 150}.mp4"
        shutil.copy(next(videos.rglob("*.mp4")), path)
        assert str(path) in run("predict", trained[0], path)[1]

    def test_no_model(self, fails, videos, tmp_path):
        assert f"{tmp_path} holds no model" in fails("predict", tmp_path, "a.mp4")
        assert f"{tmp_path / 'gone'} holds no model" in fails("predict", tmp_path / "gone", "a.mp4")


class TestEvaluateAndExport:
    def test_evaluate(self, run, trained, videos, tmp_path):
        code, output, error = run("evaluate", trained[0], videos, "--to", tmp_path / "report")
        assert (code, error) == (0, "")
        assert output.startswith("accuracy ")
        assert output.endswith(f"on 12 videos; report: {tmp_path / 'report' / 'report.md'}\n")
        metrics = json.loads((tmp_path / "report" / "report.json").read_text())["metrics"]
        assert f"accuracy {metrics['accuracy']:.3f} (95 % interval" in output

    def test_evaluate_writes_beside_the_model_by_default(self, run, trained, videos):
        report = trained[0] / "report-meine Videos" / "report.md"
        assert run("evaluate", trained[0], videos)[1].endswith(f"report: {report}\n")
        assert report.is_file()
        shutil.rmtree(report.parent)

    def test_export_writes_the_next_version(self, run, trained, videos, tmp_path):
        for version in ("1", "2"):
            code, out, err = run(
                "export", trained[0], "--to", tmp_path / "served", "--videos", *sorted(videos.rglob("*.mp4"))[:2]
            )
            assert (code, out) == (0, f"{tmp_path / 'served' / version}\n")
            assert f"served, version {version}" in err
            card = tmp_path / "served" / version / "assets.extra" / "model_card.md"
            assert card.read_text(encoding="utf-8") == (trained[0] / "model_card.md").read_text(encoding="utf-8")
        video = next(videos.rglob("*.mp4"))
        lines = [run("predict", model, video, "--json")[1] for model in (trained[0], tmp_path / "served")]
        first, second = (json.loads(line)["probabilities"] for line in lines)
        assert first == pytest.approx(second, abs=1e-5)

    def test_errors(self, fails, trained, videos, tmp_path):
        for command, *others in (("evaluate", videos), ("export", "--to", tmp_path / "x")):
            assert "gone" in fails(command, tmp_path / "gone", *others)
        unknown = make_videos(tmp_path / "others", red=80, blue=10)
        assert "has the classes ['blue', 'red'], which the model does not know" in fails(
            "evaluate", trained[0], unknown
        )
        a_file = next(videos.rglob("*.mp4"))
        assert str(a_file) in fails("export", trained[0], "--to", a_file / "x")
        assert str(a_file) in fails("evaluate", trained[0], videos, "--to", a_file / "x")


class TestCheck:
    def test_good(self, run, videos):
        assert run("check", videos) == (0, "12 of 12 videos can be read to their end.\n", "")

    def test_bad(self, run, tmp_path):
        folder = make_videos(tmp_path / "videos", red=80)
        (folder / "red" / "kaputt ü.mp4").touch()
        code, output, error = run("check", folder)
        assert (code, error) == (1, "")
        assert output.splitlines() == [
            f"{folder / 'red' / 'kaputt ü.mp4'}: the file is empty (0 bytes); download or copy it again",
            "6 of 7 videos can be read to their end.",
        ]

    def test_a_list_to_print_and_to_train_with(self, run, tmp_path):
        folder = make_videos(tmp_path / "videos", red=80)
        broken = folder / "red" / "kaputt ü.mp4"
        broken.touch()
        code, _, _ = run("check", folder, "--to", tmp_path / "faults.jsonl")
        assert code == 1
        code, output, error = run("check", tmp_path / "faults.jsonl")
        assert (code, error) == (1, "")
        first, last = output.splitlines()
        assert first.endswith(f"  {broken}: the file is empty (0 bytes); download or copy it again")
        assert last == "1 videos could not be read and have not changed since."
        broken.write_bytes(b"changed")
        assert run("check", tmp_path / "faults.jsonl")[:2] == (
            0,
            "0 videos could not be read and have not changed since.\n",
        )

    def test_a_manifest(self, run, tmp_path):
        folder = make_videos(tmp_path / "videos", red=80)
        names = sorted(path.name for path in (folder / "red").iterdir())[:2]
        (folder / "clips.csv").write_text("path,start\n" + "".join(f"red/{name},0.1\n" for name in names * 2))
        assert run("check", folder / "clips.csv") == (0, "2 of 2 videos can be read to their end.\n", "")

    def test_errors(self, fails, tmp_path):
        assert f"{tmp_path} holds no videos" in fails("check", tmp_path)
        assert "there is no list of faults " in fails("check", tmp_path / "gone.jsonl")
        assert "nowhere is not a folder" in fails("check", tmp_path / "nowhere")

    @pytest.mark.real_data
    def test_real_damage(self, run, real_data):
        code, output, error = run("check", real_data / "broken")
        *faults, last = output.splitlines()
        assert (code, error) == (1, "")
        assert last == f"{8 - len(faults)} of 8 videos can be read to their end."
        assert any("empty.mp4: the file is empty" in fault for fault in faults)
        assert any("not_a_video.mp4: FFmpeg cannot read it" in fault for fault in faults)


def test_interrupted(run, tmp_path, monkeypatch):
    from sora_keras.apps import check

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "check_videos", interrupt)
    assert run("check", tmp_path) == (130, "", "sora-keras check: interrupted.\n")


class TestConsoleScript:
    """As a user runs it: nothing but the answer, TensorFlow's own messages kept away."""

    @staticmethod
    def call(*arguments):
        script = Path(sys.executable).parent / "sora-keras"
        if not script.exists():
            pytest.skip("the package is not installed beside this Python")
        command = [str(script), *(str(argument) for argument in arguments)]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)

    def test_check(self, videos):
        done = self.call("check", videos)
        assert (done.returncode, done.stdout, done.stderr) == (0, "12 of 12 videos can be read to their end.\n", "")

    def test_predict(self, trained, videos, tmp_path):
        done = self.call("predict", "--json", trained[0], next(videos.rglob("*.mp4")), tmp_path / "gone ü.mp4")
        assert done.returncode == 2
        assert [set(json.loads(line)) >= {"path", "label"} for line in done.stdout.splitlines()] == [True, True]
        assert done.stderr.startswith(f"{tmp_path / 'gone ü.mp4'}: there is no such file")
        assert done.stderr.count("\n") == 1

    def test_an_error(self, tmp_path):
        done = self.call("train", tmp_path, "--to", tmp_path / "model")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"sora-keras train: {tmp_path} holds no videos")
        assert done.stderr.count("\n") == 1


class TestAudit:
    @pytest.fixture
    def manifest(self, tmp_path):
        """A clean split of gray videos that differ."""
        folder = tmp_path / "videos"
        folder.mkdir()
        rng = np.random.default_rng(0)
        lines = ["path,split,group"]
        for index in range(4):
            frames = np.repeat(np.repeat(rng.integers(0, 255, (6, 6, 8, 3), np.uint8), 8, axis=1), 8, axis=2)
            write_video(folder / f"{index} ü.mp4", frames, frames_per_second=8.0)
            lines.append(f"{index} ü.mp4,{'train' if index < 3 else 'test'},{index}")
        (folder / "clips.csv").write_text("\n".join(lines), encoding="utf-8")
        return folder / "clips.csv"

    def test_clean(self, run, manifest, tmp_path):
        code, output, error = run("audit", manifest, "--to", tmp_path / "audit")
        assert (code, error) == (0, "")
        assert output == "4 rows, split into train 3, test 1: nothing leaks.\n"
        assert (tmp_path / "audit" / "audit.jsonl").read_text() == ""

    def test_leaks(self, run, manifest, tmp_path):
        shutil.copy(manifest.parent / "1 ü.mp4", manifest.parent / "again.mp4")
        with open(manifest, "a", encoding="utf-8") as file:
            file.write("\nagain.mp4,test,7\n")
        code, output, error = run("audit", manifest, "--to", tmp_path / "audit")
        assert (code, error) == (1, "")
        first, summary = output.splitlines()
        assert first.startswith("leak: same file: ")
        assert "again.mp4" in first
        assert summary.startswith("5 rows, split into train 3, test 2: leak: same file 1")
        [line] = (tmp_path / "audit" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
        assert json.loads(line)["kind"] == "same file"
        assert (tmp_path / "audit" / "leaks.jpg").stat().st_size > 1000

    def test_errors(self, fails, tmp_path):
        assert "nowhere.csv is not a folder" in fails("audit", tmp_path / "nowhere.csv")


class TestDataService:
    def test_a_worker_without_a_dispatcher(self, fails):
        assert "a worker needs the address of its dispatcher: --dispatcher HOST:PORT." in fails(
            "data-service", "worker"
        )

    def test_decodes_for_another_process(self, videos):
        command = [sys.executable, "-m", "sora_keras.cli", "data-service"]
        with contextlib.ExitStack() as processes:

            def start(*arguments):
                process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
                processes.enter_context(process)
                processes.callback(process.terminate)
                return process.stdout.readline().strip()

            address = start("dispatcher", "--port", "0")
            for _ in range(2):
                assert start("worker", "--dispatcher", address).startswith(f"worker of {address} at localhost:")
            spec = ClipSpec(4, 16, 16)
            here = video_dataset_from_directory(videos, spec, shuffle=False)
            there = video_dataset_from_directory(videos, spec, batch_size=5, service=address)
            assert there.is_shuffled
            expected = sorted(clip.tobytes() for frames, _ in here for clip in frames.numpy())
            for _ in range(2):
                assert sorted(clip.tobytes() for frames, _ in there for clip in frames.numpy()) == expected

    def test_not_with_a_cache(self, videos):
        with pytest.raises(ValueError, match=r"leave out `cache` or `service='grpc://localhost:7'`"):
            video_dataset_from_directory(videos, ClipSpec(4, 16, 16), cache=True, service="grpc://localhost:7")


class TestDownload:
    def test_errors(self, fails, tmp_path):
        error = fails("download", "ucf102", "--to", tmp_path)
        assert "There is no dataset 'ucf102' to download; there are " in error
        assert "ucf101" in error
        assert "--share takes two numbers such as 1,100, received '7'" in fails(
            "download", "mnist", "--to", tmp_path, "--share", "7"
        )
