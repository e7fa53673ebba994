"""A reproduction's own keys: methods that are whole, and that start from others that are there."""

from __future__ import annotations

from collections.abc import Mapping

from cgpo.config.commands import MethodConfig, ReproduceConfig
from cgpo.errors import UserError


def finished_reproduction(config: ReproduceConfig) -> ReproduceConfig:
    """The same, without the methods that are left out, the others checked.

    Raises:
        UserError: a method is not whole, or starts from one that is not there.
    """
    if not config.seeds:
        raise UserError("seeds: name at least one, such as seeds=[0]")
    methods = {name: method for name, method in config.methods.items() if method is not None}
    if not methods:
        raise UserError("methods: there is nothing to compare")
    for name, method in methods.items():
        _check_method(f"methods.{name}", method)
    for name, method in methods.items():
        if method.start is not None:
            _check_start(name, method, methods, config.seeds)
    return config.model_copy(update={"methods": methods})


def _check_method(where: str, method: MethodConfig) -> None:
    if method.path and (method.overrides or method.start):
        raise UserError(f"{where}: a path is evaluated as it is; leave overrides and from out, or the path")
    if not method.path and not method.overrides:
        raise UserError(f"{where}: write overrides, what it gives to cgpo train, or path, a policy that is there")


def _check_start(name: str, method: MethodConfig, methods: Mapping[str, MethodConfig], seeds: tuple[int, ...]) -> None:
    where = f"methods.{name}.from"
    start = methods.get(str(method.start))
    if start is None or start.path is not None:
        raise UserError(f"{where} is {method.start!r}: it must be a method that is trained")
    if start.start is not None:
        raise UserError(f"{where}: {method.start} itself starts from {start.start}; only one such step is taken")
    if missing := set(method.seeds or seeds) - set(start.seeds or seeds):
        raise UserError(f"{where}: {method.start} has no run with seed {min(missing)}")
