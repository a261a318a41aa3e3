"""Rules, dashboard and page name numbers that exist, and the page names all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from facecraft.api.watching.metering import watch
from facecraft.api.workbench import Workbench
from facecraft.jobs.capacity import Capacity
from facecraft.settings import Settings
from facecraft.studio import Studio
from facecraft.telemetry.metrics import Metrics

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "how-to" / "watch-it-run.md"
DASHBOARD = ROOT / "deploy" / "grafana" / "facecraft.json"
RULES = ROOT / "deploy" / "prometheus" / "facecraft-alerts.yaml"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every number of ours, by name, with its kind."""
    folder = tmp_path_factory.mktemp("numbers")
    settings = Settings(output_dir=folder / "out", database_url=f"sqlite:///{folder / 'f.db'}", device="cpu")
    with Studio.open(settings) as studio:
        metrics, bench = Metrics(), Workbench(places=1, queue=1, seconds=1)
        watch(settings, studio, bench, Capacity(1), metrics)
        found = {metric.name: metric.type for metric in metrics.collect()}
        bench.close()
    return {name: kind for name, kind in found.items() if name.startswith("facecraft_")}


def names(text: str) -> set[str]:
    return set(re.findall(r"\bfacecraft_[a-z_]+\b", text))


def test_what_is_named_exists(known: dict[str, str]) -> None:
    told = {f"{name}_total" if kind == "counter" else name for name, kind in known.items()}
    parts = {
        f"{name}_{end}" for name, kind in known.items() if kind == "histogram" for end in ("bucket", "sum", "count")
    }
    for file in (PAGE, DASHBOARD, RULES):
        assert names(file.read_text("utf-8")) - told - parts == set(), file.name
    assert told - names(PAGE.read_text("utf-8")) == set()


def test_the_dashboard_shows_each_panel_in_a_place_of_its_own() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len({panel["id"] for panel in panels}) == len(panels)
    assert all(target["expr"] for panel in panels for target in panel["targets"])
