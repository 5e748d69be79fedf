"""The recipes for CI, cron and systemd, done step by step with bash as these would: real nights of a small
offline campaign in clean checkouts of a real repository. Stand-ins: `gh`, which writes down its arguments,
and the actions of others (checkout, cache), which are copies of folders here."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "templates" / "ci"
SLOPE = ROOT / "tests" / "tasks" / "slope"
CAMPAIGN = """
[matrix]
task = ["task"]
[settings]
rounds = 1
ideas = 2
sandbox.kind = "none"
"""
FIRST = "learning-rate-to-0-15"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment without the product, in which all else it needs is found."""
    folder = tmp_path_factory.mktemp("programs") / "venv"
    venv.create(folder, with_pip=True)
    (libraries,) = folder.glob("lib/python*/site-packages")
    (libraries / "developer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    gh = folder / "bin" / "gh"
    gh.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >> "$GH_CALLS"\nprintf "\\n\\0" >> "$GH_CALLS"\n')
    gh.chmod(0o755)
    # What experiments run in is built once, and not in each night.
    told = environment_of(folder / "bin") | {"PYTHONPATH": str(ROOT)}
    check = ["-m", "autoresearch", "task", "check", str(SLOPE), "--sandbox", "none", "--quick"]
    done = subprocess.run(
        [folder / "bin" / "python", *check], cwd=folder, env=told, capture_output=True, text=True
    )
    assert "0 to mend" in done.stdout, done.stdout + done.stderr
    return folder / "bin"


def environment_of(programs: Path) -> dict[str, str]:
    """Nothing of this process, no network: what the product needs is there."""
    return {
        "PATH": f"{programs}:/usr/bin:/bin", "LANG": "C.UTF-8", "AUTORESEARCH": str(ROOT),
        "XDG_CACHE_HOME": str(programs.parent.parent / "cache"),
        "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with `origin.git`, the user's repository: a campaign, its task, and the code it is about,
    which takes a minute while there is a file `slow`."""
    mine = tmp_path / "mine"
    shutil.copytree(SLOPE, mine / "task")
    code = mine / "task" / "baseline" / "train.py"
    slow = f'if os.path.exists("{tmp_path}/slow"):\n    __import__("time").sleep(60)\n'
    code.write_text(code.read_text() + slow)
    toml = mine / "task" / "task.toml"
    toml.write_text(toml.read_text().replace('timeout = "20s"', 'timeout = "2m"'))
    (mine / "src").mkdir()
    shutil.copy(code, mine / "src")
    (mine / "nightly.toml").write_text(CAMPAIGN)
    keyless = CAMPAIGN.replace("[settings]", 'model = ["openai/some-model"]\n[settings]')
    keyless = keyless.replace('kind = "none"', 'kind = "local"')
    (mine / "keyless.toml").write_text(keyless)
    (tmp_path / ".gitconfig").write_text("[user]\nname = Me\nemail = me@example.org\n")
    for command in (["init", "-qb", "main"], ["add", "-A"], ["commit", "-qm", "one"]):
        git(mine, *command, home=tmp_path)
    git(tmp_path, "clone", "-q", "--bare", str(mine), "origin.git", home=tmp_path)
    (tmp_path / ".gitconfig").unlink()
    return tmp_path


def git(folder: Path, *arguments: str, home: Path) -> str:
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Machine:
    """Where the steps of a job are run: a clean checkout, an environment with nothing of ours in it."""

    def __init__(self, home: Path, programs: Path, place: str) -> None:
        self.home, self.folder = home, home / place
        self.environment = environment_of(programs) | {
            "HOME": str(home), "GH_CALLS": str(home / "gh"), "GITHUB_STEP_SUMMARY": str(home / f"{place}.md"),
        }  # fmt: skip
        git(home, "clone", "-q", str(home / "origin.git"), str(self.folder), home=home)

    def bash(self, script: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.folder, env=dict(environment) | self.environment, capture_output=True, text=True, timeout=600,
        )  # fmt: skip


# --- GitHub Actions -----------------------------------------------------------------------------


class GitHub:
    """Does the jobs of a workflow file in order."""

    def __init__(self, home: Path, programs: Path) -> None:
        self.home, self.programs = home, programs
        self.workflow: dict[str, Any] = yaml.safe_load((RECIPES / "github-actions.yml").read_text())
        self.ran: list[str] = []  # names of steps
        self.said = ""

    def run(self, number: int, **change: str) -> list[int]:
        """The exit codes of all steps that were run for a run of that number."""
        codes = []
        for name, job in self.workflow["jobs"].items():
            machine = Machine(self.home, self.programs, f"{name}-{number}")
            environment = self.workflow["env"] | job.get("env", {})
            facts = {"github.run_id": str(number), "github.run_attempt": "1", "github.token": "t"}
            machine.environment |= change
            failed = False
            for step in job["steps"]:
                if failed and "always()" not in step.get("if", ""):
                    continue
                known = facts | {f"env.{key}": value for key, value in environment.items()}
                code = self._step(step, machine, environment, known)
                failed = failed or code != 0
                codes.append(code)
        return codes

    def _step(
        self, step: dict[str, Any], machine: Machine, job: Mapping[str, str], known: dict[str, str]
    ) -> int:
        if "run" in step:
            own = {name: filled(value, known) for name, value in step.get("env", {}).items()}
            done = machine.bash(step["run"], {**job, **own})
            self.ran.append(step["name"])
            self.said += done.stdout + done.stderr
            return done.returncode
        what = {name: filled(str(value), known) for name, value in step.get("with", {}).items()}
        action = step["uses"].partition("@")[0]
        return USES[action](self.home, machine.folder, what)


def filled(text: str, known: Mapping[str, str]) -> str:
    """Expressions put in place; a secret that is not set is empty. Unknown ones are an error."""

    def value(match: re.Match[str]) -> str:
        return "" if match[1].startswith("secrets.") else known[match[1]]

    return re.sub(r"\$\{\{ *([\w.]+) *\}\}", value, text)


def _restore(home: Path, folder: Path, what: Mapping[str, str]) -> int:
    kept = sorted((home / "cache").glob("*"), key=lambda path: path.stat().st_mtime_ns)
    wanted = [what["key"], *what.get("restore-keys", "").split()]
    for prefix in wanted:
        found = [path for path in kept if path.name.startswith(prefix)]
        if found:
            shutil.copytree(found[-1], folder / what["path"], symlinks=True)
            return 0
    return int(what.get("fail-on-cache-miss") == "True")


def _save(home: Path, folder: Path, what: Mapping[str, str]) -> int:
    shutil.copytree(folder / what["path"], home / "cache" / what["key"], symlinks=True)
    (home / "cache" / what["key"]).touch()
    return 0


def _upload(home: Path, folder: Path, what: Mapping[str, str]) -> int:
    for path in what["path"].split():
        target = home / "artifact" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if (folder / path).is_dir():
            shutil.copytree(folder / path, target, dirs_exist_ok=True)
        elif (folder / path).exists():
            shutil.copy(folder / path, target)
    return 0


USES = {
    "actions/checkout": lambda *_: 0,  # the machine is one
    "actions/setup-python": lambda *_: 0,
    "actions/cache/restore": _restore,
    "actions/cache/save": _save,
    "actions/upload-artifact": _upload,
}


def test_two_nights_of_github_actions_end_in_one_pull_request_for_each_new_best_claim(
    home: Path, programs: Path
) -> None:
    github = GitHub(home, programs)
    assert set(github.run(1)) == {0}, github.said
    assert github.ran == [
        "Install", "What tonight will do", "The night", "The morning",
        "Install", "A pull request for each new best claim",
    ]  # fmt: skip
    assert "night 0" in (home / "night-1.md").read_text()
    calls = [call.split("\0") for call in (home / "gh").read_text().split("\n\0")[:-1]]
    assert [call[:2] for call in calls] == [["pr", "create"]]
    branch, title, body = (calls[0][calls[0].index(f"--{name}") + 1] for name in ("head", "title", "body"))  # fmt: skip
    assert branch.startswith("autoresearch/") and branch.endswith(FIRST)
    assert title == "Raise LEARNING_RATE from 0.05 to 0.15"
    assert (
        body.startswith("```\nGain in negative_mse over the baseline: ") and "Reproduce: " in body
    )
    origin = home / "origin.git"
    assert git(origin, "diff", "--name-only", "main", branch, home=home) == "src/train.py\n"
    artifact = {str(path.relative_to(home / "artifact")) for path in (home / "artifact").rglob("*")}
    assert {"nightly/report.md", "nightly/junit.xml", "nightly/campaign.json"} <= artifact
    assert "nightly/nights/000/night.json" in artifact and "nightly/runs" not in artifact

    assert set(github.run(2)) == {0}, github.said
    assert "run 2 of this topic" in github.said  # the first night came out of the cache
    assert "night 1" in (home / "night-2.md").read_text()
    calls = [call.split("\0") for call in (home / "gh").read_text().split("\n\0")[:-1]]
    heads = [call[call.index("--head") + 1] for call in calls]
    assert len(heads) == len(set(heads)) <= 2
    pushed = git(origin, "for-each-ref", "--format=%(refname:short)", home=home).split()
    assert sorted(pushed) == sorted([*heads, "main"])


def test_a_night_that_fails_in_github_actions_is_kept_and_told_all_the_same(
    home: Path, programs: Path
) -> None:
    github = GitHub(home, programs)
    github.workflow["env"]["CAMPAIGN"] = "keyless.toml"
    github.workflow["env"]["FOLDER"] = "keyless"
    codes = github.run(1)
    assert codes.count(0) == len(codes) - 1, github.said  # the night
    assert github.ran[2:4] == ["The night", "The morning"]
    summary = (home / "night-1.md").read_text()
    assert "1 failed" in summary and "OPENAI_API_KEY" in summary.replace("\\", "")
    assert (home / "cache" / "campaign-1-1" / "nights" / "000" / "night.json").is_file()
    assert (home / "artifact" / "keyless" / "junit.xml").read_text().count("<failure") == 1
    assert not (home / "gh").exists()


def test_the_rights_of_the_workflow_are_the_least(tmp_path: Path) -> None:
    workflow = yaml.safe_load((RECIPES / "github-actions.yml").read_text())
    assert workflow["permissions"] == {} and workflow["concurrency"]["cancel-in-progress"] is False
    night, propose = workflow["jobs"]["night"], workflow["jobs"]["propose"]
    assert night["permissions"] == {"contents": "read"}
    assert night["steps"][0]["with"] == {"persist-credentials": False}
    # The provider's key is in one step, and never beside the right to write.
    holders = [
        step["name"] for job in (night, propose) for step in job["steps"] if "secrets." in str(step)
    ]
    assert holders == ["The night"]
    scripts = [step["run"] for job in (night, propose) for step in job["steps"] if "run" in step]
    assert not any("${{" in script for script in scripts)
    minutes = int(night["env"]["NIGHT"].removesuffix("m"))
    assert minutes + 10 <= night["timeout-minutes"] <= 360


# --- GitLab -------------------------------------------------------------------------------------


def test_gitlab_goes_on_with_a_night_whose_time_was_over_and_opens_a_merge_request(
    home: Path, programs: Path
) -> None:
    jobs = yaml.safe_load((RECIPES / "gitlab-ci.yml").read_text())
    origin = home / "origin.git"
    git(origin, "config", "receive.advertisePushOptions", "true", home=home)
    hook = origin / "hooks" / "post-receive"
    hook.write_text(f'#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION | sort > "{home}/options"\n')
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[url "{origin}"]\ninsteadOf = https://autoresearch:t0ken@gitlab.example/me/mine.git\n'
    )
    (home / "slow").touch()
    outcomes = list(_gitlab(jobs, home, programs, 1, NIGHT="25s"))
    (home / "slow").unlink()
    assert outcomes[0][0] == 0 and "cut off" in outcomes[0][1], outcomes
    assert not (home / "options").exists()
    outcomes = list(_gitlab(jobs, home, programs, 2))
    assert [code for code, _ in outcomes] == [0, 0], outcomes
    assert "resume task-" in outcomes[0][1] and "night 1: done" in outcomes[0][1]
    options = (home / "options").read_text()
    assert "=merge_request.create\n" in options and "=merge_request.target=main\n" in options
    (branch,) = git(origin, "branch", "--format=%(refname:short)", "--list", "autoresearch/*", home=home).split()  # fmt: skip
    assert git(origin, "diff", "--name-only", "main", branch, home=home) == "src/train.py\n"


def _gitlab(
    jobs: dict[str, Any], home: Path, programs: Path, number: int, **change: str
) -> Iterator[tuple[int, str]]:
    """Exit code and output of each job of a pipeline."""
    told = {"CI_SERVER_HOST": "gitlab.example", "CI_PROJECT_PATH": "me/mine", "PUSH_TOKEN": "t0ken",
            "CI_DEFAULT_BRANCH": "main"}  # fmt: skip
    for name in ("night", "propose"):
        job = jobs[jobs[name]["extends"]] | jobs[name]
        machine = Machine(home, programs, f"{name}-{number}")
        environment = jobs["variables"] | job.get("variables", {})
        environment = {key: str(value) for key, value in environment.items()} | told
        machine.environment |= change
        kept, (place,) = home / "cache", job["cache"]["paths"]
        if kept.exists():
            shutil.copytree(kept, machine.folder / place, symlinks=True)
        done = machine.bash("\n".join([*job["before_script"], *job["script"]]), environment)
        after = machine.bash("\n".join(job.get("after_script", [])), environment)
        if job["cache"].get("policy") != "pull":
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(machine.folder / place, kept, symlinks=True)
            artifacts = job["artifacts"]
            assert (machine.folder / artifacts["reports"]["junit"]).is_file()
            assert not any("runs" in path for path in artifacts["paths"])
        yield done.returncode, done.stdout + done.stderr + after.stdout + after.stderr


# --- a machine of one's own ---------------------------------------------------------------------


@pytest.fixture
def research(home: Path, programs: Path) -> Path:
    """~/research, with the product in its .venv."""
    machine = Machine(home, programs, "research")
    assert machine.bash('python -m pip install --quiet "$AUTORESEARCH"', {}).returncode == 0
    (machine.folder / ".venv").symlink_to(programs.parent)
    return machine.folder


def test_the_lines_of_cron_and_systemd_each_do_a_night(
    home: Path, programs: Path, research: Path
) -> None:
    lines = (RECIPES / "crontab").read_text().splitlines()
    (line,) = [each for each in lines if each.startswith("15 1 * * * ")]
    assert (
        "RESEARCH=research" in lines and "%" not in line
    )  # which cron takes for the end of a line
    (home / ".config" / "autoresearch").mkdir(parents=True)
    (home / ".config" / "autoresearch" / "keys").write_text("SOME_API_KEY=secret-of-the-night\n")
    clean = environment_of(programs) | {"HOME": str(home), "PATH": "/usr/bin:/bin", "RESEARCH": "research"}  # fmt: skip
    done = subprocess.run(
        ["sh", "-c", line.removeprefix("15 1 * * * ")], cwd="/", env=clean, capture_output=True
    )
    log = (research / "nightly.log").read_text()
    assert done.returncode == 0 and not done.stdout + done.stderr, log
    assert "night 0: done: 1 done" in log and "secret-of" not in log
    unit = (RECIPES / "autoresearch-campaign.service").read_text()
    command = re.search("^ExecStart=(.*)$", unit, re.MULTILINE)
    assert command is not None
    words = command[1].replace("%h", str(home)).split()
    done = subprocess.run(words, cwd=research, env=clean, capture_output=True)
    assert done.returncode == 0 and b"night 1: done" in done.stdout, done.stderr


def test_systemd_accepts_the_units(home: Path, programs: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NO SYSTEMD HERE: the units were not verified")
    (home / "research" / ".venv" / "bin").mkdir(parents=True)
    (home / "research" / ".venv" / "bin" / "autoresearch").symlink_to(sys.executable)
    units = []
    for path in sorted(RECIPES.glob("autoresearch-campaign.*")):
        units.append(home / path.name)
        units[-1].write_text(path.read_text().replace("%h", str(home)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)], capture_output=True, text=True
    )
    ours = [line for line in done.stderr.splitlines() if "autoresearch-campaign" in line]
    assert not ours and len(units) == 2, done.stderr
    units[0].write_text(units[0].read_text() + "Nicer=1\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(units[0])], capture_output=True, text=True
    )
    assert "Nicer" in done.stderr  # it does look


def test_recipes_are_printed_by_the_product(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autoresearch", "campaign", "recipe"]
    told = os.environ | {"PYTHONPATH": str(ROOT)}
    for path in RECIPES.iterdir():
        done = subprocess.run([*command, path.name], cwd=tmp_path, env=told, capture_output=True)
        assert done.returncode == 0 and done.stdout == path.read_bytes()
    done = subprocess.run(
        [*command, "../task/task.toml"], cwd=tmp_path, env=told, capture_output=True
    )
    assert done.returncode == 2 and b"there are: autoresearch-campaign.service, " in done.stderr


def test_the_campaign_file_that_ships_is_one(tmp_path: Path) -> None:
    from autoresearch.campaign.matrix import read_campaign, settings_of

    shutil.copy(RECIPES / "nightly.toml", tmp_path)
    campaign = read_campaign(tmp_path / "nightly.toml")
    assert settings_of(campaign, campaign.entries[0]).ideas == 5


def test_the_campaign_file_of_the_documentation_is_one_and_names_every_key(tmp_path: Path) -> None:
    import tomllib

    from autoresearch.campaign import matrix

    page = (ROOT / "docs" / "campaigns.md").read_text()
    (text,) = re.findall("```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "nightly.toml").write_text(text)
    campaign = matrix.read_campaign(tmp_path / "nightly.toml")
    assert campaign.entries[0].priority == 2 and campaign.entries[0].budget == ("20usd",)
    said = tomllib.loads(text)
    for name in ("campaign", "matrix", "budget", "stop", "carry", "verify", "webhook"):
        table = getattr(matrix, "Carry" if name == "carry" else f"{name.capitalize()}Table")
        assert set(said[name]) == set(table.model_fields), name
