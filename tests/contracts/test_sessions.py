"""What every session promises, whichever runtime is behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facecraft.errors import FacecraftError, InferenceError
from facecraft.inference.litert import LiteRtSession
from facecraft.inference.onnx import OnnxSession
from facecraft.inference.pool import SessionPool
from facecraft.inference.session import Session, Tensor, TensorSpec
from facecraft.testing import FakeSession

Make = Callable[[Path], Session]
SELFIE = "selfie_segmentation.tflite"


def scale_and_shift(folder: Path) -> Path:
    """``y = 2x + 1`` with an open batch, and ``total``, the sum of each row."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rows = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "two"], ["d"]),
            helper.make_node("Add", ["d", "one"], ["y"]),
            helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=1),
        ],
        "scale_and_shift",
        rows,
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64]),
            helper.make_tensor_value_info("total", TensorProto.FLOAT, ["batch", 1]),
        ],
        [
            numpy_helper.from_array(np.float32(2), "two"),
            numpy_helper.from_array(np.float32(1), "one"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    path = folder / "tiny.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


def fake(_: Path) -> Session:
    spec = TensorSpec("x", (None, 64), np.dtype("float32"))
    outputs = (TensorSpec("y", (None, 64), np.dtype("float32")), TensorSpec("total", (None, 1), np.dtype("float32")))

    def work(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"y": 2 * inputs["x"] + 1, "total": inputs["x"].sum(axis=1, keepdims=True)}

    return FakeSession((spec,), outputs, work)


def onnx_session(folder: Path) -> Session:
    return OnnxSession(scale_and_shift(folder), threads=1)


def litert(folder: Path) -> Session:
    starter = Path(os.environ.get("FACECRAFT_MODELS_DIR") or folder) / SELFIE
    if not starter.is_file():
        pytest.skip(f"{SELFIE} is not in FACECRAFT_MODELS_DIR")
    return LiteRtSession(starter)


@pytest.fixture(params=["fake", "onnx", "litert", "pooled"])
def session(
    request: pytest.FixtureRequest, tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    monkeypatch.setenv("FACECRAFT_MODELS_DIR", str(models_dir))
    if request.param == "pooled":
        path = scale_and_shift(tmp_path)
        with SessionPool() as pool, closing(pool.session("tiny", lambda: OnnxSession(path, threads=1))) as pooled:
            yield pooled
        return
    make: Make = {"fake": fake, "onnx": onnx_session, "litert": litert}[request.param]
    with closing(make(tmp_path)) as made:
        yield made


def some_inputs(session: Session, seed: int) -> dict[str, Tensor]:
    random = np.random.default_rng(seed)
    return {spec.name: random.random([side or 1 for side in spec.shape]).astype(spec.dtype) for spec in session.inputs}


def test_describes_itself(session: Session) -> None:
    assert session.device == "cpu"
    assert [spec.dtype for spec in session.inputs] == [np.float32]
    outputs = session.run(some_inputs(session, 0))
    assert list(outputs) == [spec.name for spec in session.outputs]
    assert all(spec.accepts(outputs[spec.name]) for spec in session.outputs)


def test_the_same_input_gives_the_same_output_and_another_one_another(session: Session) -> None:
    first, again, other = (session.run(some_inputs(session, seed)) for seed in (1, 1, 2))
    for name, array in first.items():
        assert np.array_equal(array, again[name])
        assert not np.array_equal(array, other[name])


def test_results_belong_to_the_caller(session: Session) -> None:
    inputs = some_inputs(session, 3)
    before = {name: array.copy() for name, array in inputs.items()}
    first = session.run(inputs)
    kept = {name: array.copy() for name, array in first.items()}
    second = session.run(some_inputs(session, 4))
    for name, array in first.items():
        assert np.array_equal(array, kept[name]), "a later run changed an earlier result"
        array[...] = 7
        assert not np.shares_memory(array, second[name])
    assert all(np.array_equal(array, before[name]) for name, array in inputs.items())
    assert np.array_equal(session.run(inputs)[session.outputs[0].name], kept[session.outputs[0].name])


def test_arrays_that_are_not_contiguous_are_read_right(session: Session) -> None:
    inputs = some_inputs(session, 5)
    strange = {name: np.asfortranarray(array) for name, array in inputs.items()}
    expected = session.run(inputs)
    assert all(np.array_equal(array, expected[name]) for name, array in session.run(strange).items())


def test_an_open_batch_takes_any_size(session: Session) -> None:
    if session.inputs[0].shape[0] is not None:
        pytest.skip("this network has a fixed batch")
    for batch in (3, 1, 5):
        rows = np.arange(batch * 64, dtype=np.float32).reshape(batch, 64)
        outputs = session.run({"x": rows})
        assert np.array_equal(outputs["y"], 2 * rows + 1)
        assert np.array_equal(outputs["total"][:, 0], rows.sum(axis=1))


@pytest.mark.parametrize("fault", ["name", "missing", "extra", "dtype", "rank", "side"])
def test_a_wrong_input_is_refused_in_words(session: Session, fault: str) -> None:
    ((name, array),) = some_inputs(session, 6).items()
    inputs = {
        "name": {"picture": array},
        "missing": {},
        "extra": {name: array, "more": array},
        "dtype": {name: array.astype(np.float64)},
        "rank": {name: array[0]},
        "side": {name: array[..., :-1]},
    }[fault]
    with pytest.raises(InferenceError) as caught:
        session.run(inputs)
    assert str(session.inputs[0]) in caught.value.message
    given = {"name": "picture", "missing": "nothing", "extra": "more", "dtype": "float64"}.get(fault, "got")
    assert given in caught.value.message.split(" and got ")[1] or fault in {"rank", "side"}
    assert session.run({name: array}), "a refused input must not break the session"


def test_every_thread_gets_its_own_result(session: Session) -> None:
    expected = {seed: session.run(some_inputs(session, seed)) for seed in range(12)}

    def check(seed: int) -> bool:
        outputs = session.run(some_inputs(session, seed % 12))
        return all(np.array_equal(array, expected[seed % 12][name]) for name, array in outputs.items())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(check, range(120)))


def test_a_closed_session_refuses(session: Session) -> None:
    inputs = some_inputs(session, 7)
    session.run(inputs)
    session.close()
    session.close()
    with pytest.raises(InferenceError, match="closed"):
        session.run(inputs)


def test_closing_during_runs_ends_them_well(session: Session) -> None:
    inputs = some_inputs(session, 8)
    expected = session.run(inputs)

    def work(number: int) -> bool:
        if number == 20:
            session.close()
        try:
            outputs = session.run(inputs)
        except FacecraftError as error:
            return "closed" in error.message
        return all(np.array_equal(array, expected[name]) for name, array in outputs.items())

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, range(60)))
