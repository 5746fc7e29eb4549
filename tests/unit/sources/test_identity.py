from __future__ import annotations

from puncta.sources.identity import fingerprint


def test_equal_names_of_different_files_are_different_sources(tmp_path):
    for folder, content in (("a", b"one"), ("b", b"two"), ("c", b"one")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "IM0001.dcm").write_bytes(content)
    first, second, third = (fingerprint(str(tmp_path / f / "IM0001.dcm")) for f in "abc")
    assert first != second
    assert first == third, "a copy is the same source"


def test_the_end_of_a_long_file_counts(tmp_path):
    files = [tmp_path / "x.mp4", tmp_path / "y.mp4"]
    for number, file in enumerate(files):
        file.write_bytes(bytes(300_000) + bytes([number]))
    assert fingerprint(str(files[0])) != fingerprint(str(files[1]))


def test_what_is_no_file_is_its_address(tmp_path):
    assert fingerprint("sim:breast?seed=1") == "sim:breast?seed=1"
    assert fingerprint(str(tmp_path / "gone.mp4")) == str(tmp_path / "gone.mp4")
