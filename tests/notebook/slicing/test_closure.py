import random

import pytest
from fixtures.programs import program

from federator.notebook.slicing.component import component, undefined


def sliced(*cells, names=("f",)):
    """Return the text of a slice, a statement a line where each is one."""
    written = program(*cells)
    return [statement.source for statement in component(written.closure(names)).statements]


CLASS = "class f(list):\n    size = a\n    def get(self):\n        return b"
DEF = "def f():\n    return x"


@pytest.mark.parametrize(
    ("cells", "taken"),
    [
        pytest.param(["x = 1", "y = 2", DEF], ["x = 1", DEF], id="only what is needed"),
        pytest.param(["a = 1", "x = a + 1", DEF], ["a = 1", "x = a + 1", DEF], id="transitive"),
        pytest.param([DEF, "x = 1"], [DEF, "x = 1"], id="defined below its function"),
        pytest.param(["x = 1", DEF, "x = 2"], [DEF, "x = 2"], id="the last one counts"),
        pytest.param(["x = 1", "x = x + 1", DEF], ["x = 1", "x = x + 1", DEF], id="rebound"),
        pytest.param(["x = 1", "x += 1", DEF], ["x = 1", "x += 1", DEF], id="augmented"),
        pytest.param(
            ["x = {}", "x['a'] = 1", "x.b = 2", "x.update(c=3)", "x.show()", DEF],
            ["x = {}", "x['a'] = 1", "x.b = 2", "x.update(c=3)", DEF],
            id="changes go in, other calls stay",
        ),
        pytest.param(
            ["x = {}", "del x['a']", "del x", DEF], ["x = {}", "del x['a']", DEF], id="del"
        ),
        pytest.param(
            ["import x", "x.flag = True", "x.append('/lib')", DEF],
            ["import x", DEF],
            id="changes of modules stay",
        ),
        pytest.param(
            ["x = 1", "if x:\n    x = 2", DEF], ["x = 1", "if x:\n    x = 2", DEF], id="if"
        ),
        pytest.param(
            ["with open('a') as g:\n    y = 1", "with open('b') as g:\n    x = g.read()", DEF],
            ["with open('b') as g:\n    x = g.read()", DEF],
            id="a name bound before it is read needs nothing",
        ),
        pytest.param(
            ["i = 1", "x = 0\nfor i in range(3):\n    x += i", DEF],
            ["x = 0", "for i in range(3):\n    x += i", DEF],
            id="a loop's variable needs nothing",
        ),
        pytest.param(
            ["try:\n    import x\nexcept ImportError:\n    x = None", DEF],
            ["try:\n    import x\nexcept ImportError:\n    x = None", DEF],
            id="try",
        ),
        pytest.param(["x: int = 1", DEF], ["x: int = 1", DEF], id="annotated"),
        pytest.param(["x = 1", "x: int", DEF], ["x = 1", DEF], id="an annotation binds nothing"),
        pytest.param(["(x, *y), z = [1, 2], 3", DEF], ["(x, *y), z = [1, 2], 3", DEF], id="tuple"),
        pytest.param(["print(x := 1)", DEF], ["print(x := 1)", DEF], id="walrus"),
        pytest.param(
            ["match 3:\n    case x:\n        pass", DEF],
            ["match 3:\n    case x:\n        pass", DEF],
            id="match",
        ),
        pytest.param(
            ["def g():\n    global x\n    x = 1", "g()", DEF],
            ["def g():\n    global x\n    x = 1", "g()", DEF],
            id="global",
        ),
        pytest.param(
            ["n = 2", "x = [i + n for i in range(n) if i]", "i = 5", DEF],
            ["n = 2", "x = [i + n for i in range(n) if i]", DEF],
            id="comprehension",
        ),
        pytest.param(
            ["a = 1\nb = 2", CLASS],
            [
                "a = 1",
                "b = 2",
                "class f(list):\n    size = a\n    def get(self):\n        return b",
            ],
            id="class",
        ),
        pytest.param(
            ["def deco(g):\n    return g", "n = 1", "@deco\ndef f(a=n):\n    return a"],
            ["def deco(g):\n    return g", "n = 1", "@deco\ndef f(a=n):\n    return a"],
            id="decorator and default",
        ),
        pytest.param(
            ["def f():\n    return g()", "def g():\n    return f()"],
            ["def f():\n    return g()", "def g():\n    return f()"],
            id="circular functions",
        ),
        pytest.param(
            ["k = 1", "def g():\n    return k", "x = g()", "k = 2", DEF],
            ["k = 1", "def g():\n    return k", "x = g()", "k = 2", DEF],
            id="a function called on the way sees what was set then",
        ),
        pytest.param(
            ["def f():\n    return sum([1])", "sum = 0"],
            ["def f():\n    return sum([1])"],
            id="a builtin is not taken away by a later cell",
        ),
        pytest.param(
            ["from numpy import sum", "def f():\n    return sum([1])"],
            ["from numpy import sum", "def f():\n    return sum([1])"],
            id="a builtin that an import replaces above",
        ),
        pytest.param(
            ["import x", DEF, "import x\nimport y"], ["import x", DEF], id="a repeated import"
        ),
        pytest.param(
            ["import x.a", "import x.b", "import x", DEF],
            ["import x.a", "import x.b", DEF],
            id="submodules add up",
        ),
        pytest.param(["a = 1; x = 2; b = 3", DEF], ["a = 1; x = 2; b = 3", DEF], id="one line"),
        pytest.param(
            ["# far\n\n# near\n# nearer\nx = 1  # beside\n# below", DEF],
            ["# near\n# nearer\nx = 1  # beside", DEF],
            id="comments directly above",
        ),
        pytest.param([("x = 1", "local"), "x = 2", ("x = 3", "local"), DEF], ["x = 2", DEF]),
        pytest.param(
            ["y = 1", "from __future__ import annotations", "x = 1", DEF],
            ["from __future__ import annotations", "x = 1", DEF],
            id="future comes first",
        ),
    ],
)
def test_the_closure_takes_what_the_names_need(cells, taken):
    assert sliced(*cells) == taken


