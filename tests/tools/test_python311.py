import ast
from pathlib import Path

import functions
from tools.python311 import calls
from tools.python311.check import FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
_OF_CALLS = {"http", "event", "message", "timer"}


def _called() -> set[str]:
    tree = ast.parse(Path(calls.__file__).read_text("utf-8"))
    story = next(one for one in tree.body if isinstance(one, ast.AsyncFunctionDef) and one.name == "_story")
    found = [one for one in ast.walk(story) if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)]
    named = [one.args[0] for one in found if isinstance(one.func, ast.Attribute) and one.func.attr in _OF_CALLS]
    return {str(one.value) for one in named if isinstance(one, ast.Constant)}


def test_the_check_on_python_311_knows_and_calls_every_function_of_the_app() -> None:
    files = {one.stem for one in Path(functions.__file__).parent.glob("*.py")} - {"__init__", "answers"}
    assert files == FUNCTIONS
    assert len(functions.BLUEPRINTS) == len(FUNCTIONS)
    assert _called() >= FUNCTIONS - {"key_events", "resource_events"}  # these two are called in a loop over both
