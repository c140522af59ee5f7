"""Side by side means: the same budget and data, intervals over seeds, nothing trained twice."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.recipes import NotComparable, Plan, page, train

BEST, MIDDLE, WORST = "csvit2_ief3", "csvit2", "csvit2_old"


def record(name: str, seed: int, error: float, *, steps=1000, data="f" * 40) -> dict:
    metrics = {m: error for m in ("root_mpjpe_mm", "pa_mpjpe_mm", "mpjpe_mm", "rte_mm")}
    return {
        "config_name": name,
        "seed": seed,
        "commit": "c" * 40,
        "machine": {"cores": 2, "gpu": None},
        "data": {"fingerprint": data, "samples": 24000, "val_samples": 512},
        "parameters_m": 2.5,
        "steps": steps,
        "seconds": 300.0,
        "metrics": metrics,
        "baseline": {"root_mpjpe_mm": 100.0},
    }


def reached(**errors: tuple[float, ...]) -> dict:
    return {
        name: [record(name, seed, error) for seed, error in enumerate(values)]
        for name, values in errors.items()
    }


def row(text: str, start: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return line


def test_the_table_has_means_and_student_intervals_over_seeds():
    text = page(reached(csvit2_ief3=(50.0, 52.0, 54.0), csvit2=(60.0,)), "the command")
    # t(0.975, 2) = 4.3027; 4.3027 * 2 / sqrt(3) = 4.97
    cells = row(text, f"`{BEST}`" + " | 2.5").split(" | ")
    assert cells[3] == "52.0 (47.0 to 57.0)"
    assert cells[7] == "0.52 (0.47 to 0.57)"
    assert "60.0 | 60.0" in row(text, f"`{MIDDLE}`" + " | 2.5"), "one seed has no interval"
    assert "the command" in text
    assert "1000 steps of the same 24000 rendered hands" in text


def test_pairs_are_compared_seed_by_seed():
    # recipes differ by 5 mm in every seed, seeds by 20 mm: only the pairs are sure
    errors = (40.0, 60.0, 80.0)
    text = page(reached(csvit2_ief3=errors, csvit2=tuple(e + 5 + e / 100 for e in errors)), "x")
    line = row(text, f"`{MIDDLE}` - `{BEST}`")
    assert "5.6 (5.1 to 6.1)" in line
    assert f"`{BEST}` is better" in line


def test_the_expectation_is_held_against_the_numbers():
    good, middle, bad = (50.0, 50.1, 50.2), (60.0, 60.1, 60.3), (70.0, 70.1, 70.2)
    agree = page(reached(csvit2_ief3=good, csvit2=middle, csvit2_old=bad), "x")
    assert "The numbers agree." in agree
    turned = page(reached(csvit2_ief3=bad, csvit2=middle, csvit2_old=good), "x")
    assert "The numbers say otherwise: `csvit2` before `csvit2_ief3`" in turned
    unsure = page(reached(csvit2_ief3=(50.0, 60.0), csvit2=(60.0, 50.0)), "x")
    assert "not decided at this number of seeds: `csvit2_ief3` and `csvit2`." in unsure


@pytest.mark.parametrize(
    ("more", "named"), [({"steps": 999}, "steps 999"), ({"data": "0" * 40}, "fingerprint 000")]
)
def test_runs_of_other_data_or_budgets_are_refused(more, named):
    records = reached(csvit2_ief3=(50.0,))
    records["csvit2"] = [record("csvit2", 0, 60.0, **more)]
    with pytest.raises(NotComparable, match=named):
        page(records, "x")


def finish(folder: Path, name: str, seed: int) -> None:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record(name, seed, 50.0)))


def test_finished_runs_are_read_and_the_others_trained(tmp_path):
    plan = Plan((BEST, WORST), seeds=2, steps=2, out=tmp_path)
    finish(plan.runs[0].folder, BEST, 0)
    started: list[str] = []

    def command(run, resume):
        started.append(run.folder.name)
        content = json.dumps(record(run.name, run.seed, 60.0))
        write = (
            "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.mkdir(exist_ok=True); "
            "(p / 'run.json').write_text(sys.argv[2])"
        )
        return [sys.executable, "-c", write, str(run.folder), content]

    assert train(plan, jobs=2, threads=1, command=command) == []
    assert sorted(started) == [f"{BEST}-seed1", f"{WORST}-seed0", f"{WORST}-seed1"]
    assert [r["seed"] for r in plan.records()[BEST]] == [0, 1]
    started.clear()
    assert train(plan, jobs=2, threads=1, command=command) == []
    assert started == []


def test_a_recipe_is_trained_as_it_is_at_the_tiny_size(tmp_path):
    plan = Plan((WORST,), seeds=1, steps=7, data="shards", out=tmp_path)
    (run,) = plan.runs
    words = plan.command(run, False)
    assert words[3:5] == ["train", str(run.config_file)]
    options = dict(zip(words[5::2], words[6::2], strict=True))
    assert options == {
        "--size": "tiny",
        "--seed": "0",
        "--work-dir": str(run.folder),
        "--steps": "7",
        "--data": "shards",
    }
    assert plan.command(run, True)[-1] == "--resume"
    assert Plan(steps=9).runs[0].folder != Plan().runs[0].folder
