"""Typed YAML: every error of a file at once, each with file, key, what was found and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError

from diffclip.errors import UserError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def _no_truth_value(found: Any) -> Any:
    if isinstance(found, bool):
        raise ValueError("expected a number")
    return found


# `true` is no number, though Python takes it for 1.
NUMBER = BeforeValidator(_no_truth_value)


def with_numbers(hint: Any) -> Any:
    """Return a type whose numbers, however deep in lists and mappings, are not given as `true` or `false`."""
    origin, inner = get_origin(hint), get_args(hint)
    choices = set(inner if origin in (Union, UnionType) else (hint,))
    if choices & {int, float} and bool not in choices:
        return Annotated[hint, NUMBER]
    return origin[tuple(map(with_numbers, inner))] if origin in (tuple, list, dict) else hint


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        UserError: no such file, not YAML, a key that is given twice, or not a mapping.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        found = parse_yaml(path.read_text(), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: found {type(found).__name__}, expected a mapping of keys to values")
    return found


def parse_yaml(text: str, source: str) -> Any:
    """Return what a YAML text says; `source` names it in messages.

    Raises:
        UserError: not YAML, or keys that are given twice, one line each.
    """
    if _is_json(text):
        # JSON is YAML, but for tabs, which it has between its words only.
        text = text.replace("\t", " ")
    try:
        wrong = [f"{source}: {line}" for line in _given_twice(yaml.compose(text, yaml.SafeLoader), (), set())]
        if not wrong:
            return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not valid YAML: {error}") from None
    raise UserError("\n".join(wrong))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _given_twice(node: yaml.Node | None, above: tuple[str, ...], seen: set[int]) -> Iterator[str]:
    """Yield a line per key that is given again below a node: YAML's reader would keep the last without a word."""
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _given_twice(value, (*above, str(position)), seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            line, path = key.start_mark.line + 1, (*above, str(key.value))
            if first := lines.get((key.tag, str(key.value))):
                yield f"{'.'.join(path)}: found on line {first} and again on line {line}, expected every key once"
            lines[key.tag, str(key.value)] = line
            yield from _given_twice(value, path, seen)


def validated(model: type[Model], found: Mapping[str, Any], source: str) -> Model:
    """Return `found` as a `model`, or raise one `UserError` that lists everything wrong with it.

    Args:
        model: the pydantic type that says what is allowed.
        found: keys and values as read.
        source: where they come from (a file's name), put before every line.
    """
    try:
        return model.model_validate(dict(found))
    except ValidationError as error:
        raise UserError("\n".join(problems(model, error, source))) from None


def problems(model: type[BaseModel], error: ValidationError, source: str) -> list[str]:
    """Return one line per error: "source: key: found ..., expected ..."."""
    return [_line(model, dict(details), source) for details in error.errors(include_url=False)]


def _line(model: type[BaseModel], details: dict[str, Any], source: str) -> str:
    location = details["loc"]
    key = ".".join(str(part) for part in location) or "(the whole file)"
    if details["type"] == "extra_forbidden":
        allowed = list(_keys_at(model, location[:-1]))
        hint = did_you_mean(str(location[-1]), allowed)
        return f"{source}: {key}: unknown key{hint}; allowed: {', '.join(allowed)}"
    if details["type"] == "missing":
        return f"{source}: {key}: missing; expected a value"
    reason = details["msg"].removeprefix("Value error, ")
    hint = ""
    if details["type"] in ("literal_error", "enum") and isinstance(details["input"], str):
        hint = did_you_mean(details["input"], _quoted(details["ctx"]["expected"]))
    # A check over a whole mapping or list says itself what it found; the rest of it would only hide that.
    whole = details["type"] == "value_error" and isinstance(details["input"], dict | list | tuple)
    found = "" if whole else f"found {details['input']!r}; "
    return f"{source}: {key}: {found}{reason[:1].lower()}{reason[1:]}{hint}"


def _quoted(text: str) -> list[str]:
    return text.split("'")[1::2]


def _keys_at(model: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    """Return the keys of the nested model found by walking `location` down from `model`."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        below: list[type[BaseModel]] = []
        for candidate in models:
            names = {field.alias or name: field for name, field in candidate.model_fields.items()}
            if part in names:
                below += _models_in(names[part].annotation)
        models = below or models
    return [field.alias or name for candidate in models for name, field in candidate.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]
