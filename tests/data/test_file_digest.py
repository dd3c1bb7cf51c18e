import hashlib

from sora_keras.data.file_digest import file_digest


def test_digest_of_a_file_of_several_pieces(tmp_path):
    content = bytes(range(256)) * 8191 + b"end"
    (tmp_path / "file").write_bytes(content)
    assert file_digest(str(tmp_path / "file")) == hashlib.sha256(content).hexdigest()


def test_what_cannot_be_read_has_none(tmp_path):
    assert file_digest(str(tmp_path / "absent")) is None
    assert file_digest(str(tmp_path)) is None
