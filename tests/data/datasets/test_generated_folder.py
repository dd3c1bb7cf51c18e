from __future__ import annotations

import pytest

from sora_keras.data.datasets.generated_folder import generated_folder


def is_made(folder):
    return (folder / "done.txt").is_file()


def write(folder):
    (folder / "done.txt").write_text("done")


def test_written_once(tmp_path):
    calls = []

    def write_and_count(folder):
        calls.append(folder)
        write(folder)

    for _ in range(2):
        assert generated_folder(tmp_path / "a" / "b", "numbers", is_made, write_and_count) == tmp_path / "a" / "b"
    assert len(calls) == 1
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["b", "done.txt"]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o755 == 0o755


def test_by_default_in_the_cache_of_keras(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert generated_folder(None, "numbers", is_made, write) == tmp_path / "datasets" / "sora_keras" / "numbers"


def test_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=rf"{tmp_path} holds something other than numbers: remove it"):
        generated_folder(tmp_path, "numbers", is_made, write)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("No space left on device")])
def test_a_failure_leaves_nothing(tmp_path, error):
    def fail(folder):
        write(folder)
        raise error

    with pytest.raises((KeyboardInterrupt, OSError)):
        generated_folder(tmp_path / "a", "numbers", is_made, fail)
    assert list(tmp_path.iterdir()) == []


def test_made_by_another_process_meanwhile(tmp_path):
    def write_beside_another(folder):
        write(folder)
        (tmp_path / "a").mkdir()
        write(tmp_path / "a")

    assert is_made(generated_folder(tmp_path / "a", "numbers", is_made, write_beside_another))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
