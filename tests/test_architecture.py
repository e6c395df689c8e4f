"""The shape of the program, held by its own text: rooms, their one-way order, and small functions.

Each rule is a function from the modules of a package to the lines that break it, so that a failure
reads like a compiler's message. The last test shows every rule a package that breaks it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.conftest import REPOSITORY

PACKAGE = "broadcaster"

# Imports go down this list or stay within a line of it, never up. A new room is entered here.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"alert", "clock", "config", "drawing", "logs", "measure"}),
    frozenset({"delivery"}),
    frozenset(
        {"answer", "captions", "channels", "facts", "fitting", "policy", "record", "render"}
        | {"store", "texts", "wording"}
    ),
    frozenset(
        {"audit", "auth", "cards", "dispatcher", "drawers", "insisting", "intake", "lanes"}
        | {"notices", "probes", "resolving", "sending", "visibility", "web"}
    ),
    frozenset({"app"}),
    frozenset({"sandbox"}),
    frozenset({"terminal", "demo"}),
    frozenset({"__main__"}),
)
# The stand-in networks know nothing of the daemon, or they would agree with its mistakes.
SANDBOX_MAY_IMPORT = frozenset({"alert", "clock", "delivery", "measure", "sandbox"})
# One channel's fault must stop nothing else; the other two hand an error to where its caller waits,
# in another thread.
MAY_CATCH_ALL = frozenset(
    {"broadcaster.resolving", "broadcaster.store.engine", "broadcaster.channels.pool"}
)
NOT_A_ROOM = frozenset(
    {"base", "common", "core", "helpers", "manager", "managers", "utils", "util"}
)
DATABASE_LIBRARIES = frozenset({"alembic", "psycopg", "sqlalchemy", "sqlite3"})
SQL = re.compile(
    r"^\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|TRIGGER)\s|PRAGMA\s)",
    re.DOTALL,
)
FUNCTION_LINES = 60
BROAD = frozenset({"Exception", "BaseException"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of the package; `path` begins with the package's own folder."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Parse the file once."""
        return ast.parse(self.text, filename=str(self.path))

    @property
    def name(self) -> str:
        """Give the dotted name other modules import it by."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """Give the first name below the package; the package's own __init__ has none."""
        return room_of(self.name)

    def fault(self, line: int, rule: str) -> str:
        """Say which line breaks which rule, the way an editor can jump to."""
        return f"{self.path.as_posix()}:{line}: {rule}"

    def imports(self) -> Iterator[tuple[int, str]]:
        """Give the line and the full name of everything imported, wherever in the file."""
        here = self.name.split(".")
        inside = here if self.path.name == "__init__.py" else here[:-1]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = inside[: len(inside) - node.level + 1] if node.level else []
                source = ".".join([*above, *filter(None, [node.module])])
                yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)

    def functions(self) -> Iterator[Function]:
        """Give every function and method."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node

    def constants(self) -> Iterator[ast.Constant]:
        """Give every constant that is not a docstring."""
        prose = {
            id(node.value)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and id(node) not in prose:
                yield node


def room_of(name: str) -> str:
    """Give the room a dotted name lies in, or nothing for the package itself."""
    return name.removeprefix(PACKAGE).removeprefix(".").partition(".")[0]


def read_package(root: Path) -> list[Module]:
    """Read every module of the package that lies in `root`."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    return [Module(file.relative_to(root), file.read_text(encoding="utf-8")) for file in files]


def rank(room: str) -> int | None:
    """Give the layer of a room, or nothing when it is on no list."""
    return next((at for at, rooms in enumerate(LAYERS) if room in rooms), None)


def rooms_without_a_place(modules: list[Module]) -> list[str]:
    """Every room stands on a layer."""
    return [
        module.fault(1, f"room {module.room!r} is on no layer of tests/test_architecture.py")
        for module in modules
        if module.room and rank(module.room) is None
    ]


