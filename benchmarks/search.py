"""How long a search through a gallery takes, against the bare matrix-vector product over the same numbers.

    python benchmarks/search.py [--faces 100000] [--dimension 512] [--dimension 128] [--url postgresql://…]

Prints p50 and p95 in milliseconds. The floor is ``matrix @ vector`` alone: no database, no ranking.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facecraft.db.database import Database
from facecraft.galleries.galleries import Galleries
from facecraft.galleries.records import NewFace, NewPerson

_PIECE = 5000
_FACES_EACH = 2


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def measure(url: str, count: int, dimension: int, rounds: int) -> None:
    rng = np.random.default_rng(7)
    vectors = unit(rng.standard_normal((count, dimension), np.float32))
    probes = unit(
        vectors[rng.integers(0, count, rounds)] + 0.5 * unit(rng.standard_normal((rounds, dimension), np.float32))
    )
    with Database.open(url) as database:
        database.migrate()
        galleries = Galleries(database)
        gallery = galleries.create("bench", "bench")
        begin = time.perf_counter()
        for start in range(0, count, _PIECE):
            part = vectors[start : start + _PIECE]
            people = [
                NewPerson(f"person {start + at}", [NewFace(vector) for vector in part[at : at + _FACES_EACH]])
                for at in range(0, len(part), _FACES_EACH)
            ]
            galleries.enroll_many(gallery.id, people, model_id="bench")
        enrolled = time.perf_counter() - begin
        begin = time.perf_counter()
        galleries.search(gallery.id, probes[0], model_id="bench")
        loaded = time.perf_counter() - begin
        floor, search = [], []
        for probe in probes:
            begin = time.perf_counter()
            vectors @ probe
            floor.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            matches = galleries.search(gallery.id, probe, model_id="bench", top_k=5)
            search.append(time.perf_counter() - begin)
            assert len(matches[0]) == min(5, -(-count // _FACES_EACH))
        begin = time.perf_counter()
        galleries.search(gallery.id, probes[:64], model_id="bench", top_k=5)
        many = (time.perf_counter() - begin) / len(probes[:64])
        galleries.delete(gallery.id)
    floor_ms, search_ms = 1000 * np.array(floor), 1000 * np.array(search)
    print(
        f"{url.split(':', maxsplit=1)[0]:<10} {count:>7} × {dimension:<4}  search best {search_ms.min():6.2f} p50 {np.median(search_ms):6.2f}"
        f" p95 {np.quantile(search_ms, 0.95):6.2f} ms   matrix @ vector best {floor_ms.min():6.2f} p50 {np.median(floor_ms):6.2f} ms"
        f"   ratio {np.median(search_ms) / np.median(floor_ms):.2f} (best {search_ms.min() / floor_ms.min():.2f})"
        f"   64 at once {1000 * many:.2f} ms each   load {loaded:.2f} s   enroll {count / enrolled:,.0f} faces/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--url", help="an empty database; default: SQLite in a temporary folder")
    chosen = parser.parse_args()
    for dimension in chosen.dimension or [128, 512]:
        with tempfile.TemporaryDirectory() as folder:
            url = chosen.url or f"sqlite:///{Path(folder) / 'facecraft.db'}"
            measure(url, chosen.faces, dimension, chosen.rounds)


if __name__ == "__main__":
    main()
