"""The frozen records that flow through a run, and exactly what its files hold.

    Task -> Paper* -> Agenda(Idea*) -> Patch -> Execution -> Attempt -> Trial -> Verdict + Review -> Lesson

A stage makes a new record instead of filling in blanks, and "no result" is None, never 0.0.
Scores are in the unit of the task's metric; durations in seconds; sizes in bytes.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from autoresearch.blocks import Action, Block, read_blocks

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]


class Record(BaseModel):
    """Frozen, closed, finite: unknown fields and NaN are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def from_answer(cls, text: str) -> Self:
        """Parse a model's answer. Records that are not JSON on the wire override this.

        Raises ValueError (pydantic's included) with a message that the model can act on.
        """
        from autoresearch.answers import read_json

        return cls.model_validate(read_json(text))


# --- the task -----------------------------------------------------------------------------------


class Limits(Record):
    """What one experiment may use. `output` is the bytes of stdout and stderr it may produce,
    `disk` the bytes it may leave in $OUT, `file` the bytes of any one file."""

    timeout: float = Field(default=600.0, gt=0)
    memory: int = Field(default=4 * 2**30, ge=64 * 2**20)
    cpus: float = Field(default=1.0, gt=0)
    gpus: int = Field(default=0, ge=0)
    processes: int = Field(default=256, ge=8)
    disk: int = Field(default=2**30, ge=2**16)
    file: int = Field(default=2**30, ge=2**16)
    output: int = Field(default=16 * 2**20, ge=2**12)


class Direction(StrEnum):
    maximize = "maximize"
    minimize = "minimize"


class Reported(Record):
    """Where a task's own program reports its metric: the last match of `pattern` on standard output,
    or what stands at `key` in the JSON file `file` of $OUT. Shown as *self-reported* everywhere."""

    pattern: str | None = None
    file: str | None = None
    key: tuple[str, ...] = ()


class Task(Record):
    """A folder with the baseline, the data recipe, the scorer and the limits. `ideas` came with it,
    in the words of whoever made it; `reported` is None where a trusted scorer measures."""

    name: str
    folder: Path
    topic: str
    goal: str
    command: tuple[str, ...]
    editable: tuple[str, ...]
    limits: Limits
    metric: str
    direction: Direction
    seeds: int = Field(ge=1)
    smoke: float | None = (
        None  # seconds that a short run with $SMOKE set may take; None: there is none
    )
    reported: Reported | None = None
    ideas: tuple[str, ...] = ()

    @property
    def shown_metric(self) -> str:
        """The metric's name as it is shown: with what it is worth where the program reports it."""
        return f"{self.metric} (self-reported)" if self.reported else self.metric

    def gain(self, score: float, reference: float) -> float:
        """How much better `score` is than `reference`: positive is better, in the metric's unit."""
        return score - reference if self.direction is Direction.maximize else reference - score


# --- the sandbox --------------------------------------------------------------------------------


class Ended(StrEnum):
    """What ended an execution. `exited` covers any exit code of the program's own."""

    exited = "exited"
    signalled = "signalled"  # died of a signal that no limit of ours sent (a segfault, an abort)
    timeout = "timeout"
    memory = "memory"
    output = "output"  # produced more on stdout and stderr than it may
    disk = "disk"  # left more in $OUT than it may
    refused = "refused"  # what it left was refused at the door: links, devices, too many files
    behind = "behind"  # stopped by us: what it reported was clearly behind the baseline
    diverged = "diverged"  # stopped by us: what it reported was no finite number any more
    lost = "lost"  # the supervisor's status line never came: never a success


class Execution(Record):
    """One command run in a sandbox: what happened, and what came back. Failing is data."""

    sandbox: str  # "docker", "local (bubblewrap, Landlock, seccomp)", ... as probed
    command: tuple[str, ...]
    ended: Ended
    exit_code: int | None  # None when a limit or a signal ended it
    signal: int | None
    reason: str  # one line for a person: "exit code 1", "killed: more than 4.0 GiB of memory"
    stdout: str  # head and tail, cut in the middle and saying so
    stderr: str
    seconds: float
    cpu_seconds: float | None
    peak_memory: int | None
    gpu_seconds: float = 0.0  # of all the devices that it held
    left_behind: int = (
        0  # processes that were still running when the command ended, and were killed
    )
    files: tuple[str, ...] = ()  # relative paths that came through the door, sorted

    @property
    def succeeded(self) -> bool:
        return self.ended is Ended.exited and self.exit_code == 0


# --- thinking -----------------------------------------------------------------------------------


class Paper(Record):
    """A retrieved or local publication. `text` is the full text where a local file gave one."""

    id: str  # "arxiv:2501.03916", "file:name.pdf"
    title: str
    abstract: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    url: str | None = None
    text: str | None = None


class Query(Record):
    """One keyword query for the literature search."""

    query: Line


class Attributes(Record):
    """What the task takes in and what it puts out, in the words papers use."""

    input: Text
    output: Text


class PaperScore(Record):
    """How well a paper fits the topic and the task's attributes, 1 (not at all) to 10."""

    paper: str
    score: int = Field(ge=1, le=10)
    reason: Line


