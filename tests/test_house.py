"""The house: who may import what, what an import costs, and that the documents say what is run."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from nas.cli import cli

HEAVY = {"torch", "optuna", "ray", "sklearn", "matplotlib", "pydantic", "rich", "numpy"}
LEAVES = ("searchspaces", "trainers", "objectives")
PACKAGES = ("nas", *LEAVES)


def imported(code: str) -> set[str]:
    """Top-level names of the modules that are loaded after running ``code`` in a fresh process."""
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def test_import_contracts_hold(repository: Path) -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint_imports, "--no-cache"], cwd=repository, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def sources(root: Path) -> dict[str, str]:
    """Module name -> source of every file of a package."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def imports(module: str, source: str, modules: set[str]) -> Iterator[str]:
    """The modules of the same package that a module imports anywhere in its text, in functions and conditions too.

    What a package's ``__init__`` imports of its own folder is how its members are registered, and no arrow; to import a
    name that a package passes on is an arrow to the package.
    """
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else node.module for name in inner]
        yield from (name for name in names if name in modules and name != module)


def circle(package: dict[str, str]) -> list[str]:
    """Modules that import each other in a circle; empty if there is none."""
    modules = set(package)
    graph = {
        module: {name for name in imports(module, source, modules) if not name.startswith(f"{module}.")}
        for module, source in package.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_has_a_circle_of_imports(repository: Path, package: str) -> None:
    assert circle(sources(repository / package)) == []


@pytest.mark.parametrize(
    "second",
    ["import p.a", "from p import a", "from p.a import x", "def f():\n    from p.a import x", "if T:\n    import p.a"],
)
def test_a_circle_is_found_wherever_the_import_hides(second: str) -> None:
    assert set(circle({"p": "", "p.a": "import p.b", "p.b": second})) == {"p.a", "p.b"}
    assert circle({"p": "from p import a, b", "p.a": "import p.b", "p.b": "import os"}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_of_the_house_stand_at_the_head_of_a_file(repository: Path, package: str) -> None:
    """Nothing of the house is imported after the first definition of a file."""
    late = []
    for module, source in sources(repository / package).items():
        body = ast.parse(source).body
        first = next((i for i, node in enumerate(body) if isinstance(node, ast.FunctionDef | ast.ClassDef)), len(body))
        late += [module for node in body[first:] if isinstance(node, ast.Import | ast.ImportFrom)]
    assert late == []


def shadowed(source: str) -> list[str]:
    """Parameters that hide a name which their module imports or defines."""
    module = ast.parse(source)
    names = {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in module.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    functions = [node.args for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    return [a.arg for f in functions for a in (*f.posonlyargs, *f.args, *f.kwonlyargs) if a.arg in names]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_parameter_hides_a_name_of_its_module(repository: Path, package: str) -> None:
    found = {module: names for module, text in sources(repository / package).items() if (names := shadowed(text))}
    assert found == {}


def test_a_parameter_that_hides_a_name_is_found() -> None:
    assert shadowed("from a import spec\nclass B:\n    def f(self, spec, x): ...\ndef x(): ...") == ["spec", "x"]


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_imports_no_other_leaf_and_no_search_machinery(leaf: str) -> None:
    names = imported(f"import {leaf}")
    assert leaf in names
    assert names.isdisjoint({"nas", "optuna", "ray", "click", "rich", "pydantic", *LEAVES} - {leaf})


def test_importing_nas_imports_nothing_heavy() -> None:
    assert imported("import nas").isdisjoint(HEAVY)


def test_the_store_needs_neither_torch_nor_a_sampler() -> None:
    code = "import nas.store.artifacts, nas.store.history, nas.store.live, nas.store.records"
    assert imported(code).isdisjoint(HEAVY)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['nas', '--help']\nfrom nas.cli import main\ntry: main()\nexcept SystemExit: pass"
    assert imported(code).isdisjoint(HEAVY)


def test_the_package_of_the_search_can_be_called_like_the_function() -> None:
    code = "import nas; function = nas.search; import nas.search.launch; assert nas.search.__call__ is function"
    assert "nas" in imported(code)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = subprocess.run([sys.executable, "-m", "nas", name, "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert f"Example: nas {name}" in result.stdout


def commands(path: Path) -> list[str]:
    """The commands in the ``bash`` blocks of a Markdown file, one a line."""
    blocks = re.findall(r"```bash\n(.*?)```", path.read_text(), re.S)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip() and line[0] != "#"]


def test_ci_runs_what_contributing_says_and_the_test_command_of_the_readme(repository: Path) -> None:
    ci = (repository / ".ci" / "run").read_text()
    for command in commands(repository / "CONTRIBUTING.md"):
        assert command in ci, f"{command!r} of CONTRIBUTING.md is not in .ci/run"
    (tests,) = [command for command in commands(repository / "README.md") if "pytest" in command]
    assert tests in ci
