"""The five tasks by name, in the paper's order."""

from __future__ import annotations

from collections.abc import Mapping

from cgpo.data.suite.engagement import ENGAGEMENT
from cgpo.data.suite.general_chat import GENERAL_CHAT
from cgpo.data.suite.harmful_intent import HARMFUL_INTENT
from cgpo.data.suite.instruction_following import INSTRUCTION_FOLLOWING
from cgpo.data.suite.language import TaskLanguage
from cgpo.data.suite.math_code import MATH_CODE
from cgpo.errors import UserError

TASKS: Mapping[str, TaskLanguage] = {
    language.name: language for language in (GENERAL_CHAT, INSTRUCTION_FOLLOWING, MATH_CODE, ENGAGEMENT, HARMFUL_INTENT)
}


def task_language(name: str) -> TaskLanguage:
    """The grammar of a task."""
    if name not in TASKS:
        raise UserError(f"the suite has no task {name!r}; it has {', '.join(TASKS)}")
    return TASKS[name]
