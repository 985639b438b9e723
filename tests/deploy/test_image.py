"""The image definitions: pinned, several stages, nobody's root, and everything the programs need inside."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.compose_secrets import required_names
from tests.deploy.compose_file import FILE, interpolated, services
from tests.deploy.manifests import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
POOLER = ROOT / "deploy" / "pgbouncer" / "Dockerfile"

Line = tuple[str, str]
Guard = Callable[[list[Line]], Iterator[str]]


def instructions(text: str) -> list[Line]:
    """(instruction, arguments), comments dropped and continuations joined."""
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", plain)
    found = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(word.upper(), rest.strip()) for word, _, rest in found]


def last_stage(lines: list[Line]) -> list[Line]:
    start = max(number for number, (word, _) in enumerate(lines) if word == "FROM")
    return lines[start:]


def pinned_bases(lines: list[Line]) -> Iterator[str]:
    defaults = dict(rest.split("=", 1) for word, rest in lines if word == "ARG" and "=" in rest)
    for image in (rest.split()[0] for word, rest in lines if word == "FROM"):
        name = re.sub(r"\$\{(\w+)\}", lambda found: defaults.get(found[1], ""), image)
        if not re.fullmatch(r"[a-z/]+:\d+\.\d+(\.\d+)?[\w.-]*(@sha256:[0-9a-f]{64})?", name):
            yield f"{image} is not pinned"


def numeric_user(lines: list[Line]) -> Iterator[str]:
    """Kubernetes checks runAsNonRoot against a number; the last USER counts."""
    users = [rest for word, rest in last_stage(lines) if word == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d{2,}:[1-9]\d{2,}", users[-1]):
        yield "does not run as a numbered account other than root"


def no_secret(lines: list[Line]) -> Iterator[str]:
    for word, rest in lines:
        if word in ("ENV", "ARG") and re.search(r"(?i)(password|secret|token|api_?key)\w*=", rest):
            yield f"{word} {rest.split('=')[0]}: would stay in the image's history"
        if word == "ADD" or (word == "COPY" and re.search(r"(^|\s)\.\s", rest)):
            yield f"{word} {rest}: may take anything along"


def hashed_dependencies(lines: list[Line]) -> Iterator[str]:
    for word, rest in lines:
        for command in rest.split("&&") if word == "RUN" else ():
            if re.search(r"\bpip\b.*\binstall\b", command) and not re.search(r"--require-hashes|--no-index", command):
                yield f"installs without hashes: {command.strip()}"


def nothing_but_the_result(lines: list[Line]) -> Iterator[str]:
    stages = [rest for word, rest in lines if word == "FROM"]
    if len(stages) < 2:
        yield "builds in the stage that runs"
    if any(word == "COPY" and "--from=" not in rest for word, rest in last_stage(lines)):
        yield "copies sources into the stage that runs"


def exec_form(lines: list[Line]) -> Iterator[str]:
    """In the shell form, PID 1 is a shell that hands no signal on."""
    commands = [rest for word, rest in last_stage(lines) if word in ("CMD", "ENTRYPOINT")]
    if not commands or not all(command.startswith("[") for command in commands):
        yield "the process would not get its signals"


EVERY: tuple[Guard, ...] = (pinned_bases, numeric_user, no_secret, hashed_dependencies, exec_form)

BROKEN: list[tuple[Guard, str, str]] = [
    (pinned_bases, "python:3.11.14-slim-bookworm", "python:latest"),
    (pinned_bases, "python:3.11.14-slim-bookworm", "python"),
    (numeric_user, "USER 10001:10001", "USER erp"),
    (numeric_user, "USER 10001:10001", "USER 0:0"),
    (no_secret, "WORKDIR /build", "ENV API_KEY=x"),
    (no_secret, "COPY db db", "COPY . ."),
    (hashed_dependencies, "install --require-hashes --only-binary=:all: -r requirements.lock", "install litestar"),
    (nothing_but_the_result, "COPY --from=build /opt/erp /opt/erp", "COPY erp /opt/erp"),
    (nothing_but_the_result, "FROM ${PYTHON_IMAGE} AS run", ""),
    (exec_form, 'CMD ["python"', "CMD python #"),
]


@pytest.mark.parametrize("guard", [*EVERY, nothing_but_the_result], ids=lambda guard: guard.__name__)
def test_the_image_keeps(guard: Guard) -> None:
    assert list(guard(instructions(DOCKERFILE.read_text()))) == []


@pytest.mark.parametrize("guard", EVERY, ids=lambda guard: guard.__name__)
def test_the_pooler_s_image_keeps(guard: Guard) -> None:
    assert list(guard(instructions(POOLER.read_text()))) == []


@pytest.mark.parametrize(("guard", "right", "wrong"), BROKEN, ids=[f"{g.__name__}: {w}" for g, _, w in BROKEN])
def test_a_broken_definition_is_caught(guard: Guard, right: str, wrong: str) -> None:
    text = DOCKERFILE.read_text()
    assert right in text
    assert list(guard(instructions(text.replace(right, wrong))))


def test_every_guard_has_a_broken_definition() -> None:
    assert {guard for guard, *_ in BROKEN} == {*EVERY, nothing_but_the_result}


def _copied() -> list[str]:
    lines = [rest for word, rest in instructions(DOCKERFILE.read_text()) if word == "COPY" and "--from" not in rest]
    return [source for line in lines for source in line.split()[:-1]]


def test_everything_copied_exists_and_may_enter_the_build() -> None:
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "*" in ignored  # everything else stays out
    for source in _copied():
        assert (ROOT / source).exists(), source
        assert source in let_in, source


#: Imports modules from a folder alone, and fails when anything still came from the checkout.
PROGRAM = """
import sys, importlib
folder, checkout, *names = sys.argv[1:]
sys.path.insert(0, folder)
for name in names:
    importlib.import_module(name)
files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
strays = [file for file in files if file.startswith(checkout) and "site-packages" not in file]
sys.exit(f"not in the image: {strays}" if strays else 0)
"""
MODULES = ("db.migrations", "erp.app", "workers.main", "workers.coordinator", "erp.cli")


def test_the_programs_start_from_what_the_image_contains(tmp_path: Path) -> None:
    """Every module a command names is importable with nothing but the copied packages and the dependencies."""
    for source in _copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.endswith(".py"):
            (tmp_path / source).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / source, tmp_path / source)
    told = interpolated(
        services()["worker-high"]["environment"], dict.fromkeys(required_names(FILE.read_text()), "x" * 32)
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(tmp_path), str(ROOT), *MODULES],
        cwd="/", env={**told, "ERP_METRICS_PORT": "0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_dependencies_in_the_image_are_the_locked_ones() -> None:
    """The lock holds every direct dependency, each with a hash."""
    lock = (ROOT / "requirements.lock").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    block = project.split("dependencies = [", 1)[1].split("\n]", 1)[0]
    for name in re.findall(r'"([A-Za-z0-9-]+)', block):
        assert re.search(rf"(?m)^{re.escape(name)}==\S+ .*\\$", lock), f"{name} is not locked"
    assert lock.count("--hash=sha256:") > lock.count("==")
    assert "hatchling==" in (ROOT / "deploy" / "build.lock").read_text()
