"""A config file that could train another model than it seems to say is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.house_rules import broken_rules, docstring_of

ALLOWED = ("model", "augmentation", "sizes")


def broken(tmp_path: Path, body: str, docstring: str = '"""A config."""\n') -> list[str]:
    file = tmp_path / "mine.py"
    file.write_text(docstring + body)
    return broken_rules(file, ALLOWED)


@pytest.mark.parametrize(
    "body",
    [
        "model = dict(head=dict(type='flat', steps=-3, size=(2, 3), x=None, y=[1e-4 * 2]))",
        "model = {'head': {'type': 'flat'}}",
        "from torch.optim import AdamW\nmodel = dict(type=AdamW)",
        "import torch\nmodel = dict(type=torch.optim.AdamW)",
        "model = dict()\nmodel.update(a=1)\nmodel['head'] = dict()\nmodel.head.update({'x': 1})",
        "model = dict()\nmodel.losses['a.b'].update(weight=1)",
    ],
)
def test_values_differences_and_classes_are_allowed(tmp_path, body):
    assert broken(tmp_path, body) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            "modle = dict(steps=1)",
            "'modle' is no top-level name of a config. Did you mean 'model'?",
        ),
        ("head = dict(steps=1)", "write model.head.update(...)"),
        ("head.update(steps=3)", "'head' is no top-level name"),
        ("model = dict(head=augmentation)", "`augmentation` is computed"),
        ("model = dict(a=[x for x in (1, 2)])", "is computed"),
        ("model = dict(a=f'{1}')", "is computed"),
        ("model = dict(a=len('abc'))", "is computed"),
        ("model = dict(**dict(a=1))", "unpacks another dict"),
        ("model = {**{'a': 1}}", "unpacks another dict"),
        ("model = dict(a=1 if 2 else 3)", "is computed"),
        ("for i in (1, 2):\n    model = dict(a=1)", "For is not allowed"),
        ("def f():\n    return 1", "FunctionDef is not allowed"),
        ("if True:\n    model = dict()", "If is not allowed"),
        ("model = dict()\nmodel.pop('head')", "Expr is not allowed"),
        ("del model", "Delete is not allowed"),
        ("import os\nmodel = dict(a=1)", "imports os"),
        ("from pathlib import Path\nmodel = dict(a=1)", "imports pathlib"),
        ("model = augmentation = dict()", "Assign is not allowed"),
        ("model = dict()\nmodel[0 + 1] = 2", "a key is written out"),
        ("with open('x'):\n    pass", "only `with read_base():`"),
        ("model = (", "not valid Python"),
    ],
)
def test_anything_that_computes_or_aliases_is_refused_with_its_line(tmp_path, body, problem):
    found = broken(tmp_path, body)
    assert any(problem in sentence for sentence in found), found
    assert all(sentence.startswith(f"{tmp_path / 'mine.py'}:") for sentence in found)


def test_a_config_without_a_docstring_is_refused(tmp_path):
    (problem,) = broken(tmp_path, "model = dict()", docstring="")
    assert problem.endswith("a config starts with a docstring saying what it is.")


def test_every_broken_rule_is_reported_at_once(tmp_path):
    assert len(broken(tmp_path, "import os\nhead = 1\ndel model\n", docstring="")) == 4


def write_chain(tmp_path: Path, *names: str) -> Path:
    """Files that each read the one before."""
    (tmp_path / "start.py").write_text('"""Start."""\nmodel = dict(a=1)\n')
    before = "start"
    for name in names:
        (tmp_path / f"{name}.py").write_text(
            '"""Next."""\nfrom mmengine.config import read_base\n'
            f"with read_base():\n    from .{before} import *\n"
        )
        before = name
    return tmp_path / f"{before}.py"


def test_two_hops_are_enough(tmp_path):
    assert broken_rules(write_chain(tmp_path, "root", "variant"), ALLOWED) == []
    (problem,) = broken_rules(write_chain(tmp_path, "root", "variant", "third"), ALLOWED)
    assert "too many read_base hops" in problem
    assert broken_rules(tmp_path / "third.py", ALLOWED, max_hops=3) == []


def test_what_a_base_breaks_is_reported_with_the_bases_name(tmp_path):
    variant = write_chain(tmp_path, "root")
    (tmp_path / "start.py").write_text('"""Start."""\nhead = dict()\n')
    (problem,) = broken_rules(variant, ALLOWED)
    assert problem.startswith(f"{tmp_path / 'start.py'}:2:")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("from .root import model", "a base is read whole"),
        ("from .root import *\nwith read_base():\n    from .root import *", "a second `with`"),
        ("from .nowhere import *", "no config file at .nowhere"),
        ("from nowhere.at.all import *", "no config file at nowhere.at.all"),
    ],
)
def test_a_base_is_read_whole_once_and_must_be_there(tmp_path, line, problem):
    write_chain(tmp_path, "root")
    found = broken(tmp_path, f"with read_base():\n    {line}\n")
    assert any(problem in sentence for sentence in found), found


def test_a_configs_first_line_says_what_it_is(tmp_path):
    (tmp_path / "mine.py").write_text('"""What it is.\n\nMore."""\n')
    assert docstring_of(tmp_path / "mine.py") == "What it is."


def test_a_base_that_leads_back_to_itself_is_a_circle(tmp_path):
    for name, other in (("first", "second"), ("second", "first")):
        (tmp_path / f"{name}.py").write_text(
            f'"""{name}."""\nfrom mmengine.config import read_base\n\n'
            f"with read_base():\n    from .{other} import *\n"
        )
    (found,) = broken_rules(tmp_path / "first.py", ("model",))
    assert found.endswith(
        "second.py:5: read_base goes in a circle: first.py -> second.py -> first.py."
    )


def test_a_base_that_reads_itself_is_a_circle(tmp_path):
    file = tmp_path / "alone.py"
    file.write_text(
        '"""Alone."""\nfrom mmengine.config import read_base\n\n'
        "with read_base():\n    from .alone import *\n"
    )
    (found,) = broken_rules(file, ("model",))
    assert found.endswith("alone.py:5: read_base goes in a circle: alone.py -> alone.py.")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("head = dict(type='x')\nmodel = dict(head=head)\n", "'head' is no top-level name"),
        ("model = dict(head=dict(type='x'))\ndata = dict(head=model.head)\n", "is computed"),
        ("model = data = dict()\n", "Assign is not allowed"),
    ],
    ids=["beside the model", "inside another section", "two names for one dict"],
)
def test_a_base_cannot_alias_a_component(tmp_path, text, says):
    (tmp_path / "base.py").write_text(f'"""A base."""\n{text}')
    child = tmp_path / "child.py"
    child.write_text(
        '"""A child."""\nfrom mmengine.config import read_base\n\n'
        "with read_base():\n    from .base import *\n"
    )
    found = broken_rules(child, ("model", "data"))
    assert any("base.py" in problem and says in problem for problem in found), found
