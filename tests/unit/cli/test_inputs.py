"""Words on the command line become pictures: files, folders, patterns."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from facecraft.cli.inputs import Selection, select
from facecraft.imaging.image import Limits


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "trip/c.webp", "trip/deep/d.heic"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def chosen(words: list[str], **how: object) -> Selection:
    return select(words, Limits(), **{"recursive": False, **how})  # type: ignore[arg-type]


def names(selection: Selection) -> list[str]:
    return [source.path.name for source in selection.sources if source.path]


def test_a_folder_gives_its_pictures_sorted_and_counts_the_rest(album: Path) -> None:
    selection = chosen([str(album)])
    assert names(selection) == ["a.PNG", "b.jpg"]
    assert selection.ignored == 1
    assert selection.many


def test_folders_of_a_folder_only_when_asked_and_their_place_is_kept(album: Path) -> None:
    selection = chosen([str(album)], recursive=True)
    assert names(selection) == ["a.PNG", "b.jpg", "c.webp", "d.heic"]
    assert [source.folder.as_posix() for source in selection.sources] == [".", ".", "trip", "trip/deep"]


def test_results_of_an_earlier_run_are_no_inputs(album: Path) -> None:
    assert names(chosen([str(album)], recursive=True, without=album / "trip")) == ["a.PNG", "b.jpg"]
    assert names(chosen([str(album)], without=album)) == ["a.PNG", "b.jpg"]


def test_a_pattern_is_expanded_and_each_picture_counts_once(album: Path) -> None:
    selection = chosen([str(album / "*.jpg"), str(album / "b.jpg"), str(album / "**" / "*.webp")])
    assert names(selection) == ["b.jpg", "c.webp"]


def test_one_file_is_one_picture_whatever_its_ending(album: Path) -> None:
    selection = chosen([str(album / "notes.txt")])
    assert not selection.many
    assert names(selection) == ["notes.txt"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].jpg").write_bytes(b"x")
    assert names(chosen([str(tmp_path / "a[1].jpg")])) == ["a[1].jpg"]


@pytest.mark.parametrize("word", ["empty", "*.gif"])
def test_nothing_found_is_a_usage_error(album: Path, word: str) -> None:
    (album / "empty").mkdir()
    with pytest.raises(typer.BadParameter, match=r"no pictures|nothing matches"):
        chosen([str(album / word)])


def test_a_name_that_is_too_long_is_left_to_the_reader() -> None:
    assert len(chosen(["x" * 5000]).sources) == 1
