"""`python -m cgpo VERB …` is `cgpo VERB …`."""

from cgpo.cli.main import main

if __name__ == "__main__":
    main(program=("python", "-m", "cgpo"))
