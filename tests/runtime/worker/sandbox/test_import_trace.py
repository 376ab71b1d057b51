"""Who asked for a module: the author's code, or a library while it is loaded or at work."""

import json
import sys

import pytest

from federator.runtime.worker.sandbox.import_trace import ImportTrace


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Return a function that runs an author's module, and returns what was asked for."""
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {
        "traced_library": "try:\n    import traced_found\nexcept ImportError:\n    pass\n\n"
        "def read():\n    import importlib\n    importlib.import_module('traced_reader')\n",
        "traced_found": "",
        "traced_reader": "",
        "traced_own": "",
        "traced_task": "import traced_own\nimport traced_library\nimport traced_absent",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)

    def run(call):
        trace = ImportTrace(tmp_path / "north.imported", frozenset({"traced_task"}))
        monkeypatch.setattr(sys, "meta_path", [trace, *sys.meta_path])
        with pytest.raises(ModuleNotFoundError, match="traced_absent"):
            __import__("traced_task")
        call(sys.modules["traced_library"])
        trace.write()
        return json.loads((tmp_path / "north.imported").read_text())

    yield run
    for name in files:
        sys.modules.pop(name, None)


def test_who_asked_for_a_module_and_whether_a_library_was_loaded_meanwhile(listed):
    found = listed(lambda library: library.read())
    assert found["traced_own"] == ["traced_task", False]
    assert found["traced_library"] == ["traced_task", False]
    assert found["traced_found"] == ["traced_library", True]
    assert found["traced_reader"][0] == "traced_library"
    assert not {"json", "traced_task", "traced_absent"} & found.keys()
