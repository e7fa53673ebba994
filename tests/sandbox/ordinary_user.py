"""Run by `test_sandbox.py` as an ordinary user: the attacks, one after another, and what came of them as JSON."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from attacks import ATTACKS, REACHES, RIGHT, RIGHT_SCRIPT, SCRIPT_ATTACKS, SCRIPT_PAIRS, TESTS

from cgpo.errors import UserError
from cgpo.sandbox.sandbox import Report, Sandbox, Tests

ASSERTIONS = Tests(tuple(TESTS))
PAIRS = Tests(tuple(text for _, text in SCRIPT_PAIRS), inputs=tuple(text for text, _ in SCRIPT_PAIRS))
REACHED = Tests(("assert f() is True",))


def main() -> None:
    attacks = [(name, program, ASSERTIONS, RIGHT) for name, program in ATTACKS.items()]
    attacks += [(name, program, PAIRS, RIGHT_SCRIPT) for name, program in SCRIPT_ATTACKS.items()]
    right = "def f(): return True"
    attacks += [(name, f"def f():\n    {tried}\n    return True", REACHED, right) for name, tried in REACHES.items()]
    if sys.argv[1] == "some":
        attacks = attacks[::5]
    answer = {"uid": os.getuid(), "run": len(attacks), "refused": None, "passed": [], "harmed": []}
    try:
        sandboxes = [Sandbox(timeout=0.8, memory_mb=256) for _ in range(2)]
    except UserError as error:
        print(json.dumps({**answer, "refused": str(error)}))
        return

    def attack(number: int) -> None:
        for name, program, tests, harmless in attacks[number::2]:
            if _passes(sandboxes[number].run(program, tests)):
                answer["passed"].append(name)
            if not _passes(sandboxes[number].run(harmless, tests)):
                answer["harmed"].append(name)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(attack, range(2)))
    for sandbox in sandboxes:
        sandbox.close()
    print(json.dumps(answer))


def _passes(report: Report) -> bool:
    return report.complete and all(problem is None for problem in report.problems)


main()