def imports_upwards(modules: list[Module]) -> list[str]:
    """No room imports one of a later layer, and the sandbox only what it may."""
    faults = []
    for module in modules:
        here = rank(module.room)
        for line, name in module.imports():
            there = room_of(name)
            step = rank(there) if name.startswith(f"{PACKAGE}.") else None
            if here is None or step is None:
                continue
            if step > here:
                faults.append(module.fault(line, f"{module.room} imports {there}, a later layer"))
            if module.room == "sandbox" and there not in SANDBOX_MAY_IMPORT:
                faults.append(module.fault(line, f"the sandbox imports {there} of the daemon"))
    return faults


def import_cycles(modules: list[Module]) -> list[str]:
    """No module imports itself by way of others."""
    by_name = {module.name: module for module in modules}
    edges: dict[str, dict[str, int]] = {}
    for module in modules:
        targets = edges.setdefault(module.name, {})
        for line, name in module.imports():
            target = name if name in by_name else name.rpartition(".")[0]
            if target in by_name and target not in (module.name, PACKAGE):
                targets.setdefault(target, line)

    def way(start: str) -> list[str]:
        trail: list[list[str]] = [[start]]
        seen: set[str] = set()
        while trail:
            path = trail.pop()
            for target in edges[path[-1]]:
                if target == start:
                    return [*path, start]
                if target not in seen:
                    seen.add(target)
                    trail.append([*path, target])
        return []

    found = [(name, way(name)) for name in edges]
    return [
        by_name[name].fault(edges[name][path[1]], f"import cycle {' -> '.join(path)}")
        for name, path in found
        if path
    ]


def sql_outside_the_store(modules: list[Module]) -> list[str]:
    """Only the store imports a database library or writes SQL."""
    faults = []
    for module in modules:
        if module.room == "store":
            continue
        faults += [
            module.fault(line, f"imports {name}, which only the store may")
            for line, name in module.imports()
            if name.partition(".")[0] in DATABASE_LIBRARIES
        ]
        faults += [
            module.fault(text.lineno, "SQL outside the store")
            for text in module.constants()
            if SQL.search(str(text.value))
        ]
    return faults


def sends_outside_the_dispatcher(modules: list[Module]) -> list[str]:
    """Only the dispatcher has things sent; handing on to a library's own method by super() is none.

    The terminal's command of that name speaks to a daemon, never to a channel.
    """
    return [
        module.fault(node.lineno, "calls send, which only sending.py may")
        for module in modules
        if module.room not in {"dispatcher", "sending", "terminal", "__main__"}
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "send"
        and ast.unparse(node.func.value) != "super()"
    ]


def names_that_say_nothing(modules: list[Module]) -> list[str]:
    """A room is named by what it holds."""
    return [
        module.fault(1, f"{part!r} says nothing about what is inside")
        for module in modules
        for part in module.name.split(".")
        if part in NOT_A_ROOM
    ]


def broad_excepts(modules: list[Module]) -> list[str]:
    """Errors are named where they are caught; each of MAY_CATCH_ALL may catch everything once."""
    left = set(MAY_CATCH_ALL)
    faults = []
    for module in modules:
        for line in broad_lines(module):
            if module.name in left:
                left.remove(module.name)
            else:
                faults.append(module.fault(line, "catches everything; name the errors"))
    return faults


def broad_lines(module: Module) -> Iterator[int]:
    """Give the lines that catch or suppress Exception, BaseException or anything at all."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            names = {ast.unparse(part) for part in ast.walk(node.type)} if node.type else BROAD
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            names = {ast.unparse(part) for part in node.args}
        else:
            continue
        if names & BROAD:
            yield node.lineno


def modules_without_a_test(modules: list[Module], root: Path) -> list[str]:
    """A module that does something has its test where one looks for it."""
    return [
        module.fault(1, f"has no {expected[0].as_posix()}")
        for module in modules
        if "migrations" not in module.path.parts and has_logic(module)
        for expected in [files_of_the_test(module)]
        if not any((root / file).exists() for file in expected)
    ]


def files_of_the_test(module: Module) -> list[Path]:
    """Say where the test of a module may lie: the same place below tests, a room's also inside."""
    inside = Path("tests", *module.path.parts[1:-1])
    stem = module.path.stem
    if stem != "__init__":
        return [inside / f"test_{stem.strip('_')}.py"]
    return [inside / f"test_{inside.name}.py", inside.parent / f"test_{inside.name}.py"]


