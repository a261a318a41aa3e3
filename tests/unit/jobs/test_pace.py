"""How far a job is said to be: never back, never beyond the next mark, and not too often."""

from __future__ import annotations

from itertools import pairwise

import pytest

from facecraft.jobs.pace import REPORT_SECONDS, Pace, Tracker, marks_of
from facecraft.jobs.tasks import FacesTask, PipelineTask, UnknownTask
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.pipelines.recognition import EmbedOptions
from facecraft.progress import ProgressEvent

CUTOUT = PipelineTask(name="cutout", pipeline=CutoutPresetOptions(fill="red").pipeline())
EMBED = FacesTask(name="embeddings", options=EmbedOptions())


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def told_over(tracker: Tracker, clock: Clock, seconds: float, step: float = 0.1) -> list[tuple[float, str | None]]:
    found = []
    for _ in range(round(seconds / step)):
        clock.now += step
        if (due := tracker.due()) is not None:
            found.append(due)
    return found


def test_the_marks_of_a_task_rise_to_one() -> None:
    for task in (CUTOUT, EMBED):
        marks = marks_of(task)
        assert list(marks) == sorted(marks)
        assert 0 < marks[0] < 0.05
        assert marks[-1] == 1.0
    assert len(marks_of(CUTOUT)) == len(CUTOUT.pipeline.steps) + 2


def test_progress_moves_inside_a_long_stage_and_stays_before_its_end(clock: Clock) -> None:
    tracker = Tracker(CUTOUT, 1, Pace(), clock=clock)
    tracker.begin(0)
    tracker(ProgressEvent("detect", 0.0))
    told = told_over(tracker, clock, 60)
    fractions = [fraction for fraction, _ in told]
    assert len(set(fractions)) > 3
    assert fractions == sorted(fractions)
    assert fractions[-1] < marks_of(CUTOUT)[1]


def test_the_pace_is_learned_from_one_job_to_the_next(clock: Clock) -> None:
    pace = Pace()
    first = Tracker(CUTOUT, 1, pace, clock=clock)
    first.begin(0)
    first(ProgressEvent("detect", 0.0))
    clock.now += 40
    first(ProgressEvent("cutout", 0.2))
    assert pace.known("cutout", "detect") == pytest.approx(40)
    slow = Tracker(CUTOUT, 1, pace, clock=clock)
    quick = Tracker(CUTOUT, 1, Pace(), clock=clock)
    for tracker in (slow, quick):
        tracker.begin(0)
        tracker(ProgressEvent("detect", 0.0))
    clock.now += 3
    known, unknown = slow.due(), quick.due()
    assert known is not None
    assert unknown is not None
    assert known[0] < unknown[0]


def test_a_picture_that_takes_longer_is_not_said_to_be_nearly_done(clock: Clock) -> None:
    """Small pictures came before: 0.1 s in each stage. This one takes forty times as long, and its last stage is long."""
    pace = Pace()
    for _ in range(3):
        small = Tracker(CUTOUT, 1, pace, clock=clock)
        small.begin(0)
        for stage, fraction in (("detect", 0.0), ("cutout", 0.3), ("encode", 1.0)):
            clock.now += 0.1
            small(ProgressEvent(stage, fraction))
        clock.now += 0.1
        small.end(1)
    large = Tracker(CUTOUT, 1, pace, clock=clock)
    large.begin(0)
    clock.now += 4
    large(ProgressEvent("detect", 0.0))
    clock.now += 4
    large(ProgressEvent("cutout", 0.3))
    told = [fraction for fraction, _ in told_over(large, clock, 8)]
    longest = max(after - before for before, after in pairwise(told))
    assert len(told) >= 10, "it stood still"
    assert longest < 0.2
    large(ProgressEvent("encode", 1.0))
    assert all(round(fraction, 4) < 1.0 for fraction, _ in told_over(large, clock, 60))


def test_an_event_inside_a_stage_is_told_at_least(clock: Clock) -> None:
    tracker = Tracker(CUTOUT, 1, Pace(), clock=clock)
    tracker.begin(0)
    tracker(ProgressEvent("cutout", 0.5))
    clock.now += REPORT_SECONDS
    tracker(ProgressEvent("cutout", 0.7))
    due = tracker.due()
    assert due is not None
    assert due[0] >= 0.65


def test_a_fraction_never_falls_whatever_is_told(clock: Clock) -> None:
    tracker = Tracker(CUTOUT, 2, Pace(), clock=clock, fraction=0.4)
    tracker.begin(0)
    fractions = []
    for fraction in (0.1, 0.9, 0.2):
        tracker(ProgressEvent(f"stage {fraction}", fraction))
        fractions += [told for told, _ in told_over(tracker, clock, 2)]
    fractions.append(tracker.end(1))
    tracker.begin(1)
    tracker(ProgressEvent("detect", 0.0))
    fractions += [told for told, _ in told_over(tracker, clock, 2)]
    assert fractions == sorted(fractions)
    assert fractions[0] >= 0.4
    assert tracker.end(2) == 1.0


def test_a_new_stage_is_told_at_once_and_one_stage_twice_a_second(clock: Clock) -> None:
    tracker = Tracker(CUTOUT, 1, Pace(), clock=clock)
    tracker.begin(0)
    tracker(ProgressEvent("detect", 0.0))
    assert told_over(tracker, clock, 2)
    tracker(ProgressEvent("cutout", 0.2))
    clock.now += 0.21
    due = tracker.due()
    assert due is not None
    assert due[1] == "cutout"
    assert len(told_over(tracker, clock, 3)) <= 6


def test_a_long_job_tells_a_bounded_number_of_times(clock: Clock) -> None:
    tracker = Tracker(CUTOUT, 1, Pace(), clock=clock)
    tracker.begin(0)
    told = 0
    for number in range(3600):
        tracker(ProgressEvent(f"stage {number % 2}", number / 3600))
        told += len(told_over(tracker, clock, 1, step=0.25))
    assert told < 2500
    steady = Tracker(EMBED, 1, Pace(), clock=clock)
    steady.begin(0)
    for number in range(3600):
        steady(ProgressEvent("embeddings", number / 3600))
        told_over(steady, clock, 1, step=0.5)
    assert steady.due() is None


def test_quick_work_tells_nothing_but_its_end(clock: Clock) -> None:
    tracker = Tracker(CUTOUT, 1, Pace(), clock=clock)
    tracker.begin(0)
    for stage in ("detect", "cutout", "background"):
        tracker(ProgressEvent(stage, 0.5))
        assert told_over(tracker, clock, 0.1, step=0.05) == []
    assert tracker.end(1) == 1.0


def test_work_without_stages_moves_too(clock: Clock) -> None:
    tracker = Tracker(EMBED, 1, Pace(), clock=clock)
    tracker.begin(0)
    told = told_over(tracker, clock, 5)
    assert {stage for _, stage in told} == {"embeddings"}
    assert told[-1][0] > told[0][0] > 0


def test_names_that_callers_choose_are_learned_as_one(clock: Clock) -> None:
    pace = Pace()
    for number in range(50):
        named = PipelineTask(name=f"mine-{number}", pipeline=CUTOUT.pipeline)
        for task in (named, UnknownTask(name=named.name, queue="gpu"), CUTOUT, EMBED):
            tracker = Tracker(task, 1, pace, clock=clock)
            tracker.begin(0)
            tracker(ProgressEvent("detect", 0.0))
            clock.now += 40
            tracker.end(1)
    assert {task for task, _ in pace._seconds} == {"pipeline", "cutout", "faces-embeddings"}
    assert pace.known("pipeline", "detect") == pytest.approx(40)
