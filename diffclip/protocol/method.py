"""The contract of a method: two hooks to write, `fit` and `predict`; everything around them is done here, once."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias, final

import numpy as np
from jaxtyping import Float

from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex

Axis = Literal["window", "mask_ratio"]
Scores: TypeAlias = Float[np.ndarray, "n K"]
SCENE_WIDE: Final = "scene"


@dataclass(frozen=True)
class Pretraining:
    """A checkpoint that a method needs and that does not depend on labels or shots; made once, shared by its cells.

    Attributes:
        name: what it is, for a folder's name; the checkpoint's settings are told apart by a checksum after it.
        function: "module:function", called as `function(imagery, settings, seed=, device=, path=)`; it writes the
            checkpoint to `path` and returns what it measured (JSON values).
        many: "module:function" that makes the checkpoints of several seeds as one training, called as
            `function(imagery, settings, seeds=, device=, paths=)`, and returns what it measured for each; None where
            seeds can only be pretrained one after another.
        settings: everything that decides the checkpoint besides the scene, the seed and the function's source.
        scene: the card's name of the scene to learn from, to which the checkpoint then belongs; None: the tested one.
        inspection: "module:function" that shows what the checkpoint and the fitted method learned, called as
            `function(method, task, settings, pixels)`; None where there is nothing to show.
    """

    name: str
    function: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    scene: str | None = None
    inspection: str | None = None
    many: str | None = None


class Method(ABC):
    """A few-shot classifier.

    An author writes the nested `Options` (a frozen dataclass whose defaults are the method's own paper's settings),
    `fit` and `predict`, and declares what the method looks at. The suite calls `train` and `classify`, which check
    what the hooks give back. A method's file is imported only to read its declarations, so heavy libraries are
    imported inside the hooks.

    Class attributes:
        title: name in tables and figures.
        reference: where the method comes from (paper, repository).
        variants: named sets of options that a study can ask for by name.
        axes: the study's axes that the method turns; it is run once for every value of those and never for others.
        transductive: True when it learns from unlabelled pixels of the scene that it is tested on.
        oracle: True only for the control that is shown the test labels.
        control: True for controls, which bracket a table and never count as best.
        uses_device: True for methods that compute on a GPU when there is one.
        uses_validation: True for methods that look at validation labels; only protocol `paper` hands some out, and
            they are not tested on.
        tests_on_validation: True for methods that are tested on these validation pixels all the same.
    """

    title: ClassVar[str]
    reference: ClassVar[str] = ""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    axes: frozenset[Axis] = frozenset()
    transductive: bool = False
    oracle: ClassVar[bool] = False
    control: ClassVar[bool] = False
    uses_device: ClassVar[bool] = False
    uses_validation: bool = False
    tests_on_validation: bool = False

    @dataclass(frozen=True)
    class Options:
        """A method without options."""

    task: FewShotTask
    truth: np.ndarray  # (H * W,) labels of the whole scene; given to an oracle before `train`, to nobody else

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for sealed in ("train", "train_many", "classify"):
            if sealed in cls.__dict__:
                raise TypeError(f"{cls.__name__}.{sealed} is sealed: write fit, fit_many and predict instead")

    @abstractmethod
    def fit(self, task: FewShotTask) -> None:
        """Learn from the task's labelled pixels (hook; the task is also kept as `self.task`)."""

    @classmethod
    def fit_many(cls, methods: Sequence[Self], tasks: Sequence[FewShotTask]) -> None:
        """Learn several seeds of a cell (hook; by default one after another).

        A method that overrides this trains them as one model; each learns what it would learn alone, up to rounding.

        Args:
            methods: one per seed, with the same options.
            tasks: theirs, in the same order; scene, classes, shots and window are the same.
        """
        for method, task in zip(methods, tasks, strict=True):
            method.fit(task)

    @property
    def joins_seeds(self) -> bool:
        """Whether several seeds can be trained as one model."""
        return type(self).fit_many.__func__ is not Method.fit_many.__func__  # type: ignore[attr-defined]

    @abstractmethod
    def predict(self, pixels: PixelIndex) -> Scores:
        """Return (n, K) scores, columns in the order of `task.classes` (hook).

        The higher, the likelier; scores that are logits or log-probabilities give meaningful confidences.
        """

    def reach(self, window: int | None) -> int | Literal["scene"]:
        """Return how many pixels around a classified pixel are looked at; `SCENE_WIDE` for features of all of it."""
        return window // 2 if window is not None and "window" in self.axes else 0

    def window_reach(self, window: int | None) -> int:
        """Return how many pixels around a classified pixel are looked at through windows, which `strict` keeps apart.

        That is `reach`, or 0 where features of the whole scene are all there is; a method that looks through windows
        at such features says both.
        """
        reach = self.reach(window)
        return 0 if reach == SCENE_WIDE else int(reach)

    def pretraining(self, window: int | None, mask_ratio: float | None) -> Pretraining | None:
        """Return the checkpoint that this method needs before `fit`, or None."""
        return None

    def check(self, window: int | None) -> None:
        """Raise `UserError` where the options do not go with the window; asked before anything runs."""
        return None

    @property
    def n_parameters(self) -> int | None:
        """Trained parameters of a fitted method, or None where the word has no meaning."""
        return None

    @property
    def clip_weights(self) -> str:
        """CLIP weights in use, known before `fit`: "none", "random", "embedded", MODEL/TAG, or a file with checksum."""
        return "none"

    @final
    def train(self, task: FewShotTask) -> None:
        """Keep the task and fit."""
        self.task = task
        self.fit(task)

    @final
    @classmethod
    def train_many(cls, methods: Sequence[Self], tasks: Sequence[FewShotTask]) -> None:
        """Keep each method's task and fit all."""
        for method, task in zip(methods, tasks, strict=True):
            method.task = task
        cls.fit_many(methods, tasks)

    @final
    def classify(self, pixels: PixelIndex) -> Scores:
        """Predict and check: finite scores, one row per pixel and one column per class.

        Raises:
            ValueError: what `predict` gave back has another shape or values that are not finite.
        """
        scores = np.asarray(self.predict(pixels), dtype=np.float32)
        expected = (len(pixels), len(self.task.classes))
        if scores.shape != expected:
            name = type(self).__name__
            raise ValueError(f"{name}.predict: found scores of shape {scores.shape}, expected {expected}")
        bad = np.count_nonzero(~np.isfinite(scores))
        if bad:
            raise ValueError(f"{type(self).__name__}.predict: found {bad} scores that are not finite")
        return scores

    @final
    def settings(self) -> dict[str, Any]:
        """Return the options as a record holds them: plain values, and lists for tuples."""
        return json.loads(json.dumps(asdict(self.options)))
