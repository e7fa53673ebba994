"""What every judge has, and what is refused because it is not one."""

import subprocess
import sys
from collections.abc import Sequence

import pytest
from tests.tasks.fakes import RuleJudge, always, expert

import cgpo.judges
from cgpo.errors import UserError
from cgpo.judges import Cost, Judge, Panel
from cgpo.judges.panel.process_judge import ProcessJudge
from cgpo.types import Outcome, Prompt, Sample, Verdict


class Polite(Judge):
    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        return [Verdict(Outcome.SATISFIED, "polite") for _ in samples]


class Duck:
    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        return []


def test_one_method_is_enough() -> None:
    judge = Polite()
    assert (judge.cost, judge.deterministic, judge.version) == (Cost.RULES, True, "")
    assert (list(judge.models), judge.usage, list(judge.judging)) == ([], None, [])
    assert not judge.interruptible
    judge.check_prompt(Prompt("row", "question"))
    judge.interrupt("late")
    judge.close()


def test_the_method_is_required() -> None:
    class Mute(Judge):
        pass

    with pytest.raises(TypeError, match="judge"):
        Mute()  # pyright: ignore[reportAbstractUsage]


def test_overriding_interrupt_makes_a_judge_interruptible() -> None:
    class Stoppable(Polite):
        def interrupt(self, reason: str) -> None:
            pass

    assert Stoppable().interruptible


def test_attributes_may_be_assigned_or_be_properties() -> None:
    class Assigned(Polite):
        def __init__(self) -> None:
            self.usage = {"calls": 3, "tokens": 40}
            self.cost = 2.5

    class Computed(Polite):
        @property
        def usage(self) -> dict[str, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
            return {"calls": 4, "tokens": 50}

    panel = Panel({"assigned": Assigned(), "computed": Computed()}, max_calls={"assigned": 9, "computed": 9})
    assert panel.state_dict()["spent"] == {
        "assigned": {"calls": 3, "tokens": 40},
        "computed": {"calls": 4, "tokens": 50},
    }


def test_what_is_no_judge_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^judges.duck: [\w.]*test_base.Duck is not a judge; subclass cgpo.Judge$"):
        Panel({"duck": Duck()})  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match=r"^judges.polite: Polite is the class of a judge, not a judge; call it"):
        Panel({"polite": Polite})  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match=r"^tasks.chat.gold: [\w.]*test_base.Duck is not a judge"):
        expert(gold=Duck())
    with pytest.raises(UserError, match=r"^judge .*Duck is not the class of a judge; subclass cgpo.Judge"):
        ProcessJudge(Duck)  # pyright: ignore[reportArgumentType]


def test_a_panel_of_some_names_the_whole() -> None:
    panel = Panel({"a": RuleJudge(always), "b": RuleJudge(always)})
    assert panel.of(["a"]).whole is panel.whole is panel.of(["a"]).of(["a"]).whole is panel


@pytest.mark.parametrize("name", sorted(cgpo.judges.__all__))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(cgpo.judges, name).__name__ == name
    assert name in dir(cgpo.judges)


def test_judges_of_rules_do_not_load_transformers() -> None:
    code = "import sys; from cgpo.judges import MathJudge, CodeJudge; assert 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
