"""Results of a comparison as they might come out, without a run."""

from typing import Any

from cgpo.reproduction.results import Results

TASKS = ("chat", "math_code")


def curve(*values: float) -> dict[str, Any]:
    return {"steps": [10 * i for i in range(len(values))], "values": list(values)}


def run(seed: int, success: float, reward: float, kl: float = 1.0) -> dict[str, Any]:
    """A run that goes straight from success 0.7 and reward 0 to where it ends."""
    of_task = {
        "success": curve(0.7, (0.7 + success) / 2, success),
        "learned_reward": curve(0.0, reward / 2, reward),
        "kl": curve(0.0, kl / 2, kl),
    }
    return {"seed": seed, "seconds": 60.0, "curves": dict.fromkeys(TASKS, of_task)}


def results(ends: dict[str, tuple[float, float]], seeds: tuple[int, ...] = (0, 1, 2)) -> Results:
    """Method → where its success and learned reward end; seeds are 0.01 apart, the same way for all methods."""
    methods: dict[str, Any] = {}
    evaluations: list[dict[str, Any]] = [{"seed": seed, "policies": {}} for seed in seeds]
    for name, (success, reward) in ends.items():
        own = [run(seed, success + 0.01 * seed, reward) for seed in seeds]
        methods[name] = {
            "title": name.upper(),
            "command": f"cgpo train optimizer={name}",
            "path": None,
            "start": None,
            "runs": own,
        }
        for evaluation in evaluations:
            # A little noise, which differs between methods but not between tasks.
            value = success + 0.01 * evaluation["seed"] + 0.001 * (len(name) % 3) * evaluation["seed"]
            found = {"sampled": {"success": value, "violation_rate": {"false_refusal": (1 - value) / 10}}}
            evaluation["policies"][name] = dict.fromkeys(TASKS, found)
    return Results(
        {
            "command": "cgpo reproduce",
            "date": "2026-01-31",
            "cores": 2,
            "processor": "a processor",
            "python": "3.11",
            "versions": {"cgpo": "0.1.0"},
            "seeds": list(seeds),
            "methods": methods,
            "evaluations": evaluations,
        }
    )
