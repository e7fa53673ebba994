"""The judge of precise instruction following, by closed-form instructions in the row's metadata (section 4.1.4).

To add a kind of instruction, decorate a function with `checker`:

    @checker("my_group:starts_with")
    def starts_with(response: str, *, phrase: str) -> bool:
        return response.startswith(phrase)

A row asks for it by `instruction_id_list: ["my_group:starts_with"]` and `kwargs: [{"phrase": "Dear"}]`.
"""

from cgpo.judges.instruction_following import checkers
from cgpo.judges.instruction_following.judge import CHECKERS, InstructionFollowingJudge, checker

__all__ = ["CHECKERS", "InstructionFollowingJudge", "checker", "checkers"]
