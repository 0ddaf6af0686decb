"""Finds methods: `svm` is the one `Method` in `baselines/svm.py`, and checks options against what it takes."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from diffclip.errors import UserError, did_you_mean
from diffclip.protocol.method import Method
from diffclip.validation import problems, with_numbers

_OURS = {"diffclip": "diffclip.training.method", "outside": "diffclip.protocol.outside"}


@cache
def method_names() -> tuple[str, ...]:
    """Return the names of all methods: ours, and every file in `baselines/` without a leading underscore."""
    folders = importlib.import_module("baselines").__path__
    rivals = {path.stem for folder in folders for path in Path(folder).glob("[!_]*.py")}
    return tuple(sorted(rivals | set(_OURS)))


def module_name(name: str) -> str:
    """Return the module in which method `name` is written."""
    if name not in method_names():
        hint = did_you_mean(name, method_names())
        raise UserError(f"method: found {name!r}{hint}; expected one of {', '.join(method_names())}")
    return _OURS.get(name, f"baselines.{name}")


@cache
def find_method(name: str) -> type[Method]:
    """Return the class of method `name`.

    Raises:
        UserError: no such file, or not exactly one `Method` in it.
    """
    module = importlib.import_module(module_name(name))
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]
    if len(found) != 1:
        names = ", ".join(value.__name__ for value in found) or "none"
        raise UserError(f"{module.__file__}: found {names}, expected exactly one subclass of Method")
    return found[0]


@cache
def _options_model(method: type[Method]) -> type[BaseModel]:
    hints = typing.get_type_hints(method.Options, include_extras=True)
    columns: dict[str, Any] = {}
    for option in fields(method.Options):
        default = option.default if option.default_factory is MISSING else option.default_factory()
        columns[option.name] = (with_numbers(hints[option.name]), ... if default is MISSING else default)
    return create_model("Options", __config__=ConfigDict(extra="forbid"), **columns)


def make_method(name: str, variant: str = "default", options: Mapping[str, Any] | None = None) -> Method:
    """Return method `name` with the options of its `variant`, changed by `options`.

    Args:
        name: the method's file name without `.py`.
        variant: "default", one of the method's own `variants`, or any name given together with `options`.
        options: option names and values that differ from the variant's.

    Raises:
        UserError: unknown method or option, wrong value, or a variant that neither the method nor `options` explains.
    """
    method = find_method(name)
    source = f"method {name}, variant {variant}"
    if variant != "default" and variant not in method.variants and not options:
        hint = did_you_mean(variant, method.variants)
        known = ", ".join(["default", *method.variants])
        raise UserError(f"{source}: unknown variant{hint}; known: {known}; any other name needs options of its own")
    model = _options_model(method)
    try:
        checked = model.model_validate({**method.variants.get(variant, {}), **(options or {})})
    except ValidationError as error:
        raise UserError("\n".join(problems(model, error, source))) from None
    values = {key: getattr(checked, key) for key in model.model_fields}
    try:
        return method(method.Options(**values))
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
