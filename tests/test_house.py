"""The structure of the project: an import goes only downwards, and what is about one model or one task stays there."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from trainers import model as models

ROOT = Path(__file__).parents[1]
FLOORS = ("trainers", "search_spaces", "tuning", "serve")  # from the bottom up
ROOMS = (
    "stores",
    "study",
    "search",
    "execution",
    "tracking",
    "pictures",
    "callbacks",
    "reporting",
    "api",
    "selection",
    "active",
    "jobs",
)  # of tuning
COMMANDS = {
    "tuning": {
        "run",
        "train",
        "report",
        "compare",
        "promote",
        "ledger",
        "replay",
        "select",
        "ablate",
        "postprocess",
        "status",
        "attach",
        "stop",
    },
    "serve": {"run", "promote", "detect", "token", "latency"},
}
MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
LIGHT = {"trainers": {"ray", "optuna", "mlflow"}, "search_spaces": {"ray", "mlflow", "tensorflow"}}


@functools.cache
def imported(path: Path) -> set[str]:
    """The dotted names that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def of_ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in FLOORS}


def test_an_import_goes_only_downwards_between_the_packages():
    for path in MODULES:
        floor = FLOORS.index(path.relative_to(ROOT).parts[0])
        above = [name for name in of_ours(imported(path)) if FLOORS.index(name.split(".")[0]) > floor]
        assert not above, f"{name_of(path)} imports {above}"


def test_an_import_goes_only_downwards_between_the_rooms_of_tuning():
    for path in (ROOT / "tuning").rglob("*.py"):
        room = path.relative_to(ROOT / "tuning").parts[0]
        if room not in ROOMS:
            continue  # the package itself, and the commands on top
        for name in of_ours(imported(path)):
            parts = name.split(".")
            if parts[0] == "tuning" and len(parts) > 1:
                assert parts[1] not in COMMANDS["tuning"], f"{name_of(path)} imports the command {name}"
                assert parts[1] not in ROOMS or ROOMS.index(parts[1]) <= ROOMS.index(room), (
                    f"{name_of(path)}: {name}"
                )


def test_every_folder_of_tuning_is_a_room_with_a_place():
    folders = {path.name for path in (ROOT / "tuning").iterdir() if (path / "__init__.py").exists()}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("package", COMMANDS)
def test_no_library_module_imports_a_command(package):
    for path in (ROOT / package).rglob("*.py"):
        if path.parent == ROOT / package:
            continue
        commands = {f"{package}.{command}" for command in COMMANDS[package]}
        assert not imported(path) & commands, name_of(path)


def test_imports_make_no_circles():
    known = {name_of(path): path for path in MODULES}
    graph = {name: of_ours(imported(path)) & known.keys() - {name} for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"circle: {' -> '.join((*way[way.index(name) :], name))}"
        if name not in done:
            for other in graph[name]:
                visit(other, (*way, name))
            done.add(name)

    lazy = {"search_spaces", "tuning", "serve", "trainers.datasets", "trainers.recipe"}  # import on demand
    graph = {name: others - lazy for name, others in graph.items()}
    for name in graph:
        visit(name, ())


def test_the_object_detection_api_is_imported_in_one_folder_only():
    home = ROOT / "trainers" / "object_detection_api"
    for path in MODULES:
        if not path.is_relative_to(home):
            outside = {
                name for name in imported(path) if name.split(".")[0] in ("object_detection", "official")
            }
            assert not outside, name_of(path)


@pytest.mark.parametrize(("floor", "heavy"), LIGHT.items())
def test_a_floor_knows_only_the_libraries_of_its_own(floor, heavy):
    for path in (ROOT / floor).rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & heavy, name_of(path)


@pytest.mark.parametrize("room", ["study", "search", "execution"])
def test_the_search_knows_no_metric_of_detection(room):
    for path in (ROOT / "tuning" / room).rglob("*.py"):
        found = re.findall(r"mAP|mean_ap|class_ap|coco_metrics|ImageResult", path.read_text(encoding="utf-8"))
        assert not found, f"{name_of(path)} names {found}"


def test_no_module_outside_a_models_own_names_that_model():
    """Its own: its module, its space, and the two lines in which these register."""
    for name in models.all_models():
        if models.get(name).trainer.split(".")[0] not in FLOORS:
            continue  # another test's
        spaces = ROOT / "search_spaces"
        homes = (
            ROOT / "trainers/object_detection_api/detectors",
            ROOT / "trainers/segmentation/segmenters",
            spaces,
            spaces / "families",
        )
        family = [name.rsplit("_", places)[0] for places in range(name.count("_") + 1)]
        own = {folder / f"{module}.py" for folder in homes for module in (*family, "__init__")}
        own |= {path for folder in ("segmenters", "two_stage") for path in (spaces / folder).glob("*.py")}
        # a backbone may have the name of a detector that is built on it
        own |= set((ROOT / "trainers/object_detection_api/pyramid/backbones").rglob("*.py"))
        own |= {path for folder in homes for path in folder.glob(f"{name}_*.py")}  # a family named after it
        for path in set(MODULES) - own:
            text = path.read_text(encoding="utf-8").lower()
            assert not re.search(rf"(?<![a-z_]){name}(?![a-z_])", text), f"{name_of(path)} names {name}"


def test_files_are_short_and_folders_are_small():
    tracked = [*MODULES, *(ROOT / "tests").rglob("*.py")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in tracked}
    assert not {name_of(path): count for path, count in lines.items() if count > 300}
    assert sorted(lines[path] for path in MODULES)[len(MODULES) // 2] <= 100
    folders = {path.parent for path in tracked}
    crowded = {str(f.relative_to(ROOT)): n for f in folders if (n := len(list(f.glob("*.py")))) > 15}
    assert not crowded


def test_no_two_test_modules_have_one_name():
    """pytest imports them by their names alone, and refuses the second only when both are run together."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))
