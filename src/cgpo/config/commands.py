"""The schemas of the commands besides training and evaluating: judging files, benchmarks, the reproduction, plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import Field

from cgpo.bounds import Unit
from cgpo.config.models import Precision, Strategy
from cgpo.config.sections import Count, Example, Named, Names, Section, Several, Texts, Whole
from cgpo.config.training import Quantization, TrainConfig


class JudgeFileConfig(Section):
    """What `cgpo judge` reads."""

    input: Annotated[str, Example("the file of rows, input=rows.jsonl")]
    """The rows to judge: JSONL with prompt, response, metadata and perhaps label (true means satisfied)."""
    output: Annotated[str, Example("the file of verdicts, output=verdicts.jsonl")]
    """Where the same rows go with their verdicts; `OUTPUT.summary.json` is written beside it at the end."""
    chunk: Annotated[int, Ge(1), Unit("rows")]
    """Rows that are judged together, and the most that an interruption loses."""
    cache_dir: str
    """The folder of what the pipeline builds, where a judge's model is named `artifact:NAME`."""
    judges: Mapping[str, Named]
    """The judges, by name."""
    judge_models: Mapping[str, str | None]
    """The language models behind judges: a folder, a hub id or `artifact:NAME`, by judge."""
    models_device: str
    """Where judges' models lie: auto (a GPU where there is one), cpu, or cuda:1 and the like."""
    models_quantization: Quantization
    """How judges' models are stored: null as their dtype says, int8 or int4."""
    panel: Named
    """How judges are asked together: what their failures count as, what is cached, what they may spend."""
    pipeline: Mapping[str, Named]
    """How judges' models that are named `artifact:NAME` are made."""


class StartModel(Section):
    """The language model that a judge model is made of."""

    path: Annotated[str, Example("the language model to start from, model.path=FOLDER")]
    """A folder or a hub id."""


class TrainJudgeConfig(Section):
    """What `cgpo train-judge` reads."""

    input: Annotated[str, Example("the file of labelled rows, input=rows.jsonl")]
    """Labelled rows: JSONL with prompt, response, metadata and label (true means satisfied)."""
    output: Annotated[str, Example("the folder of the judge model to be, output=FOLDER")]
    """The folder that the judge model is written to, for `judges.NAME.model=`; it is never overwritten."""
    model: StartModel
    """The language model to start from."""
    template: Annotated[
        str,
        Example("what the judge is asked: false_refusal, factuality, safety or a .txt file, template=safety"),
    ]
    """What the judge is asked: false_refusal, factuality, safety, or a .txt file with {prompt} and {response}."""
    positive: str | None
    """The answer that means satisfied, one token; null for the template's own."""
    negative: str | None
    """The answer that means violated, one token; null for the template's own."""
    held_out: Annotated[float, Ge(0)]
    """The share of prompts (below 1), or the number of rows, that are not trained on but judged at the end."""
    seed: Whole
    """The seed of which prompts are held out, and of the rows' order."""
    fit: Named
    """How the model is fitted."""


class BenchmarkedModel(Section):
    """A causal language model."""

    path: Annotated[str, Example("the model that is asked, model.path=FOLDER")]
    """A folder or a hub id."""
    dtype: Literal["float32", "bfloat16", "float16"]
    """The precision of its weights."""


class BenchmarkConfig(Section):
    """What `cgpo benchmark` reads."""

    benchmarks: Mapping[str, Named]
    """The benchmarks, by name."""
    model: BenchmarkedModel
    """The model that is asked."""
    data_dir: str | None
    """The folder of the benchmarks' files; null takes their data from the hub."""
    limit: Annotated[int, Ge(1), Unit("rows")] | None
    """The most rows of each benchmark; null for all."""
    num_fewshot: Annotated[int, Ge(0), Unit("examples")] | None
    """Examples before each question; null for each benchmark's own number, and one that fixes it at 0 keeps 0."""
    batch_size: Annotated[int, Ge(1), Unit("sequences")] | Literal["auto"]
    """Sequences that are run together."""
    chat_template: bool
    """Whether questions are put through the tokenizer's chat template."""
    system_prompt: str | None
    """What goes before everything else; null for nothing."""
    max_new_tokens: Annotated[int, Ge(1), Unit("tokens")] | None
    """The most tokens of a response; null for each benchmark's own number, as far as the context has room."""
    seed: Whole
    """The seed of the choice of examples."""
    threads: Count | Literal["auto"]
    """Threads of torch on a CPU; auto for torch's own number."""
    bootstrap: Annotated[int, Ge(0), Unit("resamples")]
    """Resamples behind a standard error that has no closed form."""
    sandbox: Named
    """Where programs that the model writes are run."""


