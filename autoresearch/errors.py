"""Everything that can go wrong, as one tree. Each message says what happened and what to do next.

    AutoresearchError
    ├── BadInput            the user's to mend; nothing was changed        exit code 2
    │   ├── TaskError       the task folder is not usable as it is
    │   ├── BuildFailed     the task's environment does not build
    │   ├── RecordError     a file of the run directory cannot be read
    │   ├── RunLocked       another process holds the run directory
    │   └── NotTheSame      the sandbox or environment here is not the run's
    └── RunFailed           the run could not go on; it can be resumed     exit code 1
        ├── SandboxError    the engine or the environment broke (never: the experiment failed)
        ├── ModelError      no answer from the model or its provider
        │   ├── Outage          none within the bounds on time and retries; later it may
        │   ├── PromptRefused   none to this prompt (a filter, a bad request); others it may answer
        │   │   └── PromptTooLong   a shorter one it may answer
        │   ├── NotRecorded     a replay is asked what the recorded run was not
        │   └── UnusableAnswer  it answered, but never in the form asked for
        ├── BudgetEnded     what comes next does not fit into a budget           exit code 3
        └── BaselineFailed  the task's own baseline did not give a score

A failing experiment, a malformed patch or a refused result is data, not an exception.
Only `cli.py` prints these.
"""


class AutoresearchError(Exception):
    """Root of the tree: one line for the user, ending in what to do next."""

    exit_code = 1


class BadInput(AutoresearchError):
    """What the user gave cannot be used; nothing was created or lost."""

    exit_code = 2


class TaskError(BadInput):
    """The task folder is not usable: names the file and, where there is one, the key and line."""


class BuildFailed(BadInput):
    """The task's environment does not build; the last lines of its log are notes on it."""


class RecordError(BadInput):
    """A file of the run directory is corrupted or of another format: names it and how to recover."""


class RunLocked(BadInput):
    """Another process is working in this run directory: names the process."""


class NotTheSame(BadInput):
    """The sandbox or environment here is not the one of the run: scores would not be comparable."""


class RunFailed(AutoresearchError):
    """The run stopped; everything recorded so far is kept and `autoresearch resume` goes on."""


class SandboxError(RunFailed):
    """The sandbox engine, or the environment it needs, is missing or broken."""


class ModelError(RunFailed):
    """The model or its provider gave no answer within the bounds on retries."""


class Outage(ModelError):
    """The model cannot be reached or is overloaded, also after all retries; it may answer later."""


class PromptRefused(ModelError):
    """The model does not take this prompt (a filter, a bad request); it may answer another one."""


class NotRecorded(ModelError):
    """A replay is asked what the recorded run was not; a note on it shows what has changed."""


class PromptTooLong(PromptRefused):
    """The prompt does not fit into the model's context; a shorter one may."""


class UnusableAnswer(ModelError):
    """The model answered, but not in the form asked for, also after being shown its errors."""


class BaselineFailed(RunFailed):
    """The task's own baseline did not run or was not scored; no idea can be compared with it."""


class BudgetEnded(RunFailed):
    """What was asked for does not fit into a budget: names it, and what is spent and reserved."""

    exit_code = 3
