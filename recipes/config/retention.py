"""The `retention:` section of an evaluation: what a model kept, by tasks of lm-eval."""

from __future__ import annotations

from pydantic import Field

from .language.section import Positive, Section


class RetentionTask(Section):
    """A task or a group of lm-eval; of a group every task becomes a suite."""

    name: str
    metric: str | None = None
    """Score of a document; null takes the task's first one that is a mean over documents."""
    filter: str | None = None
    """Of generated texts; null takes the task's first one."""
    shots: int | None = Field(None, ge=0)
    """Examples in the prompt; null takes the task's own number."""
    cluster: str | None = None
    """Field of a document that names what it shares with others, such as its passage."""


class Retention(Section):
    """Tasks of lm-eval, answered by this evaluation's engine; needs `pip install 'quince[eval]'`."""

    tasks: list[RetentionTask] = Field(min_length=1)
    task_folders: list[str] = Field(default_factory=list)
    """Folders with task files of your own, which win over lm-eval's; or folders of the library."""
    chat_template: bool = False
    """Put prompts as the model's chat template does; for models that were tuned to follow instructions."""
    max_tokens: Positive = 256
    """Longest text where a task does not say."""
    max_length: Positive = 4096
    """Tokens of prompt and answer together; longer prompts lose their beginning, as in lm-eval."""
    run_code: bool = False
    """Let tasks run code: what the model writes (HumanEval, MBPP), metrics of the Hub, functions in your task files."""
