"""The catalogue that ships, and what a catalogue refuses."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.sources import PypiSource, UrlSource, WheelTags
from facecraft.catalog.spec import Runtime, Task
from facecraft.errors import ConfigurationError, UnknownModelError

STARTER = {
    "blazeface_short", "blazeface_full_sparse", "mp_face_landmark_468", "mp_iris", "mp_selfie", "mp_selfie_landscape",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


def model(name: str, **changes: object) -> str:
    entry: dict[str, object] = {
        "id": f'"{name}"', "task": '"matting"', "architecture": '"toy"', "file": f'"{name}.onnx"',
        "sha256": f'"{name[0].encode().hex() * 32}"', "evidence": '"local"', "license": '"MIT"', "commercial": "true",
        "risk": '"low"', "runtime": '"onnxruntime"', "sources": f'["https://example.org/{name}.onnx"]',
    }  # fmt: skip
    entry |= changes
    return "[[model]]\n" + "".join(f"{key} = {value}\n" for key, value in entry.items() if value is not None)


def test_holds_every_network_and_the_detector_inside_dlib(catalog: Catalog) -> None:
    assert len(catalog) == 102
    assert Counter(spec.task for spec in catalog)[Task.FACE_DETECTION] == 19
    hog = catalog.get("dlib_hog")
    assert hog.builtin
    assert hog.runtime is Runtime.DLIB
    assert not hog.sources


def test_starter_needs_nothing_but_one_package_and_no_restricted_licence(catalog: Catalog) -> None:
    starter = catalog.pack("starter")
    assert {spec.id for spec in starter} == STARTER
    first = [spec.parsed_sources[0] for spec in starter]
    assert {source.origin for source in first} == {"pypi:mediapipe==0.10.21"}
    assert all(spec.commercial and spec.evidence == "local" for spec in starter)
    assert sum(spec.bytes or 0 for spec in starter) < 6_000_000


def test_standard_pack_is_commercially_usable(catalog: Catalog) -> None:
    assert all(spec.commercial for name in ("standard", "standard-extra") for spec in catalog.pack(name))


@pytest.mark.parametrize("pack", ["starter", "standard", "research"])
def test_packs_and_what_they_require_install_unattended(catalog: Catalog, pack: str) -> None:
    specs = catalog.with_requirements(catalog.pack(pack))
    assert [spec.id for spec in specs if not spec.installable] == []
    assert [spec.id for spec in specs if spec.runtime is Runtime.MEDIAPIPE_ONLY] == []


def test_every_model_that_can_be_installed_serves_auto_or_says_why_not(catalog: Catalog) -> None:
    listed = {spec.id for task in Task for spec in catalog.auto(task)}
    left_out = {spec.id for spec in catalog if spec.installable and spec.task is not Task.BUNDLE} - listed
    packs = {spec.id for spec in catalog if spec.runtime is Runtime.INSPIREFACE}
    # They need operators nobody has, describe an eye instead of a face, embed into a space of their own, or are packs
    # of another library, of which a process can hold one only.
    assert left_out == {"mp_face_landmark_attention", "mp_iris", "ghost_arcface_backbone"} | packs


def test_auto_prefers_better_networks(catalog: Catalog) -> None:
    order = [spec.id for spec in catalog.auto(Task.FACE_DETECTION)]
    wanted = ["scrfd_det_10g", "yunet_n_dynamic", "yunet_2023mar", "blazeface_full_sparse", "dlib_hog"]
    assert [order.index(name) for name in wanted] == sorted(order.index(name) for name in wanted)
    assert [spec.id for spec in catalog.auto(Task.MATTING)][-1] == "mp_selfie_landscape"


def test_plain_http_only_where_the_checksum_was_computed_here(catalog: Catalog) -> None:
    plain = [spec for spec in catalog for source in spec.sources if source.startswith("http://")]
    assert plain
    assert all(spec.sha256 and spec.evidence == "local" for spec in plain)


def test_every_package_is_pinned_and_every_zip_names_its_member(catalog: Catalog) -> None:
    for spec in catalog:
        for source in spec.parsed_sources:
            if isinstance(source, PypiSource):
                pin = catalog.archive(source)
                assert pin is not None, spec.id
                assert pin.bytes, spec.id
            elif source.url.endswith(".zip") and spec.task is not Task.BUNDLE:
                assert source.member, spec.id


def test_zip_of_a_bundle_is_checked_against_the_bundle(catalog: Catalog) -> None:
    source = catalog.get("arcface_w600k_r50").parsed_sources[0]
    assert isinstance(source, UrlSource)
    pin = catalog.archive(source)
    assert pin is not None
    assert (pin.sha256, pin.bytes) == (catalog.get("buffalo_l_zip").sha256, 288_621_354)


def test_blazeface_networks_name_each_other(catalog: Catalog) -> None:
    for name in ("blazeface_short", "blazeface_full_sparse"):
        companion = str(catalog.get(name).parameters["companion"])
        assert catalog.get(companion).parameters["companion"] == name


def test_unknown_model_suggests_the_nearest(catalog: Catalog) -> None:
    with pytest.raises(UnknownModelError) as caught:
        catalog.get("yunet-2023mar")
    assert "yunet_2023mar" in (caught.value.hint or "")
    with pytest.raises(UnknownModelError) as caught:
        catalog.get("../../etc/passwd")
    assert caught.value.hint == "See `facecraft models list`."


def test_unknown_pack_lists_the_packs(catalog: Catalog) -> None:
    with pytest.raises(UnknownModelError) as caught:
        catalog.pack("deluxe")
    assert "starter" in (caught.value.hint or "")


def test_resolve_takes_packs_and_ids_once_in_order(catalog: Catalog) -> None:
    found = [spec.id for spec in catalog.resolve(["dlib_5", "starter", "mp_selfie"])]
    assert found[0] == "dlib_5"
    assert set(found) == STARTER | {"dlib_5"}
    assert len(found) == len(set(found))


def test_requirements_come_first(catalog: Catalog) -> None:
    found = [spec.id for spec in catalog.with_requirements([catalog.get("inswapper_128")])]
    assert found == ["arcface_w600k_r50", "inswapper_128"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (model("a") + model("a", file='"other.onnx"'), "a is listed twice"),
        (model("a", file='"One.onnx"') + model("b", file='"one.onnx"'), "share the file one.onnx"),
        (model("a", requires='["ghost"]'), "requires the unknown ghost"),
        (model("a", requires='["b"]') + model("b", requires='["a"]'), "requires itself by way of others"),
        (model("a", sources='["pypi:toy==1.0#a.onnx"]'), "no pinned checksum"),
        (model("a") + 'matting = ["b"]\n', None),
        ('face_swap = ["a"]\n' + model("a"), "cannot serve it"),
        ('matting = ["a", "a"]\n' + model("a"), "lists a twice"),
        ('matting = ["z"]\n' + model("a"), "unknown z"),
    ],
)
def test_contradictions_are_refused(text: str, complaint: str | None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Catalog.from_toml([text])
    if complaint is not None:
        assert complaint in caught.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": '"ABC"'}, {"sha256": f'"{"A" * 64}"'}, {"task": '"cooking"'}, {"runtime": '"torch"'},
        {"file": '"../up.onnx"'}, {"file": '"a/b.onnx"'}, {"file": r'"a\\b.onnx"'}, {"file": '"nul.onnx"'},
        {"file": '".verified.json"'}, {"evidence": None}, {"sources": "[]"}, {"sources": '["ftp://example.org/a"]'},
        {"sources": '["file:///etc/passwd"]'}, {"sources": '["https://example.org/a.zip"]'}, {"bytes": "0"},
        {"sources": '["https://example.org/a.zip#../a"]'}, {"sources": '["https://example.org/a.onnx#member"]'},
        {"sources": '["pypi:toy#a"]'}, {"sources": '["pypi:toy==1.0"]'}, {"surprise": "1"}, {"id": '"A B"'},
    ],
)  # fmt: skip
def test_bad_entries_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Catalog.from_toml([model("a", **changes)])


def test_bzip2_is_known_by_the_name_of_the_model(catalog: Catalog) -> None:
    packed = [source for source in catalog.get("dlib_5").parsed_sources if isinstance(source, UrlSource)]
    assert [source.packed for source in packed] == [True]


def test_wheel_tags_are_what_pip_wants_to_hear() -> None:
    tags = WheelTags.of("mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl")
    assert tags == WheelTags("3.11", "cp311", "manylinux_2_28_x86_64")
    assert WheelTags.of("toy-1.0-py3-none-any.whl") == WheelTags("3", "none", "any")
    assert WheelTags.of("toy-1.0.tar.gz") is None


def test_catalogue_order_is_stable() -> None:
    loaded = [[spec.id for spec in Catalog.load()] for _ in range(2)]
    assert all(first == second for first, second in pairwise(loaded))
