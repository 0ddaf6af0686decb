"""CoOp: learned context vectors in the place of a prompt's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._clip.method import ClipMethod, ClipOptions, Position
from diffclip.protocol.task import FewShotTask

if TYPE_CHECKING:
    from torch import Tensor


class CoOp(ClipMethod):
    """Zhou et al., "Learning to prompt for vision-language models", IJCV 2022.

    The default is the paper's: 16 context vectors, shared by all classes, the class name at the end. `class_specific`
    learns a context for every class; `words` starts the context from the embeddings of words, whose number is then its
    length. Both towers stay frozen, and the last weights count, as in the published code. Windows are turned and
    mirrored where it crops and flips photographs.
    """

    title = "CoOp"
    reference = "Zhou et al. 2022, arXiv 2109.01134; github.com/KaiyangZhou/CoOp"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "middle": {"position": "middle"},
        "class-specific": {"class_specific": True},
        "words": {"words": "a photo of a"},
        "words-middle": {"words": "a photo of a", "position": "middle"},
    }

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of CoOp, besides those of every rival around CLIP; prompts are not used.

        Attributes:
            context: M, number of context vectors.
            words: words whose embeddings are the first context; empty: it is drawn at random.
            position: where the class name stands: at the end, in the middle, or in front of the context.
            class_specific: learn a context for every class.
            epochs: how often every shot is seen; None: 50 at 1 shot, 100 at 2 to 4, 200 at more.
            batch: largest batch.
            lr: of stochastic gradient descent, after a first epoch at 1e-5; it falls by half a cosine.
        """

        context: int = 16
        words: str = ""
        position: Position = "end"
        class_specific: bool = False
        epochs: int | None = None
        batch: int = 32
        lr: float = 2e-3

    def fit(self, task: FewShotTask) -> None:
        """Learn the context by cross-entropy."""
        import torch
        from torch.nn.functional import cross_entropy, normalize

        from baselines._clip.context import ContextPrompts, word_context
        from baselines._clip.optimisation import coop_epochs, coop_rate, descend, sgd
        from baselines._clip.shots import Shots

        self.open(task)
        options, shots = self.options, Shots(task, self.features)
        words = word_context(self.clip, options.words) if options.words else None
        length = options.context if words is None else len(words)
        prompts = ContextPrompts(self.clip, task.class_names, length, options.position)
        if words is None:
            shape = (len(task.classes), length, prompts.width) if options.class_specific else (length, prompts.width)
            start = torch.normal(0.0, 0.02, shape, generator=task.torch_generator("context")).to(task.device)
        else:
            start = words.repeat(len(task.classes), 1, 1) if options.class_specific else words
        self.context = start.requires_grad_()

        def loss_of(rows: Tensor) -> Tensor:
            features, targets = shots.draw(rows)
            texts = normalize(prompts.encode(self.context), dim=-1)
            return cross_entropy(self.cosines(features, texts), targets)

        epochs = options.epochs or coop_epochs(task.shots)
        optimizer, rate = sgd([self.context]), coop_rate(options.lr, epochs)
        descend(loss_of, optimizer, rate, task, batch=options.batch, epochs=epochs, name="CoOp")
        with torch.no_grad():
            self.classes = normalize(prompts.encode(self.context), dim=-1)

    def logits(self, features: Tensor) -> Tensor:
        """Scaled cosines between windows and learned prompts."""
        return self.cosines(features, self.classes)

    @property
    def n_parameters(self) -> int:
        """The context vectors."""
        return self.context.numel()
