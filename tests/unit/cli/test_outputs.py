"""Results never share a name, never take the place of an input, and have the format their ending says."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from facecraft.cli.inputs import Selection, Source
from facecraft.cli.outputs import check_report, formats_for, plan
from facecraft.imaging.codecs import OutputFormat

PNG, JPEG, WEBP = OutputFormat.PNG, OutputFormat.JPEG, OutputFormat.WEBP


def several(*names: str) -> Selection:
    sources = tuple(Source(name, Path(name), PurePath(name).parent) for name in names)
    return Selection(sources, len(sources) > 1, 0)


def planned(out: Path, *names: str) -> list[str]:
    return [target.paths[0].relative_to(out).as_posix() for target in plan(several(*names), str(out), (PNG,)).values()]


def test_inputs_that_share_a_stem_keep_their_ending(tmp_path: Path) -> None:
    assert planned(tmp_path / "out", "x.jpg", "x.png", "y.jpg") == ["x-jpg.png", "x-png.png", "y.png"]


def test_capitals_do_not_tell_names_apart(tmp_path: Path) -> None:
    assert planned(tmp_path / "out", "X.jpg", "x.jpg") == ["X-jpg.png", "x-jpg-2.png"]


def test_folders_are_mirrored(tmp_path: Path) -> None:
    assert planned(tmp_path / "out", "a/x.jpg", "b/x.jpg") == ["a/x.png", "b/x.png"]


@given(
    st.lists(
        st.from_regex(r"[a-cA-C]{1,2}(-jpg|-png)?(-2)?\.(jpg|png|JPG)", fullmatch=True),
        min_size=1,
        max_size=12,
        unique=True,
    )
)
def test_no_two_results_share_a_name(names: list[str]) -> None:
    found = planned(Path("never/made"), *names)
    assert len({name.casefold() for name in found}) == len(names)


@pytest.mark.parametrize("how", ["same", "link", "hard link", "capitals"])
def test_an_input_is_never_overwritten(tmp_path: Path, how: str) -> None:
    photo = tmp_path / "x.png"
    photo.write_bytes(b"x")
    out = tmp_path / "y.png"
    if how == "same":
        out = photo
    elif how == "link":
        out.symlink_to(photo)
    elif how == "hard link":
        os.link(photo, out)
    else:
        out = tmp_path / "X.PNG"
        if not out.exists():
            pytest.skip("this file system tells capitals apart")
    with pytest.raises(typer.BadParameter, match="would overwrite the input"):
        plan(several(str(photo)), str(out), (PNG,))
    assert photo.read_bytes() == b"x"


def test_a_folder_of_results_that_is_the_folder_of_inputs_is_fine_while_names_differ(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x")
    selection = Selection((Source("x.jpg", tmp_path / "x.jpg"),), True, 0)
    assert plan(selection, str(tmp_path), (PNG,))
    with pytest.raises(typer.BadParameter, match="would overwrite"):
        plan(selection, str(tmp_path), (JPEG,))


@pytest.mark.parametrize(
    ("out", "asked", "explicit", "expected"),
    [
        ("me.png", (PNG, JPEG), False, (PNG,)),
        ("me.JPEG", (PNG, JPEG), False, (JPEG,)),
        ("me.webp", (PNG, JPEG), False, (WEBP,)),
        ("me.png", (PNG, JPEG), True, (PNG, JPEG)),
        ("folder", (PNG, JPEG), False, (PNG, JPEG)),
        ("v1.2", (PNG,), False, (PNG,)),
        ("a.xyz/", (PNG,), False, (PNG,)),
        ("my.portraits", (PNG,), False, (PNG,)),
        ("-", (PNG, JPEG), False, (PNG,)),
        ("-", (WEBP,), True, (WEBP,)),
    ],
)
def test_the_ending_chooses_the_format_unless_formats_were_given(
    out: str, asked: tuple[OutputFormat, ...], explicit: bool, expected: tuple[OutputFormat, ...]
) -> None:
    assert formats_for(out, asked, explicit=explicit) == expected


@pytest.mark.parametrize(
    ("out", "asked", "message"),
    [
        ("me.png", (JPEG,), "does not fit"),
        ("-", (PNG, JPEG), "one format"),
        ("me.gif", (PNG,), "not written"),
        ("folder/a.xyz", (PNG,), "not written"),
        (os.devnull, (PNG,), "is no folder"),
        (__file__, (PNG,), "is no folder"),
    ],
)
def test_contradictions_are_usage_errors(out: str, asked: tuple[OutputFormat, ...], message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        formats_for(out, asked, explicit=True)


@pytest.mark.parametrize("out", ["-", "all.png"])
def test_several_pictures_need_a_folder(out: str) -> None:
    with pytest.raises(typer.BadParameter, match="name a folder"):
        plan(several("a.jpg", "b.jpg"), out, (PNG,))


def test_further_formats_stand_beside_the_named_file() -> None:
    (target,) = plan(several("x.bmp"), "out/me.jpeg", (PNG, JPEG)).values()
    assert dict(target.files) == {JPEG: Path("out/me.jpeg"), PNG: Path("out/me.png")}


def test_the_background_is_never_overwritten_either(tmp_path: Path) -> None:
    beach = tmp_path / "beach.png"
    beach.write_bytes(b"x")
    with pytest.raises(typer.BadParameter, match="overwrite"):
        plan(several("me.jpg"), str(beach), (PNG,), besides=[beach])


@pytest.mark.parametrize("victim", ["me.png", "beach.jpg", "out/result.png", "out/result.jpg", "link.json"])
def test_a_report_takes_the_place_of_nothing(tmp_path: Path, victim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photo, beach = Path("me.png"), Path("beach.jpg")
    for path in (photo, beach):
        path.write_bytes(b"x")
    Path("link.json").symlink_to(photo)
    with pytest.raises(typer.BadParameter, match="would overwrite") as caught:
        plan(several("me.png"), "out/result.png", (PNG, JPEG), besides=[beach], report=tmp_path / victim)
    assert caught.value.param_hint == "--report"


def test_a_report_of_its_own_is_fine_and_a_folder_is_none(tmp_path: Path) -> None:
    assert plan(several("me.png"), str(tmp_path / "a.png"), (PNG,), report=tmp_path / "a.json")
    check_report(None, several("me.png"))
    with pytest.raises(typer.BadParameter, match="name a file"):
        check_report(tmp_path, several("me.png"))
