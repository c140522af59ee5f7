"""One data set of a mixture is judged by itself; what all of them do wrong is said once."""

from __future__ import annotations

import dataclasses

from benchmarks.diagnose import diagnose
from zoo.contracts import FrameBatch


def mixed(subject, broken, *, second):
    """The subject's hands from two sources; `broken` says which hold millimetres."""

    def changed(frame, index):
        source = "second" if index < second else "first"
        frame = dataclasses.replace(frame, source=source)
        if source not in broken:
            return frame
        label = dataclasses.replace(frame.label, joints=1000 * frame.label.joints)
        return dataclasses.replace(frame, label=label)

    frames = tuple(changed(frame, i) for i, frame in enumerate(subject.frames.frames))
    return subject.with_frames(FrameBatch(frames))


def messages(subject):
    (run,) = diagnose(subject, probes=["label.units"])
    assert run.status in ("passed", "failed"), run.why
    return [finding.message for finding in run.findings]


def test_the_source_that_breaks_a_law_is_named(healthy):
    (said,) = messages(mixed(healthy("csvit2_ief3"), {"second"}, second=8))
    assert "'second'" in said
    assert "100%" in said
    assert "millimetres" in said


def test_what_every_source_breaks_is_said_of_all_hands(healthy):
    (said,) = messages(mixed(healthy("csvit2_ief3"), {"first", "second"}, second=8))
    assert "alone" not in said


def test_a_source_of_few_hands_has_its_say_among_all(healthy):
    (said,) = messages(mixed(healthy("csvit2_ief3"), {"second"}, second=2))
    assert "alone" not in said


def test_sound_sources_pass(healthy):
    assert messages(mixed(healthy("csvit2_ief3"), set(), second=8)) == []
