"""The command line as a user has it: real processes, real networks where they are installed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as PilImage

from facecraft.cli.app import COMMANDS, EXIT_CODES, load, run
from facecraft.cli.sample import sample
from facecraft.errors import Kind
from facecraft.pipelines.presets import PRESETS
from facecraft.pipelines.report import Report

STARTER = ("face_detection_short_range.tflite", "selfie_segmentation.tflite")
FACECRAFT = [sys.executable, "-m", "facecraft"]


def process(*args: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*FACECRAFT, *args], input=stdin, capture_output=True, timeout=100, env=os.environ | environment, check=False
    )


@pytest.fixture
def starter(models_dir: Path) -> None:
    if not all((models_dir / name).is_file() for name in STARTER):
        pytest.skip(f"the starter models are not in {models_dir}: run `make models`")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "me.jpg"
    path.parent.mkdir()
    path.write_bytes(sample())
    return path


@pytest.fixture
def faceless(tmp_path: Path) -> Path:
    path = tmp_path / "wall.png"
    PilImage.new("RGB", (300, 200), (90, 120, 60)).save(path)
    return path


@pytest.fixture
def ran(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*args: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run([str(arg) for arg in args])
        return code, *capfd.readouterr()

    return call


Ran = Callable[..., tuple[int, str, str]]


# --- the program ---------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom facecraft.cli.app import run\ncode = run(['--help'])\n"
        "heavy = {'pydantic', 'numpy', 'cv2', 'PIL', 'rich', 'onnxruntime', 'fastapi'}\n"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "0 []"
    for name, (_, line) in COMMANDS.items():
        assert f"  {name}" in done.stdout
        assert line.split(".")[0][:40] in done.stdout
    assert "Exit codes: 0 done" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(ran: Ran, name: str) -> None:
    code, out, _ = ran(name, "--help")
    assert code == 0
    assert f"facecraft {name}" in out


def test_every_preset_is_a_command_and_says_what_it_is() -> None:
    for name, preset in PRESETS.items():
        assert COMMANDS[name][1] == preset.summary + "."
        assert load(name).help == preset.summary + "."


def test_version_is_the_one_of_the_package(ran: Ran) -> None:
    code, out, _ = ran("--version")
    assert code == 0
    assert out.startswith("facecraft ")
    assert out.split()[1][0].isdigit()


def test_every_kind_of_error_has_an_exit_code_of_its_own_meaning() -> None:
    assert set(EXIT_CODES) == set(Kind)
    assert not {0, 1, 2} & set(EXIT_CODES.values())


def test_a_mistyped_command_is_a_usage_error_with_a_suggestion(ran: Ran) -> None:
    code, out, err = ran("portrat")
    assert code == 2
    assert out == ""
    assert "Did you mean 'portrait'?" in err


def test_bad_settings_are_a_configuration_error_that_names_the_setting(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACECRAFT_DEFAULT_WIDTH", "3")
    code, _, err = ran("portrait", "x.jpg", "-o", "x.png")
    assert code == EXIT_CODES[Kind.CONFIGURATION]
    assert "FACECRAFT_DEFAULT_WIDTH" in err


@pytest.mark.parametrize("name", ["portrait", "detect", "embed", "attributes"])
def test_a_report_never_takes_the_place_of_a_photo(ran: Ran, photo: Path, tmp_path: Path, name: str) -> None:
    out = ["-o", tmp_path / "o.png"] if name == "portrait" else []
    code, _, err = ran(name, photo, *out, "--report", photo)
    assert code == 2
    assert "would overwrite the input" in " ".join(err.replace("│", " ").split())
    assert photo.read_bytes() == sample()


@pytest.mark.parametrize("words", [["portrait", "-o", "o.png"], ["detect"]])
def test_a_file_that_is_not_there_is_not_found(ran: Ran, tmp_path: Path, words: list[str]) -> None:
    code, _, err = ran(words[0], tmp_path / "absent.jpg", *words[1:])
    assert code == EXIT_CODES[Kind.NOT_FOUND] == 6
    assert err.startswith(f"Error: {tmp_path / 'absent.jpg'} does not exist.")


def test_a_background_that_is_not_there_is_not_found(ran: Ran, photo: Path, tmp_path: Path) -> None:
    gone = tmp_path / "beach.jpg"
    code, _, err = ran("portrait", photo, "-o", tmp_path / "o.png", "--background-image", gone)
    assert code == EXIT_CODES[Kind.NOT_FOUND]
    assert f"{gone} does not exist" in err


def test_completion_knows_commands_flags_and_choices() -> None:
    def complete(words: str) -> str:
        environment = {"_FACECRAFT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        return process(**environment).stdout.decode()

    assert "portrait" in complete("facecraft po")
    assert "--background" in complete("facecraft portrait --back")
    assert "rounded" in complete("facecraft portrait --shape r")


def test_a_reader_that_stops_early_is_no_error() -> None:
    with subprocess.Popen(
        [*FACECRAFT, "models", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as it:
        assert it.stdout is not None
        assert it.stderr is not None
        it.stdout.readline()
        it.stdout.close()
        assert it.stderr.read() == b""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole group of processes")
def test_ctrl_c_ends_a_wait_for_input_quietly() -> None:
    with subprocess.Popen([*FACECRAFT, "detect", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as it:
        assert it.stdin is not None
        assert it.stderr is not None
        # More than a pipe holds: this returns when the program has begun to read.
        it.stdin.write(b"\xff" * 300_000)
        it.stdin.flush()
        for _ in range(20):
            it.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                it.wait(3)  # a second Ctrl-C would hit a program that is ending already
                break
        assert it.returncode == EXIT_CODES[Kind.CANCELLED]
        assert it.stderr.read() == b""


# --- one picture ---------------------------------------------------------------------------------------------------


def test_detect_prints_the_report(ran: Ran, photo: Path) -> None:
    code, out, err = ran("detect", photo, "--json")
    assert (code, err) == (0, "")
    report = Report.model_validate_json(out)
    assert len(report.faces) == 1
    assert report.outputs == ()
    assert report.source.name == str(photo)


def test_detect_for_people_says_where_the_face_is(ran: Ran, photo: Path) -> None:
    code, out, _ = ran("detect", photo)
    assert code == 0
    assert "(512×512): 1 face," in out


def test_a_picture_without_a_face_is_no_error_for_detect(ran: Ran, faceless: Path) -> None:
    code, out, _ = ran("detect", faceless, "--json")
    assert code == 0
    assert json.loads(out)["faces"] == []


def test_a_face_that_must_be_there_and_is_not_has_its_own_exit_code(ran: Ran, faceless: Path) -> None:
    code, out, err = ran("detect", faceless, "--faces", "largest", "--json")
    assert code == EXIT_CODES[Kind.INVALID] == 3
    assert json.loads(out)["error"]["code"] == "no_face_detected"
    assert "Hint:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", Kind.INVALID),
        (b"hello, I am a text\n" * 20, Kind.UNSUPPORTED),
        (b"%PDF-1.7\n", Kind.UNSUPPORTED),
        (sample()[:5000], Kind.INVALID),
    ],
)
def test_what_is_no_picture_is_refused_by_kind(ran: Ran, tmp_path: Path, content: bytes, kind: Kind) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(content)
    code, _, err = ran("detect", bad)
    assert code == EXIT_CODES[kind], err
    assert err.startswith("Error: ")


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = process("detect", str(tmp_path / "none.jpg"), FACECRAFT_DEBUG="1")
    assert b"Traceback" in done.stderr
    assert b"Traceback" not in process("detect", str(tmp_path / "none.jpg")).stderr


def test_portrait_writes_what_the_ending_says_and_prints_the_path(
    ran: Ran, starter: None, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "me.webp"
    code, printed, _ = ran("portrait", photo, "-o", out, "--width", "200", "--height", "240")
    assert code == 0
    assert printed == f"{out}\n"
    with PilImage.open(out) as picture:
        assert (picture.format, picture.size, picture.mode) == ("WEBP", (200, 240), "RGBA")
    assert list(out.parent.iterdir()) == [out]


def test_options_of_the_terminal_reach_the_picture(ran: Ran, starter: None, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "me.png"
    code, *_ = ran("portrait", photo, "-o", out, "--background", "0,0,255", "--shape", "none", "--json")
    assert code == 0
    with PilImage.open(out) as picture:
        assert picture.mode == "RGB"
        assert picture.getpixel((3, 3)) == (0, 0, 255)


def test_a_background_picture_stands_behind_the_subject(ran: Ran, starter: None, photo: Path, faceless: Path) -> None:
    out = photo.with_name("out.png")
    code, *_ = ran("portrait", photo, "-o", out, "--background-image", faceless, "--shape", "none")
    assert code == 0
    with PilImage.open(out) as picture:
        assert picture.getpixel((3, 3)) == (90, 120, 60)
    assert ran("portrait", photo, "-o", out, "--background-image", faceless, "--background", "red")[0] == 2


def test_json_and_the_report_file_are_the_report(ran: Ran, starter: None, photo: Path, tmp_path: Path) -> None:
    file = tmp_path / "reports" / "report.json"
    code, out, _ = ran("portrait", photo, "-o", tmp_path / "out", "--json", "--report", file)
    assert code == 0
    report = Report.model_validate_json(out)
    assert Report.model_validate_json(file.read_text("utf-8")) == report
    assert [Path(str(record.path)).name for record in report.outputs] == ["me.png", "me.jpg"]
    for record in report.outputs:
        assert Path(str(record.path)).stat().st_size == record.bytes
    assert report.skipped.keys() == {"restore"} or "face_restoration" in report.models


def test_a_pipe_gives_the_same_bytes_as_files(starter: None, photo: Path, tmp_path: Path) -> None:
    piped = process("cutout", "-", "-o", "-", stdin=photo.read_bytes())
    assert piped.returncode == 0, piped.stderr
    out = tmp_path / "out.png"
    assert process("cutout", str(photo), "-o", str(out)).returncode == 0
    assert piped.stdout == out.read_bytes()
    with PilImage.open(io.BytesIO(piped.stdout)) as picture:
        assert (picture.size, picture.mode) == ((512, 512), "RGBA")


def test_standard_output_takes_a_picture_or_a_report_but_not_both(ran: Ran, photo: Path) -> None:
    assert ran("cutout", photo, "-o", "-", "--json")[0] == 2
    assert ran("portrait", photo, "-o", "-", "--formats", "png,jpeg")[0] == 2


def test_too_much_standard_input_is_refused() -> None:
    done = process("detect", "-", stdin=b"\xff" * (1 << 20) + b"x", FACECRAFT_MAX_FILE_SIZE_MB="1")
    assert done.returncode == EXIT_CODES[Kind.TOO_LARGE]
    assert b"1 MiB" in done.stderr


def test_the_input_is_never_overwritten(ran: Ran, photo: Path) -> None:
    before = photo.read_bytes()
    code, _, err = ran("portrait", photo, "-o", photo)
    assert code == 2
    assert "would overwrite the input" in err
    assert ran("portrait", photo, "-o", photo.parent)[0] == 2
    assert photo.read_bytes() == before
    assert list(photo.parent.iterdir()) == [photo]


def test_results_of_an_earlier_run_are_kept_when_asked(ran: Ran, starter: None, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "me.png"
    out.write_bytes(b"old")
    code, _, err = ran("portrait", photo, "-o", out, "--no-overwrite")
    assert code == EXIT_CODES[Kind.UNAVAILABLE]
    assert "exists already" in err
    assert ran("portrait", photo, "-o", out, "--skip-existing")[0] == 0
    assert out.read_bytes() == b"old"
    assert ran("portrait", photo, "-o", out)[0] == 0
    assert out.read_bytes()[:4] == b"\x89PNG"


def test_a_missing_model_names_the_command_that_installs_it(ran: Ran, photo: Path, tmp_path: Path) -> None:
    code, _, err = ran("portrait", photo, "-o", tmp_path / "x.png", "--models-dir", tmp_path / "none")
    assert code == EXIT_CODES[Kind.UNAVAILABLE]
    assert "facecraft models install" in err


def test_a_gpu_that_is_not_there_is_an_error(ran: Ran, photo: Path) -> None:
    code, _, err = ran("detect", photo, "--device", "cuda:63")
    assert code == EXIT_CODES[Kind.UNAVAILABLE]
    assert "cuda:63" in err
    assert ran("detect", photo, "--device", "toaster")[0] == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(ran: Ran, starter: None, photo: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    code, _, err = ran("portrait", photo, "-o", locked / "x.png")
    assert code == EXIT_CODES[Kind.UNAVAILABLE]
    assert "Traceback" not in err


def test_a_file_where_a_folder_should_be_is_said(ran: Ran, starter: None, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    code, _, err = ran("portrait", photo, "-o", tmp_path / "file" / "x.png")
    assert code == EXIT_CODES[Kind.UNAVAILABLE]
    assert "Traceback" not in err


# --- many pictures -------------------------------------------------------------------------------------------------


def test_one_bad_file_of_a_folder_stops_nothing(ran: Ran, starter: None, photo: Path, tmp_path: Path) -> None:
    folder = photo.parent
    shutil.copy(photo, folder / "me.jpeg")
    (folder / "broken.jpg").write_bytes(b"not a picture at all, not even close")
    (folder / "notes.txt").write_text("nothing")
    out = tmp_path / "out"
    code, printed, err = ran("portrait", folder, "-o", out, "--width", "128", "--height", "128", "--json")
    assert code == 1
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [Path(line.get("name") or line["source"]["name"]).name for line in lines] == [
        "broken.jpg",
        "me.jpeg",
        "me.jpg",
    ]
    assert lines[0]["error"]["code"] == "unsupported_format"
    for line in lines[1:]:
        Report.model_validate(line)
    assert sorted(path.name for path in out.iterdir()) == ["me-jpeg.jpg", "me-jpeg.png", "me-jpg.jpg", "me-jpg.png"]
    assert "2 done · 1 failed · 1 other files ignored" in err
    assert "unsupported_format" in err


def test_skip_existing_continues_where_a_run_stopped(ran: Ran, starter: None, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ("cutout", photo.parent, "-o", out, "--skip-existing")
    assert ran(*args)[0] == 0
    shutil.copy(photo, photo.parent / "other.jpg")
    code, printed, err = ran(*args)
    assert code == 0
    assert printed == f"{out / 'other.png'}\n"
    assert "1 done · 0 failed · 1 existed already" in err


def test_detect_over_a_pattern_prints_a_line_for_each(ran: Ran, photo: Path, faceless: Path) -> None:
    code, out, _ = ran("detect", photo.parent / "*.jpg", faceless, "--json", "--jobs", "2")
    assert code == 0
    reports = [Report.model_validate_json(line) for line in out.splitlines()]
    assert [len(report.faces) for report in reports] == [1, 0]


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo terminal")
def test_the_bar_is_drawn_on_the_terminal_and_results_go_where_they_were_sent(photo: Path, faceless: Path) -> None:
    import pty

    terminal, inner = pty.openpty()
    args = [*FACECRAFT, "detect", str(photo), str(faceless), "--json"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=inner, env=os.environ | {"TERM": "xterm"}) as it:
        os.close(inner)
        assert it.stdout is not None
        out = it.stdout.read().decode()
    shown = b""
    with contextlib.suppress(OSError):  # Linux ends a closed pseudo terminal with an error
        while piece := os.read(terminal, 65536):
            shown += piece
    os.close(terminal)
    assert [len(Report.model_validate_json(line).faces) for line in out.splitlines()] == [1, 0]
    assert b"2/2" in shown
    assert b"2 done" in shown


def test_several_pictures_do_not_fit_into_one_file(ran: Ran, photo: Path, faceless: Path, tmp_path: Path) -> None:
    code, _, err = ran("cutout", photo, faceless, "-o", tmp_path / "one.png")
    assert code == 2
    assert "name a folder" in err


# --- the other commands --------------------------------------------------------------------------------------------


def test_demo_needs_nothing_and_shows_every_step(ran: Ran, starter: None, tmp_path: Path) -> None:
    code, out, err = ran("demo", "--out", tmp_path / "demo")
    assert code == 0
    names = ["portrait.png", "portrait.jpg", "contact-sheet.png", "report.json"]
    assert [Path(line).name for line in out.splitlines()] == names
    report = Report.model_validate_json((tmp_path / "demo" / "report.json").read_text("utf-8"))
    for stage in ("decode", "detect", "cutout", "encode"):
        assert stage in err
        assert stage in [record.stage for record in report.stages]
    assert (tmp_path / "demo" / "portrait.jpg").stat().st_size <= 99 * 1024
    with PilImage.open(tmp_path / "demo" / "portrait.png") as picture:
        assert picture.mode == "RGBA"
        assert picture.getpixel((0, 0)) == (0, 0, 0, 0)
    with PilImage.open(tmp_path / "demo" / "contact-sheet.png") as sheet:
        assert sheet.width > 2.5 * sheet.height


def test_demo_of_several_photos_makes_a_set_for_each(
    ran: Ran, starter: None, photo: Path, faceless: Path, tmp_path: Path
) -> None:
    code, _, err = ran("demo", photo, faceless, "--out", tmp_path / "demo")
    assert code == 1
    assert "no_face_detected" in err
    assert len(list((tmp_path / "demo" / "01-me").iterdir())) == 4


def test_doctor_says_what_is_missing_and_the_command_for_it(ran: Ran, tmp_path: Path) -> None:
    code, out, _ = ran("doctor", "--json", "--models-dir", tmp_path / "none")
    assert code == 1
    found = json.loads(out)
    tasks = {task["task"]: task for task in found["tasks"]}
    assert tasks["matting"]["fix"] == "facecraft models install starter"
    assert any("matting" in problem for problem in found["problems"])
    assert {folder["purpose"] for folder in found["folders"]} == {"models", "uploads", "results"}
    assert found["packages"]["numpy"]
    assert found["device"]["device"]


def test_doctor_is_content_where_portraits_can_be_made(ran: Ran, starter: None) -> None:
    code, out, _ = ran("doctor", "--json")
    assert code == 0, out
    found = json.loads(out)
    assert found["problems"] == []
    assert all(task["models"] for task in found["tasks"] if task["needed"])


def test_doctor_reports_a_missing_gpu_instead_of_failing(ran: Ran, tmp_path: Path) -> None:
    code, out, _ = ran("doctor", "--json", "--device", "cuda:63")
    assert code == 1
    assert json.loads(out)["device"]["device"] is None


def test_models_list_as_json_and_by_task_and_pack(ran: Ran) -> None:
    code, out, _ = ran("models", "list", "--json")
    assert code == 0
    models = json.loads(out)
    assert len(models) > 90
    assert {"id", "task", "license", "commercial", "state", "packs", "bytes"} <= set(models[0])
    starters = json.loads(ran("models", "list", "starter", "--json")[1])
    assert {"mp_selfie", "blazeface_short"} <= {model["id"] for model in starters}
    matting = json.loads(ran("models", "list", "--task", "matting", "--commercial", "--json")[1])
    assert {(model["task"], model["commercial"]) for model in matting} == {("matting", True)}
    assert ran("models", "list", "--pack", "nope")[0] == EXIT_CODES[Kind.NOT_FOUND]


def test_models_show_and_path_of_one(ran: Ran, starter: None, models_dir: Path) -> None:
    code, out, _ = ran("models", "show", "mp_selfie")
    assert code == 0
    assert "Apache-2.0" in out
    assert ran("models", "path", "mp_selfie")[1].strip() == str(models_dir / "selfie_segmentation.tflite")
    assert ran("models", "path")[1].strip() == str(models_dir)
    assert ran("models", "show", "mp-selfie")[0] == EXIT_CODES[Kind.NOT_FOUND]


def test_models_verify_finds_a_damaged_file_and_remove_drops_it(
    ran: Ran, starter: None, models_dir: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "selfie_segmentation.tflite"
    shutil.copy(models_dir / copy.name, copy)
    assert ran("models", "verify", "--models-dir", tmp_path)[0] == 0
    copy.write_bytes(copy.read_bytes()[:-1] + b"?")
    code, out, _ = ran("models", "verify", "--models-dir", tmp_path)
    assert code == 1
    assert "corrupt" in out
    assert ran("models", "remove", "mp_selfie", "--models-dir", tmp_path)[0] == 0
    assert not copy.exists()


def test_models_test_runs_what_is_here(ran: Ran, starter: None) -> None:
    code, out, _ = ran("models", "test", "mp_selfie", "face_detection_of_nobody")
    assert code == EXIT_CODES[Kind.NOT_FOUND]
    code, out, _ = ran("models", "test", "mp_selfie", "blazeface_short", "--json")
    assert code == 0
    assert {row["id"]: row["error"] for row in json.loads(out)} == {"mp_selfie": None, "blazeface_short": None}


def test_models_test_fails_on_a_file_that_does_not_run(
    ran: Ran, starter: None, models_dir: Path, tmp_path: Path
) -> None:
    assert ran("models", "test", "--models-dir", tmp_path)[0] == 1
    for name in STARTER:
        shutil.copy(models_dir / name, tmp_path / name)
    assert ran("models", "test", "--models-dir", tmp_path)[0] == 0
    damaged = tmp_path / "selfie_segmentation.tflite"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    code, out, _ = ran("models", "test", "--models-dir", tmp_path)
    assert code == 1
    assert "model_corrupt" in out
    assert "runs" in out


def test_models_install_says_what_keeps_it_from_installing(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACECRAFT_OFFLINE", "1")
    code, _, err = ran("models", "install", "starter", "--models-dir", tmp_path)
    assert code == EXIT_CODES[Kind.UNAVAILABLE]
    assert "offline" in err
    code, _, err = ran("models", "install", "arcface_w600k_r50", "--models-dir", tmp_path)
    assert code == EXIT_CODES[Kind.FORBIDDEN]
    assert "--accept-license" in err
    assert ran("models", "install", "nope", "--models-dir", tmp_path)[0] == EXIT_CODES[Kind.NOT_FOUND]


def test_models_install_leaves_what_is_there_alone(ran: Ran, starter: None) -> None:
    code, _, err = ran("models", "install", "mp_selfie", "blazeface_short")
    assert code == 0
    assert "0 installed, 2 already there" in err


def test_bench_prints_whole_floor_ratio_and_stages(ran: Ran, starter: None) -> None:
    code, out, _ = ran("bench", "portrait", "--runs", "2", "--width", "128", "--height", "128", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["p50_ms"] > 0
    assert found["floor_ms"] == pytest.approx(sum(found["floor"].values()), rel=0.6)
    assert found["ratio"] == pytest.approx(found["p50_ms"] / found["floor_ms"], rel=0.05)
    assert (found["width"], found["height"]) == (910, 1137)
    assert {"decode", "detect", "cutout", "encode"} <= set(found["stages"])
    assert found["network_runs"]["blazeface_short"] >= 1