class Ranking(Record):
    scores: tuple[PaperScore, ...]


class Idea(Record):
    """One change worth testing. `parent` is the slug of an earlier improved idea to start from."""

    slug: Slug
    title: Line
    hypothesis: Text
    plan: Text
    summary: Text  # one sentence: the text that independence is judged on
    cites: tuple[str, ...] = ()
    parent: str | None = None


class Ideas(Record):
    ideas: tuple[Idea, ...] = Field(min_length=1)


class Novelty(Record):
    """A judgement against the papers found for one idea. Undecided counts as not novel."""

    novel: Literal["yes", "no", "undecided"]
    closest: str | None = None  # id of the closest paper
    reason: Line


class Reading(Record):
    """What was read for a topic: the attributes looked for and the papers kept, best first."""

    attributes: Attributes
    papers: tuple[Paper, ...]
    scores: tuple[PaperScore, ...]
    retrieved: int


class Found(Record):
    """The papers one search gave."""

    query: str
    papers: tuple[Paper, ...]


class Candidate(Record):
    """An idea that was thought of, and whether it made it onto the agenda."""

    idea: Idea
    kept: bool
    reason: str  # "independent (0.21 to x), novel: ...", "too close to x (0.83 > 0.5)"


class Agenda(Record):
    """What one round will try, and what was dropped and why."""

    candidates: tuple[Candidate, ...]

    @property
    def ideas(self) -> tuple[Idea, ...]:
        return tuple(candidate.idea for candidate in self.candidates if candidate.kept)


# --- practice -----------------------------------------------------------------------------------


class Edit(Record):
    """One change of the file `path`, as `blocks.py` describes them: `search`, which stands once, is replaced
    (an empty one makes a new file), or the file is rewritten, renamed to `target` or deleted."""

    path: str
    search: str = ""
    replace: str = ""
    action: Action = "edit"
    target: str = ""

    def __str__(self) -> str:
        return str(Block(**self.model_dump()))


class Patch(Record):
    """A plan (for a repair: the causes and a plan) and its edits, as one commit."""

    plan: str
    edits: tuple[Edit, ...]

    @classmethod
    def from_answer(cls, text: str) -> Self:
        plan, blocks = read_blocks(text)
        return cls(plan=plan, edits=tuple(Edit(**vars(block)) for block in blocks))


class Score(Record):
    """What the trusted scorer said of one execution's predictions on one split; "self-reported" is
    what the program said of itself, where a task has no scorer.

    `value` is None when the predictions were refused or the scorer failed; `reason` then says why.
    `examples` are per-example scores (higher is better) in the pool's order, () where the metric
    has none.
    """

    metric: str
    split: Literal["validation", "test", "self-reported"]
    value: float | None
    examples: tuple[float, ...] = ()
    reason: str = ""


class Measurement(Record):
    """One seed: the experiment's execution and, when it succeeded, its score."""

    seed: int
    execution: Execution
    score: Score | None

    @property
    def value(self) -> float | None:
        return self.score.value if self.score else None


class Place(Record):
    """A line of the experiment's own code."""

    path: str
    line: int
    function: str


class Failure(Record):
    """Why an attempt did not give a score, in the form that goes back to the model.

    `places` are where it failed in the experiment's own files, the most telling first; failures of one
    `fingerprint` are the same one.
    """

    stage: Literal["edit", "syntax", "check", "run", "score"]
    message: str  # one line
    detail: str = ""  # the traceback, the output's tail, the nearest text; cut to a bound
    places: tuple[Place, ...] = ()
    fingerprint: str = ""


class Attempt(Record):
    """A patch and its execution on the screening seed. `commit` is None when it was not applied, `smoke`
    where the task offers no short run or it was not tried."""

    number: int = Field(ge=0)
    patch: Patch
    commit: str | None
    measurement: Measurement | None
    failure: Failure | None
    smoke: Execution | None = None


class Floor(Record):
    """The noise floor: the baseline on every seed. `smallest_gain` is the smallest gain that these seeds
    and examples would tell from noise 4 times in 5 (in the metric's unit), None with one seed; `alpha`
    the level that an idea of the first round is held to."""

    commit: str
    measurements: tuple[Measurement, ...]
    mean: float
    deviation: float | None
    smallest_gain: float | None
    alpha: float


class Trial(Record):
    """An idea with its attempts and its measured scores (one a seed that was run). `level` is what its
    gain is held to, None in runs from before there was more than one."""

    name: str  # where it is in the run: "round-00/0-label-smoothing"
    idea: Idea
    parent: str | None  # the name of the trial whose code it started from
    attempts: tuple[Attempt, ...]
    measurements: tuple[Measurement, ...]  # () when no attempt gave a score
    commit: str | None  # of the attempt that was measured
    level: float | None = None
    diff: str  # against the baseline, so that it is whole also where the idea had a parent


# --- feedback -----------------------------------------------------------------------------------


class Outcome(StrEnum):
    improved = "improved"
    maintained = "maintained"
    declined = "declined"
    failed = "failed"


