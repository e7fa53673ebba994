"""The schema is read before anything dear is imported, so that a wrong key is told at once."""

import subprocess
import sys

DEAR = ("torch", "transformers", "lightning", "wandb", "datasets", "sklearn", "pandas")
READ_ALL = """
import sys
from pathlib import Path
from cgpo.config import compose, describe, groups, read_config, reference_page
read_config(compose("train"), "train", Path("run"))
read_config(compose("evaluate", ["judges=[math]"]), "evaluate", Path("run"))
read_config(compose("judge", ["judges=[math,code]", "input=a", "output=b"]), "judge")
read_config(compose("plan", ["experiment=llama_70b"]), "plan", Path("run"))
describe("train")
groups("train")
reference_page()
print(*sorted(set(sys.modules) & set(sys.argv[1:])))
"""


def test_reading_and_describing_a_configuration_imports_nothing_dear() -> None:
    done = subprocess.run([sys.executable, "-c", READ_ALL, *DEAR], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