class MethodConfig(Section):
    """A line of the comparison."""

    title: str | None = None
    """What it is called in tables and figures; its name where nothing is said."""
    overrides: Texts | None = None
    """What its runs give to `cgpo train`."""
    path: str | None = None
    """A policy that needs no training, in the place of overrides."""
    start: str | None = Field(default=None, alias="from")
    """The method whose final policy, at the same seed, its runs start from."""
    seeds: Annotated[tuple[Whole, ...], Several] | None = None
    """The seeds of its runs; those of the whole comparison where nothing is said."""


class ReproduceConfig(Section):
    """What `cgpo reproduce` reads."""

    folder: str
    """The folder that every run lies under; a run that is there already is not repeated."""
    workers: Annotated[int, Ge(1), Unit("processes")]
    """Runs that are made at the same time, each on one thread."""
    overrides: Texts
    """What every run is given besides its own overrides: another model, other tasks."""
    results: str
    """The folder of all runs' numbers and of the figures, which the document is made of."""
    document: str | None
    """The file that is written from the results; null for none."""
    runs: bool
    """Whether runs that are missing are made; false makes nothing but the document."""
    seeds: Annotated[tuple[Whole, ...], Several]
    """The seeds of each method's runs."""
    training: Texts
    """What every run of `cgpo train` is given."""
    evaluation: Texts | None
    """What every run of `cgpo evaluate` is given; null for no such runs."""
    methods: Mapping[str, MethodConfig | None]
    """What is compared, by name; null leaves one out."""


class StrategyConfig(Section):
    """A way to share a run, of those that are compared."""

    strategy: Strategy = "single"
    """As `trainer.strategy`."""
    devices: Count = 1
    """Devices of a machine."""
    nodes: Count = 1
    """Machines."""
    tensor_parallel: Count = 1
    """Processes that share each matrix of one copy."""
    precision: Precision | None = None
    """As `trainer.precision`, which it is where nothing is said."""


class PlanSettings(Section):
    """What memory there is, and what is shown."""

    gpu_gb: Annotated[float, Gt(0), Unit("GB (10⁹ bytes)")]
    """The memory of a GPU."""
    host_gb: Annotated[float, Gt(0), Unit("GB (10⁹ bytes)")] | None
    """The memory of a host; null where it is not asked about."""
    usable: Annotated[float, Gt(0), Le(1)]
    """The share of a GPU's memory that a run may fill, since what it frees leaves gaps."""
    prompt_tokens: Annotated[int, Ge(1), Unit("tokens")]
    """Tokens of a long prompt; responses are as long as `rollout` allows."""
    format: Literal["table", "markdown", "json"]
    """How the estimate is printed."""
    compare: bool
    """Whether the same model is shown under each of `strategies`, with all weights trained and with adapters."""
    strategies: Annotated[tuple[StrategyConfig, ...], Several]
    """The strategies that are compared."""


class PlanConfig(TrainConfig):
    """What `cgpo plan` reads: a run's configuration, and what memory there is for it."""

    plan: PlanSettings
    """The machine, and what is shown of the estimate."""


class ReportConfig(Section):
    """What `cgpo report` reads."""

    runs: Annotated[Names, Example("the runs to show, or folders around them: cgpo report runs/")]
    """The folders of runs, or folders that have runs below them."""
    output: str
    """The page that is written."""
    overwrite: bool
    """Whether a page that is there already is replaced."""
    samples: Annotated[int, Ge(0), Unit("samples")]
    """The most samples of a run that the page shows, the latest ones."""


class DashboardConfig(Section):
    """What `cgpo dashboard` reads."""

    runs: Annotated[Names, Example("the runs whose tasks and judges it shows: cgpo dashboard runs/")]
    """The folders of runs, or folders that have runs below them."""
    entity: Annotated[str, Example("a user or team at W&B, entity=my-team")]
    """The user or team at W&B that the dashboard belongs to."""
    project: str
    """W&B's project."""
    name: str
    """What the dashboard is called."""
    save: bool
    """Whether it is saved in W&B; false only says which panels it would have."""