class Verdict(Record):
    """What the statistics say of a trial against the baseline on the validation split.

    `effect` is the mean paired gain (positive is better) with its confidence interval; None when
    the trial failed. `p` is one-sided for a gain, held to `alpha`; None where not all seeds were run,
    which can only end as maintained or declined.
    `over_parent` is the mean paired gain over the trial it was built on, over the seeds both ran, and
    `over_parent_interval` its confidence interval, None where too few seeds say how it scatters.
    """

    outcome: Outcome
    score: float | None
    effect: float | None
    interval: tuple[float, float] | None
    p: float | None
    alpha: float
    seeds: int
    over_parent: float | None = None
    over_parent_interval: tuple[float, float] | None = None
    test: str  # how it was decided, in words
    reason: str  # one line for a person


class Analysis(Record):
    """A model's view of why a trial came out as it did. An opinion, and shown as one."""

    explanation: Text
    advice: Text


class Review(Record):
    """A peer reviewer's form (scales as at the large machine-learning conferences)."""

    summary: Text
    strengths: tuple[Text, ...]
    weaknesses: tuple[Text, ...]
    questions: tuple[Text, ...] = ()
    requested_experiments: tuple[Text, ...] = ()
    soundness: int = Field(ge=1, le=4)
    presentation: int = Field(ge=1, le=4)
    contribution: int = Field(ge=1, le=4)
    overall: int = Field(ge=1, le=10)
    confidence: int = Field(ge=1, le=5)


class Lesson(Record):
    """What the next round should know about an idea; the tuple of lessons is the memory."""

    name: str  # of the trial
    idea: Idea
    verdict: Verdict
    commit: str | None
    diff: str  # against the baseline
    attempts: int
    failures: tuple[str, ...]  # one line an attempt that failed
    analysis: Analysis | None  # None when the model gave no usable one
    review: Review | None  # only what ran is reviewed

    @property
    def carried(self) -> bool:
        """Whether it is from an earlier run: this one did not try it, and counts it nowhere."""
        return self.name.startswith("carried/")


class CarriedLesson(Record):
    """`source`: the run that tried it, and its name there. `least`: the lower end of the interval of a claim
    that stands (on test, else on validation)."""

    source: str
    lesson: Lesson
    least: float | None = None


class Carried(Record):
    runs: tuple[str, ...]  # the names of the runs that it is from
    lessons: tuple[CarriedLesson, ...]  # oldest first


class Cost(Record):
    """What tests of a gain took: experiments, and the seconds that these ran."""

    experiments: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Evidence(Record):
    """What one falsifier found. `noted` is no refutation, but belongs beside the gain; `untested` says
    why it could not be tried. `ratio` is of compute, the idea's to the baseline's; it differs from
    machine to machine, as the costs do, and nothing else here does."""

    falsifier: str
    outcome: Literal["survived", "refuted", "noted", "untested"]
    reason: str  # one line for a person
    ratio: float | None = None
    cost: Cost = Cost()


class Fidelity(Record):
    """Whether a patch does what its idea says. A model's opinion: shown as one, and decides nothing."""

    faithful: Literal["yes", "partly", "no", "cannot tell"]
    reason: Text


class Opening(Record):
    """The one opening of the sealed test split: when, and for which trials at which commits."""

    opened: str  # UTC
    baseline: str  # commit
    ideas: tuple[tuple[str, str], ...]  # name and commit


class Claim(Record):
    """An improved trial: what tried to refute it, and, for one that no falsifier refuted, what the
    sealed test split said once the search was over. The test scores are None where there is no such
    split, because the program reports its own score, and for what was refuted before.

    `survived` and `refuted` name what tried to refute it, `untested` what did not get to and why.
    `environment` is a hash over the recipe, the Python and all packages that the experiments ran with,
    `reproduce` the command that runs it again on fresh seeds; None in runs from before there were any.
    """

    name: str  # of the trial
    slug: str
    verdict: Verdict
    commit: str
    test_score: float | None
    test_baseline: float | None
    test_effect: float | None
    test_interval: tuple[float, float] | None
    test_p: float | None = None  # one-sided; None in runs of versions that did not test it
    test_level: float | None = (
        None  # that it was held to: Holm's, over all claims on the test split
    )
    self_reported: bool = False
    survived: tuple[str, ...]
    untested: tuple[str, ...]
    refuted: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    fidelity: Fidelity | None = None  # None when no model gave a usable opinion
    environment: str | None = None
    reproduce: str | None = None

    @property
    def gap(self) -> float | None:
        """How much smaller the gain is on the test split than on validation, in the metric's unit."""
        if self.test_effect is None or self.verdict.effect is None:
            return None
        return self.verdict.effect - self.test_effect


class Claims(Record):
    """What a finished run claims; its file marks the run as finished.

    `shared` is what the baseline took for all claims: each claim's own costs are in its evidence.
    `control` is what the control arm took, `everything` all experiments of the run, these too.
    """

    claims: tuple[Claim, ...]
    shared: Cost = Cost()
    control: Cost = Cost()
    everything: Cost = Cost()
