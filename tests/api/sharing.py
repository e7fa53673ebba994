"""One process, or one of several, that fits two tasks: `python -m tests.api.sharing PLACE FOLDER STRATEGY`."""

import sys
from pathlib import Path

import torch
from tests.api.parts import fitted, task


def main() -> None:
    place, folder, strategy = Path(sys.argv[1]), *sys.argv[2:]
    fitted(
        place, policy=str(place / "tiny"), folder=folder, tasks=[task(), task("brief")], updates=1, strategy=strategy
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
