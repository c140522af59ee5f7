"""What a user mistypes is answered in one sentence, quickly, with exit code 2."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from zoo.app.cli.main import app

# Runs the command line as the console script does, then says whether torch was loaded for it.
_RUN = """
import sys
sys.argv = ["zoo", *sys.argv[1:]]
from zoo.app.cli.main import main
try:
    main()
except SystemExit as end:
    print("torch" if "torch" in sys.modules else "light", file=sys.stderr)
    raise
"""


def zoo(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _RUN, *words], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "csvit2_ief4"), "csvit2_ief3"),
        (("show", "csvit2_ief3", "--set", "model.head.stpes=3"), "steps"),
        (("show", "csvit2_ief3", "--set", "model.head.type=mano_decodr"), "mano_decoder"),
        (("show", "csvit2_ief3", "--size", "tny"), "tiny"),
        (("list", "haed"), "head"),
        (("trian", "csvit2_ief3"), "train"),
        (("bench", "--compare", "hammer"), "hamer"),
        (("ladder", "csvit2_to_hammer"), "csvit2_to_hamer"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest_one_before_torch_loads(words, says):
    ended = zoo(*words)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip().endswith("light")


@pytest.mark.parametrize("words", [("--help",), ("list", "configs"), ("show", "csvit2_ief3")])
def test_looking_around_never_loads_torch(words):
    ended = zoo(*words)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr.strip().endswith("torch")


def test_list_says_what_each_part_of_a_slot_is_and_who_provides_something():
    told = CliRunner().invoke(app, ["list", "camera", "--providing", "log_heatmap_x"]).stdout
    assert "metric" not in told
    assert re.search(r"heatmap +│ The wrist", told)
    wrong = ["list", "camera", "--providing", "log_heatmp_x"]
    with pytest.raises(ValueError, match="Did you mean 'log_heatmap_x'"):
        CliRunner().invoke(app, wrong, catch_exceptions=False)


def test_diff_names_exactly_what_the_variant_changes():
    shown = zoo("diff", "csvit2", "csvit2_ief3").stdout
    for path in ("model.head.steps", "model.head.residual", "model.head.init"):
        assert path in shown
    assert "model.backbone" not in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("eval", "csvit2_ief3", "nowhere", "--size", "tiny"), "nowhere"),
        (("eval", "csvit2_ief3", "nowhere"), "no such file"),
        (("train", "csvit2_ief3", "--size", "tiny", "--data", "nowhere"), "--data nowhere: no"),
        (("train", "csvit2_ief3", "--size", "tiny", "--precision", "fp16"), "bf16"),
        (("predict", "csvit2_ief3", "nowhere", "nothing.jpg"), "nothing.jpg"),
        (("train", "csvit2_ief3", "--size", "full"), "dinov2"),
    ],
)
def test_a_missing_file_or_device_is_one_sentence(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    ended = zoo(*words)
    assert ended.returncode in (1, 2)
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
