"""What cannot be: in the numbers of one record, and between records that a table would put side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from diffclip.errors import UserError

IDENTITY = ("scene", "method", "variant", "protocol", "shots", "window", "mask_ratio", "seed")
TRAITS = ("title", "scene_title", "simulated", "reach", "transductive", "control", "clip_weights")
METRICS = ("oa", "aa", "kappa", "macro_f1")
SPLIT = ("margin", "train_pixels", "validation_pixels", "test_pixels", "overlap_percent", "contains_percent")
COST = (
    "pretrain_seconds",
    "fit_seconds",
    "predict_seconds",
    "peak_memory_mb",
    "parameters",
    "device",
    "device_name",
)
PROVENANCE = (
    "suite",
    "commit",
    "created",
    "scene_sha256",
    "split_sha256",
    "config_sha256",
    "sources_sha256",
    "checkpoint_sha256",
)
_TEXT, _NOTHING, _COUNT, _NUMBER = (str,), type(None), (int,), (int, float)
# Kinds of values that a record must have, as far as tables count or name by them.
KINDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "identity": {
        **dict.fromkeys(("scene", "method", "variant", "protocol"), _TEXT),
        **dict.fromkeys(("shots", "seed"), _COUNT),
        "window": (*_COUNT, _NOTHING),
        "mask_ratio": (*_NUMBER, _NOTHING),
    },
    "traits": {
        **dict.fromkeys(("title", "scene_title", "clip_weights"), _TEXT),
        **dict.fromkeys(("simulated", "transductive", "control"), (bool,)),
        "reach": (int, str),
    },
    "split": {
        **dict.fromkeys(("train_pixels", "validation_pixels", "test_pixels"), _COUNT),
        **dict.fromkeys(("margin", "overlap_percent", "contains_percent"), (*_NUMBER, _NOTHING)),
        "skipped_classes": (list,),
        "test_pixels_per_class": (dict,),
    },
    "cost": {
        **dict.fromkeys(("fit_seconds", "predict_seconds", "peak_memory_mb"), _NUMBER),
        **dict.fromkeys(("pretrain_seconds", "parameters"), (*_NUMBER, _NOTHING)),
        **dict.fromkeys(("device", "device_name"), _TEXT),
    },
    "provenance": dict.fromkeys(("suite", "created", "scene_sha256", "split_sha256", "sources_sha256"), _TEXT),
}
_CALLED = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
_CALLED |= {dict: "an object", _NOTHING: "null"}
# Percentages nearer than this are the same.
ROUNDING = 0.01
# What runs must share: the column, the columns that say which runs, and what is wrong where they do not.
SHARED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("scene_sha256", ("scene",), "two versions of the scene"),
    ("split_sha256", ("scene", "protocol", "shots", "seed"), "two splits of one seed, so that methods do not pair"),
    ("sources_sha256", IDENTITY[:-1], "two versions of the method's code in one cell"),
    ("options", IDENTITY[:-1], "two sets of options in one cell"),
)


def missing_key(record: Mapping[str, Any]) -> str:
    """Name the first key that a record lacks, or return ""."""
    needed: dict[str, tuple[str, ...]] = {
        "identity": IDENTITY,
        "traits": TRAITS,
        "split": (*SPLIT, "skipped_classes", "test_pixels_per_class"),
        "provenance": PROVENANCE,
    }
    if record.get("status") == "ok":
        needed |= {"metrics": (*METRICS, "per_class"), "confusion": ()}
        # Programs outside of the suite are not measured.
        if record.get("cost") is not None:
            needed["cost"] = COST
    for key in ("status", "reason", "fingerprint", "options", "class_names", "cost", *needed):
        if key not in record:
            return f"key {key!r} is missing"
    for block, keys in needed.items():
        for key in keys:
            if record[block] is None or key not in record[block]:
                return f"key {block}.{key} is missing"
    return ""


def wrong_kind(record: Mapping[str, Any]) -> str:
    """Name the first value that is of another kind than tables count with, or return ""."""
    for block, kinds in KINDS.items():
        for key, allowed in kinds.items() if record[block] is not None else ():
            value = record[block].get(key)
            # To Python, true is a number as well.
            if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
                # Where fractions are allowed, whole numbers need no mention.
                names = [_CALLED[kind] for kind in allowed if kind is not int or float not in allowed]
                return f"{block}.{key}: found {value!r:.60}, expected {' or '.join(names)}"
    return ""


def out_of_range(record: Mapping[str, Any]) -> str:
    """Name the first number of split or cost that cannot be, or return ""."""
    split, shots, cost = record["split"], record["identity"]["shots"], record["cost"] or {}
    expected = shots * len(record["class_names"])
    if split["train_pixels"] != expected:
        return f"split.train_pixels: found {split['train_pixels']}, expected {expected}: {shots} of every class"
    for key in ("overlap_percent", "contains_percent"):
        if split[key] is not None and not 0 <= split[key] <= 100 + ROUNDING:
            return f"split.{key}: found {split[key]}, expected 0..100"
    for key in COST:
        if isinstance(cost.get(key), int | float) and not 0 <= cost[key] < float("inf"):
            return f"cost.{key}: found {cost[key]}, expected 0 or more"
    return ""


def contradiction(record: Mapping[str, Any]) -> str:
    """Say what cannot be in the numbers of a run that went well, or return ""."""
    status = record["status"]
    if status != "ok":
        return "" if status == "failed" else f"status: found {status!r}, expected 'ok' or 'failed'"
    metrics, split, confusion = record["metrics"], record["split"], np.array(record["confusion"])
    if confusion.shape != (len(record["class_names"]),) * 2 or confusion.min() < 0:
        return f"confusion: found shape {confusion.shape} or negative counts, expected a count per pair of classes"
    shares = {key: metrics[key] for key in ("oa", "aa", "macro_f1")} | metrics["per_class"]
    for key, value in shares.items():
        # Written so that NaN is refused as well.
        if not -ROUNDING <= value <= 100 + ROUNDING:
            return f"accuracy {key}: found {value}, expected 0..100"
    # Agreement by chance is never negative, so kappa = (OA - chance) / (1 - chance) is never above OA.
    if not metrics["kappa"] <= metrics["oa"] + ROUNDING:
        return f"kappa {metrics['kappa']:.2f} is above OA {metrics['oa']:.2f}, which cannot be"
    counts = confusion.sum(axis=1)
    if counts.sum() != split["test_pixels"]:
        return f"confusion: found {counts.sum()} pixels, expected test_pixels = {split['test_pixels']}"
    for name, count in zip(record["class_names"], counts.tolist(), strict=True):
        expected = split["test_pixels_per_class"].get(name)
        if count != expected:
            return f"confusion of {name!r}: found {count} pixels, expected test_pixels_per_class = {expected}"
    return _other_metrics(metrics, accuracies(confusion, record["class_names"]))


def _other_metrics(found: Mapping[str, Any], expected: Mapping[str, float]) -> str:
    told = {key: found[key] for key in METRICS} | {f"accuracy of {name}": v for name, v in found["per_class"].items()}
    for key, value in expected.items():
        if key not in told:
            return f"{key} is missing"
        if not abs(told[key] - value) <= ROUNDING:
            return f"{key}: found {told[key]:.2f}, but its confusion matrix gives {value:.2f}"
    return ""


def accuracies(confusion: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """Return OA, AA, kappa, macro F1 and each class's accuracy in percent, anew and not by the code that recorded them.

    Args:
        confusion: (K, K) counts, truth by row, prediction by column; every class has test pixels.
        class_names: K names.
    """
    truth, predicted, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    total = float(truth.sum())
    recall, oa = right / truth, right.sum() / total
    chance = float(truth @ predicted) / total**2
    found = {
        "oa": oa,
        "aa": recall.mean(),
        "kappa": 1.0 if chance == 1.0 else (oa - chance) / (1 - chance),
        "macro_f1": (2 * right / (truth + predicted)).mean(),
        **{f"accuracy of {name}": value for name, value in zip(class_names, recall, strict=True)},
    }
    return {key: 100 * float(value) for key, value in found.items()}


def refuse_contradictions(rows: Iterable[Mapping[str, Any]]) -> None:
    """See that runs that a table averages or pairs met the same scene, splits, code and options.

    Args:
        rows: of `runs.csv`.

    Raises:
        UserError: two that did not, both named.
    """
    first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        for column, keys, wrong in SHARED:
            other = first.setdefault((column, *(row[key] for key in keys)), row)
            if other[column] != row[column]:
                raise UserError(
                    f"{row['path']}: {column}: found {row[column][:60]}, but {other['path']} has {other[column][:60]}: "
                    f"{wrong}, which no table may mix; make the older run again ({_older(row, other)}) or remove it"
                )


def _older(row: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return str(min(row, other, key=lambda run: run["created"])["path"])
