"""Files are whole or absent, also when writing them goes wrong."""

from pathlib import Path

import pytest

from convttlstm.files import UserError, atomic_path, read_json, write_json


def test_an_error_while_writing_keeps_the_earlier_file(tmp_path: Path):
    path = tmp_path / "value.json"
    write_json(path, 1)
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("value.json", "1\n")]


def test_a_full_device_gives_one_line_with_a_remedy(tmp_path: Path):
    """/dev/full answers every write as a full disk does."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, which Linux has")
    path = tmp_path / "value.json"
    with pytest.raises(UserError) as error, atomic_path(path):
        Path("/dev/full").write_text("x")
    assert str(error.value) == (
        f"{path}: cannot be written (No space left on device); an earlier version is unchanged, "
        "free space and run the same command again"
    )
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/value\.json: cannot be written"):
        write_json(tmp_path / "file" / "value.json", 1)


@pytest.mark.parametrize("content", ["{", ""])
def test_damaged_and_missing_json_is_refused(tmp_path: Path, content: str):
    (tmp_path / "value.json").write_text(content)
    with pytest.raises(UserError, match="not valid JSON"):
        read_json(tmp_path / "value.json")
    with pytest.raises(UserError, match="no such file"):
        read_json(tmp_path / "other.json")