def test_a_statement_knows_its_place_with_decorators_and_comments():
    made = component(program("\n# why\n@staticmethod\ndef f(): ...").closure(["f"]))
    assert [(s.cell, s.line) for s in made.statements] == [(1, 2)]
    assert made.statements[0].source == "# why\n@staticmethod\ndef f(): ..."


def test_imports_are_collected_from_functions_too():
    made = component(
        program(
            "from __future__ import annotations\nimport a.b as c, d",
            "import unneeded",
            "def f():\n    from e.g import h\n    return c, d",
        ).closure(["f"])
    )
    assert {module: str(where) for module, where in made.imports.items()} == {
        "a": "n.ipynb: cell 1, line 2",
        "d": "n.ipynb: cell 1, line 2",
        "e": "n.ipynb: cell 3, line 2",
    }


@pytest.mark.parametrize(
    ("cells", "missing"),
    [
        (["def f():\n\n    return x"], {"x": "n.ipynb: cell 1, line 3"}),
        (["# why\n\n\n# x\ndef f():\n    return 1, x"], {"x": "n.ipynb: cell 1, line 6"}),
        (["y = 1", "x = y + z\n", DEF], {"z": "n.ipynb: cell 2, line 1"}),
        (["a = b", "b = a", "x = a", DEF], {"b": "n.ipynb: cell 1, line 1"}),
        (["def f(a: 'Unknown'):\n    return len(a), __name__"], {}),
        (["def f():\n    try:\n        x\n    except NameError:\n        pass"], {}),
        (["def f():\n    x = 1\n    return [x for _ in y]"], {"y": "n.ipynb: cell 1, line 3"}),
    ],
)
def test_names_that_nothing_defines_are_found_with_their_place(cells, missing):
    written = program(*cells)
    found = undefined(written.closure(["f"]))
    assert {name.name: str(name.where) for name in found} == missing


@pytest.mark.parametrize("seed", range(120))
def test_a_slice_computes_what_the_whole_notebook_computes(seed):
    cells = made_up(random.Random(seed))
    written = program(*cells)
    whole, part = {}, {}
    exec("\n".join(cells), whole)
    exec("\n".join(sliced(*cells, names=["result"])), part)
    assert part["result"]() == whole["result"]()
    assert not written.left_behind
    assert not undefined(written.closure(["result"]))


def made_up(rng):
    """Return a notebook of random statements that bind, rebind, change, and call."""
    names, functions = "abcd", "pqr"
    cells = [f"{name} = [{i}]" for i, name in enumerate(names)]
    cells += [f"def {name}():\n    return [9]" for name in functions]
    cells += ["def fill(k, n=0):\n    own = k\n    own[n] = 7", "def grow():\n    a.append(5)"]
    for _ in range(rng.randrange(4, 20)):
        x, y, g = rng.choice(names), rng.choice(names), rng.choice(functions)
        cells.append(
            rng.choice(
                [
                    f"{x} = {y} + [{rng.randrange(9)}]",
                    f"{x} = {g}() + {y}",
                    f"{x} = list({y})",
                    f"{x} += [{rng.randrange(9)}]",
                    f"{x}[0] = len({y})",
                    f"{x}.append({rng.randrange(9)})",
                    f"if len({x}) > {rng.randrange(4)}:\n    {y} = {g}()",
                    f"for i in {x}[:2]:\n    {y} = {y} + [i]",
                    f"with memoryview(b'') as i:\n    {x} = list({y})",
                    f"def {g}():\n    return {x} + list({y})",
                    f"def {g}(k={x}):\n    return list(k) + {y}",
                    f"{g} = (lambda k: lambda: {x} + k)({y})",
                    f"{x} = [len(j) for j in ({x}, {y})]",
                    f"{x} = {y}",
                    f"{x} = e = {y}[:] + [2]",
                    f"e = {x}\ne[0] = {rng.randrange(9)}",
                    f"{x}, e = {y}, {x}\ne.append({rng.randrange(9)})",
                    f"fill({x})",
                    f"fill(k={x})",
                    "grow()",
                    f"for i in [{x}, {y}]:\n    i.append(6)",
                    f"list(map(fill, [{x}, {y}]))",
                    f"held = dict(k={x})\nheld['k'][0] = {rng.randrange(9)}",
                    f"held = {{'k': {x}}}\nheld['k'] += [8]",
                ]
            )
        )
    x, y, g = rng.choice(names), rng.choice(names), rng.choice(functions)
    cells.insert(rng.randrange(9, len(cells) + 1), f"def result():\n    return {x} + {y} + {g}()")
    return cells
