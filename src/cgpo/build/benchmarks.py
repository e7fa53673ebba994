"""From the configuration of the command that runs standard benchmarks to what it asks."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from cgpo.build.objects import make
from cgpo.config import BenchmarkConfig
from cgpo.errors import UserError
from cgpo.standard_benchmarks import Benchmark
from cgpo.standard_benchmarks.benchmark import Documents


def require_lm_eval() -> None:
    """Asserts that the extra `lm-eval` is installed.

    Raises:
        UserError: it is not.
    """
    if find_spec("lm_eval") is None:
        raise UserError("lm-eval, which asks and scores the benchmarks, is missing: pip install 'cgpo[lm-eval]'")


def build_benchmarks(config: BenchmarkConfig) -> tuple[dict[str, Benchmark], dict[str, Documents]]:
    """The benchmarks of a configuration, and the documents of those that are read from files.

    Raises:
        UserError: a benchmark cannot be made, or a file is not what it should be.
    """
    benchmarks: dict[str, Benchmark] = make(config.benchmarks)
    folder = config.data_dir
    if folder is None:
        return benchmarks, {}
    if not Path(folder).is_dir():
        raise UserError(
            f"data_dir is {folder}: there is no such folder; name the folder of the benchmarks' files, or write "
            "data_dir=null to take their data from the hub"
        )
    documents: dict[str, Documents] = {}
    for name, benchmark in benchmarks.items():
        try:
            documents[name] = benchmark.read(folder)
        except UserError as error:
            raise UserError(f"benchmarks.{name}.file: {error}") from error
    return benchmarks, documents