def has_logic(module: Module) -> bool:
    """Say whether any function does more than name its shape, as a Protocol's methods do."""
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for function in module.functions()
        for statement in function.body
    )


def long_functions(modules: list[Module]) -> list[str]:
    """No function is longer than a page."""
    return [
        module.fault(node.lineno, f"{node.name} has {lines} lines, more than {FUNCTION_LINES}")
        for module in modules
        for node in module.functions()
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]


def held(faults: list[str]) -> None:
    """Fail with one line for each fault."""
    assert not faults, "\n" + "\n".join(faults)


def test_every_room_has_its_place() -> None:
    """A new room is entered in the order before it is used."""
    held(rooms_without_a_place(read_package(REPOSITORY)))


def test_imports_go_one_way() -> None:
    """What everything stands on knows nothing of what stands on it."""
    held(imports_upwards(read_package(REPOSITORY)))


def test_no_import_goes_in_a_circle() -> None:
    """Modules can be read one after the other."""
    held(import_cycles(read_package(REPOSITORY)))


def test_only_the_store_speaks_sql() -> None:
    """Whoever asks what is stored finds it in one room."""
    held(sql_outside_the_store(read_package(REPOSITORY)))


def test_only_the_dispatcher_sends() -> None:
    """No post goes out that the store has not written down first."""
    held(sends_outside_the_dispatcher(read_package(REPOSITORY)))


def test_rooms_are_named_by_what_they_hold() -> None:
    """There is no drawer for everything."""
    held(names_that_say_nothing(read_package(REPOSITORY)))


def test_errors_are_caught_by_name() -> None:
    """An error nobody thought of is not swallowed."""
    held(broad_excepts(read_package(REPOSITORY)))


def test_every_module_has_its_test_beside_it() -> None:
    """The tests mirror the modules."""
    held(modules_without_a_test(read_package(REPOSITORY), REPOSITORY))


def test_functions_fit_on_a_page() -> None:
    """A function can be read at once."""
    held(long_functions(read_package(REPOSITORY)))


BAD_PACKAGE = {
    "alert.py": "from broadcaster.store import rows\nimport sqlite3\n",
    "store/__init__.py": "from broadcaster import alert\n",
    "resolving.py": "try:\n    pass\nexcept Exception:\n    pass\n",
    "policy.py": "try:\n    pass\nexcept (ValueError, Exception):\n    pass\n",
    "render.py": (
        "def f(channel):\n"
        "    'SELECT * FROM alert '\n"
        "    return channel.send('DELETE FROM alert')\n"
    ),
    "sandbox/x.py": "from ..app import start\n",
    "utils.py": "def long():\n" + "    pass\n" * FUNCTION_LINES,
}


def test_the_rules_find_what_breaks_them(tmp_path: Path) -> None:
    """Each rule names the file and line of a package made to break it, and nothing else."""
    for name, text in BAD_PACKAGE.items():
        file = tmp_path / PACKAGE / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    modules = read_package(tmp_path)

    def places(faults: list[str]) -> list[str]:
        return [fault.removeprefix(f"{PACKAGE}/").partition(": ")[0] for fault in faults]

    assert places(rooms_without_a_place(modules)) == ["utils.py:1"]
    assert places(imports_upwards(modules)) == ["alert.py:1", "sandbox/x.py:1"]
    assert places(import_cycles(modules)) == ["alert.py:1", "store/__init__.py:1"]
    assert places(sql_outside_the_store(modules)) == ["alert.py:2", "render.py:3"]
    assert places(sends_outside_the_dispatcher(modules)) == ["render.py:3"]
    assert places(names_that_say_nothing(modules)) == ["utils.py:1"]
    assert places(broad_excepts(modules)) == ["policy.py:3"]
    assert places(modules_without_a_test(modules, tmp_path)) == ["render.py:1", "utils.py:1"]
    assert places(long_functions(modules)) == ["utils.py:1"]
