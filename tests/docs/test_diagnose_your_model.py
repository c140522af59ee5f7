"""docs/diagnose_your_model.md: its file is diagnosed as the page says, and its flaw is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from zoo.app.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "diagnose_your_model.md").read_text("utf-8")


def test_the_pages_model_is_diagnosed_and_its_untrained_translation_is_named(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (command,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    assert command.split()[:3] == ["zoo", "diagnose", "my_model.py"]
    file, numbers = tmp_path / "my_model.py", tmp_path / "d.json"
    file.write_text(code)
    options = ["--probe", "gradient.reach", "--probe", "ledger", "--json", str(numbers)]
    result = CliRunner().invoke(app, ["diagnose", str(file), "none", *options])
    assert result.exit_code == 0, result.output
    report = json.loads(numbers.read_text())
    statuses = {probe["id"]: (probe["status"], probe["why"]) for probe in report["probes"]}
    assert "crashed" not in {status for status, _ in statuses.values()}, statuses
    errors = [f for f in report["findings"] if f["severity"] == "error"]
    assert any("translation" in f["message"] for f in errors), errors
