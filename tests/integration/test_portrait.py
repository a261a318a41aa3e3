"""The main job on a real photo with the real starter networks."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from facecraft import (
    CutoutPresetOptions,
    Image,
    NoFaceFoundError,
    PortraitOptions,
    Studio,
)
from facecraft.errors import (
    AmbiguousFaceError,
    FaceIndexError,
    ImageDecodeError,
    InvalidOptionError,
    ModelNotInstalledError,
)
from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.resample import warp


def _turned(image: Image, degrees: float, scale: float = 1.0, size: Size = Size(800, 700)) -> Image:  # noqa: B008
    center = ((image.width - 1) / 2, (image.height - 1) / 2)
    target = ((size.width - 1) / 2, (size.height - 1) / 2)
    turn = Transform.similarity(scale=scale, degrees=degrees, source=center, target=target)
    return Image(warp(image.rgb, turn, size).pixels)


def _eyes(studio: Studio, png: bytes) -> tuple[float, float, float]:
    """Tilt in degrees, offset from the axis as a fraction of the width, eye distance in pixels, as found again."""
    picture = PilImage.open(io.BytesIO(png)).convert("RGBA")
    flat = PilImage.new("RGBA", picture.size, "gray")
    flat.alpha_composite(picture)
    (face,) = studio.detect(np.asarray(flat.convert("RGB"))).faces
    left, right = np.array(face.landmarks[0]), np.array(face.landmarks[1])
    return (
        face.roll,
        float((left + right)[0] / 2 - (picture.width - 1) / 2) / picture.width,
        float(np.hypot(*(right - left))),
    )


def test_a_portrait_has_its_files_and_a_full_report(studio: Studio, astronaut: Image, tmp_path: Path) -> None:
    result = studio.portrait(astronaut).save(tmp_path / "me")
    with PilImage.open(tmp_path / "me.png") as png, PilImage.open(tmp_path / "me.jpg") as jpeg:
        assert (png.size, png.mode) == ((648, 648), "RGBA")
        assert (jpeg.size, jpeg.mode) == ((648, 648), "RGB")
    assert (tmp_path / "me.jpg").stat().st_size <= 99 * 1024
    report = result.report
    assert [stage.stage for stage in report.stages] == [
        "decode", "detect", "restore", "crop", "cutout", "background", "tone", "shape", "encode",
    ]  # fmt: skip
    assert {"face_detection", "face_landmarks", "matting"} <= set(report.models)
    assert [face.chosen for face in report.faces] == [True]
    assert report.transform is not None
    assert [Path(output.path or "").name for output in report.outputs] == ["me.png", "me.jpg"]
    assert [output.bytes for output in report.outputs] == [
        (tmp_path / name).stat().st_size for name in ("me.png", "me.jpg")
    ]


def test_restoration_without_a_model_is_skipped_and_says_how_to_get_one(studio: Studio, astronaut: Image) -> None:
    report = studio.portrait(astronaut).report
    assert "facecraft models install" in report.skipped["restore"]
    with pytest.raises(ModelNotInstalledError) as caught:
        studio.portrait(astronaut, PortraitOptions(restorer="ff_restoreformer_pp"))
    assert caught.value.hint == "facecraft models install ff_restoreformer_pp"


@pytest.mark.parametrize("degrees", [0, -18, 25, 90, 180, 270])
def test_eyes_are_level_and_the_face_stands_on_the_axis(studio: Studio, astronaut: Image, degrees: float) -> None:
    result = studio.portrait(_turned(astronaut, degrees), PortraitOptions(shape="none", formats="png"))
    tilt, offset, distance = _eyes(studio, result["png"])
    assert abs(tilt) < 1.5
    assert abs(offset) < 0.03
    assert distance == pytest.approx(118, rel=0.08)


def test_the_head_has_one_size_however_large_it_was(studio: Studio, astronaut: Image) -> None:
    options = PortraitOptions(shape="none", formats="png")
    sizes = [
        _eyes(studio, studio.portrait(_turned(astronaut, 0, scale, Size(1000, 900)), options)["png"])[2]
        for scale in (0.4, 1.0, 3.0)
    ]
    assert max(sizes) / min(sizes) < 1.08


def test_a_face_at_the_border_stays_in_the_middle(studio: Studio, astronaut: Image) -> None:
    cut = Image(np.ascontiguousarray(astronaut.pixels[:, 130:]))
    result = studio.portrait(cut, PortraitOptions(shape="none", formats="png"))
    _, offset, _ = _eyes(studio, result["png"])
    assert abs(offset) < 0.03


def test_all_off_leaves_the_pixels_as_the_resampling_made_them(studio: Studio, astronaut: Image) -> None:
    options = PortraitOptions(
        restore=False, exposure=0, white_balance=0, contrast=0, saturation=0, sharpen=0, denoise=0,
        background="original", shape="none", formats="png", face_margin=0.1,
    )  # fmt: skip
    result = studio.portrait(astronaut, options)
    assert result.report.transform is not None
    transform = Transform(np.array(result.report.transform.matrix))
    expected = warp(astronaut.rgb, transform, Size(648, 648)).pixels
    assert np.abs(result.image.rgb.astype(int) - expected).max() <= 1


def test_the_cut_out_is_the_persons_and_clean(studio: Studio, astronaut: Image) -> None:
    rgba = studio.portrait(astronaut, PortraitOptions(shape="none", formats="png")).image.pixels
    alpha = rgba[:, :, 3]
    assert (alpha[300:420, 270:380] == 255).all()  # the face
    assert (alpha[:60, :60] < 8).all()  # the wall beside the head
    assert not rgba[alpha == 0].any()  # nothing hidden below


def test_a_whole_photo_keeps_its_size(studio: Studio, astronaut: Image) -> None:
    result = studio.cutout(astronaut)
    picture = PilImage.open(io.BytesIO(result["png"]))
    assert picture.size == (512, 512)
    assert picture.mode == "RGBA"
    opaque = float((np.asarray(picture)[:, :, 3] > 128).mean())
    assert 0.3 < opaque < 0.75


def test_background_colors_are_red_green_blue(studio: Studio, astronaut: Image) -> None:
    result = studio.portrait(astronaut, PortraitOptions(background="red", shape="none", formats="png,jpeg"))
    for name in ("png", "jpeg"):
        corner = np.asarray(PilImage.open(io.BytesIO(result[name])).convert("RGB"))[4, 4].astype(int)
        assert np.abs(corner - (255, 0, 0)).max() < 12


def test_a_second_picture_becomes_the_background(studio: Studio, astronaut: Image) -> None:
    sky = np.full((40, 90, 3), (10, 90, 220), np.uint8)
    options = PortraitOptions(background="image", shape="none", formats="png")
    result = studio.portrait(astronaut, options, background=sky)
    assert np.abs(result.image.rgb[4, 4].astype(int) - (10, 90, 220)).max() <= 2
    with pytest.raises(InvalidOptionError):
        studio.portrait(astronaut, options)


def test_a_picture_without_a_face(studio: Studio) -> None:
    wall = np.full((400, 300, 3), 200, np.uint8)
    with pytest.raises(NoFaceFoundError):
        studio.portrait(wall)
    assert studio.detect(wall).faces == ()
    assert studio.cutout(wall).image.has_alpha


def test_the_policy_for_several_faces_is_never_silent(studio: Studio, astronaut: Image) -> None:
    pair = np.hstack([astronaut.rgb, astronaut.rgb])
    assert len(studio.detect(pair).faces) == 2
    report = studio.portrait(pair, PortraitOptions(faces="index", face_index=1)).report
    assert [face.chosen for face in report.faces] == [False, True]
    with pytest.raises(AmbiguousFaceError):
        studio.portrait(pair, PortraitOptions(faces="only"))
    with pytest.raises(FaceIndexError):
        studio.portrait(pair, PortraitOptions(faces="index", face_index=2))


def test_pictures_come_in_many_forms(studio: Studio, astronaut: Image, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    PilImage.fromarray(astronaut.rgb).save(path)
    with PilImage.open(path) as opened:
        opened.load()
    forms = [astronaut, astronaut.pixels, path, str(path), path.read_bytes(), opened]
    boxes = {studio.detect(form).faces[0].box for form in forms}  # type: ignore[arg-type]
    assert len(boxes) == 1


def test_the_same_photo_gives_the_same_bytes(studio: Studio, astronaut: Image) -> None:
    first, second = studio.portrait(astronaut), studio.portrait(astronaut)
    assert first["png"] == second["png"]
    assert first["jpeg"] == second["jpeg"]


def test_real_photos_of_several_people(studio: Studio, shared_photos: Path) -> None:
    report = studio.portrait(shared_photos / "obama_and_biden.jpg", PortraitOptions(faces="central")).report
    assert len(report.faces) >= 2
    assert sum(face.chosen for face in report.faces) == 1


def test_the_source_is_described_without_its_secrets(studio: Studio, shared_photos: Path) -> None:
    report = studio.detect(shared_photos / "obama.jpg")
    assert (report.source.format, report.source.width, report.source.height) == ("jpeg", 910, 1137)


def test_cutout_options_are_their_own(studio: Studio, astronaut: Image) -> None:
    fast = studio.cutout(astronaut, CutoutPresetOptions(refine="fast", formats="webp"))
    assert fast.outputs[0].data[8:12] == b"WEBP"
    assert replace(fast, outputs=()).report.models["matting"]


def test_what_the_sender_made_transparent_stays_hidden(studio: Studio, astronaut: Image) -> None:
    alpha = np.full((512, 512), 255, np.uint8)
    alpha[:, :190] = 0  # cuts into the hair
    hidden = np.dstack([astronaut.rgb, alpha])
    whole = studio.cutout(hidden).image.pixels
    assert not whole[:, :190].any()
    assert whole[60:130, 215:240, 3].min() > 200
    portrait = studio.portrait(hidden, PortraitOptions(shape="none", formats="png"))
    assert portrait.report.transform is not None
    edge = Transform(np.array(portrait.report.transform.matrix))(np.array([[185.0, 110.0]]))[0]
    assert not portrait.image.pixels[int(edge[1]), : int(edge[0]) - 2].any()


def test_all_faces_are_framed_together(studio: Studio, astronaut: Image) -> None:
    pair = np.hstack([astronaut.rgb, astronaut.rgb])
    result = studio.portrait(pair, PortraitOptions(faces="all", shape="none", background="original", formats="png"))
    found = studio.detect(np.ascontiguousarray(result.image.rgb)).faces
    assert len(found) == 2
    assert all(face.box.x > 0 and face.box.x + face.box.width < 648 for face in found)


def test_beyond_the_photo_nothing_is_made_up(studio: Studio, astronaut: Image) -> None:
    options = PortraitOptions(background="original", shape="none", formats="png", face_margin=1.0)
    result = studio.portrait(np.ascontiguousarray(astronaut.rgb[:, 130:]), options)
    pixels = result.image.pixels
    assert not pixels[300, 2].any()
    assert pixels[300, 400, 3] == 255
    assert any("ends inside the frame" in warning for warning in result.report.warnings)


def test_a_cut_out_of_no_person_says_so(studio: Studio) -> None:
    wall = np.full((300, 400, 3), 180, np.uint8)
    assert any("No face" in warning for warning in studio.cutout(wall).report.warnings)


def test_arrays_and_pillow_pictures_of_any_mode(studio: Studio, astronaut: Image) -> None:
    picture = PilImage.fromarray(astronaut.rgb)
    forms = [picture.convert(mode) for mode in ("L", "LA", "P", "CMYK", "RGBA", "1")]
    for form in (*forms, np.asarray(picture.convert("L"))):
        assert studio.read(form).pixels.shape == (512, 512, 3)
    turned = picture.transpose(PilImage.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    assert np.abs(studio.read(turned).rgb.astype(int) - astronaut.rgb).max() <= 1
    for wrong in (np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), ["nothing", "here"]):
        with pytest.raises(ImageDecodeError):
            studio.read(wrong)  # type: ignore[arg-type]


def test_a_result_is_short_when_printed(studio: Studio, astronaut: Image) -> None:
    assert len(repr(studio.portrait(astronaut))) < 200
