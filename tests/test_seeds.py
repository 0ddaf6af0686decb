"""Several seeds trained as one are the same seeds trained one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffclip.language.tower import TextTower
from diffclip.layers import BatchNorm
from diffclip.model.classifier import DiffCLIP, contrastive_loss
from diffclip.model.encoder import Architecture
from diffclip.model.masking import kept_tokens
from diffclip.model.pretrainer import MaskedDiffusion
from diffclip.seeds import apart, together

SMALL = Architecture(window=5, stem=8, width=16, depth=2, heads=2, decoder_width=12, decoder_depth=1, decoder_heads=2)
IDS = torch.tensor([[0, 3, 5, 0], [0, 4, 2, 5], [1, 5, 0, 0]])
STEPS = 4

Draw = Callable[[torch.Generator], tuple[Any, ...]]
Loss = Callable[..., Tensor]  # of a model (or several) and a draw (or several, stacked): one loss per seed


def _stacked(draws: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    return [torch.stack(column) for column in zip(*draws, strict=True)]


class Convolutions(nn.Module):
    """What supervised networks are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.BatchNorm2d(6), nn.LeakyReLU(0.2), nn.MaxPool2d(2), nn.Flatten()
        )
        self.spectrum = nn.Sequential(nn.Conv1d(1, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten())
        self.classes = nn.Sequential(nn.BatchNorm1d(30), nn.Linear(30, 5), nn.LayerNorm(5), nn.Linear(5, 3, bias=False))

    def forward(self, windows: Tensor) -> Tensor:
        spectrum = self.spectrum(windows[..., None, :, 2, 2])
        return self.classes(torch.cat([self.layers(windows), spectrum], -1))


def stage_1() -> tuple[Callable[[], nn.Module], Draw, Loss]:
    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        clean = [torch.randn(6, 25, c, generator=generator, dtype=torch.float64) for c in (6, 2)]
        noise = [torch.randn(6, 25, c, generator=generator, dtype=torch.float64) for c in (6, 2)]
        masks = [torch.rand(6, 25, generator=generator) for _ in "12"]
        return *clean, *noise, *masks, torch.randint(1000, (6,), generator=generator)

    def loss(model: nn.Module, *draws: Tensor) -> Tensor:
        kept = [kept_tokens(drawn, 0.6) for drawn in draws[4:6]]
        found = model.losses(draws[:2], draws[6], draws[2:4], kept)
        return sum(0.1 * x.mean(-1) for x in found.hidden) + sum(x.mean(-1) for x in found.visible)

    return lambda: MaskedDiffusion([6, 2], SMALL).double(), draw, loss


def stage_2() -> tuple[Callable[[], nn.Module], Draw, Loss]:
    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        clean = [torch.randn(6, 25, c, generator=generator, dtype=torch.float64) for c in (6, 2)]
        return *clean, torch.randint(1000, (6,), generator=generator), torch.randint(3, (6,), generator=generator), IDS

    def loss(model: nn.Module, *draws: Tensor) -> Tensor:
        logits = model.logits(model.images(draws[:2], draws[2]), model.texts(draws[4]))
        return contrastive_loss(logits, draws[3])

    tower = lambda: TextTower(6, 8, 2, 2, embedding=10)  # noqa: E731
    return lambda: DiffCLIP([6, 2], SMALL, tower(), embedding=10, temperature=0.07).double(), draw, loss


def network() -> tuple[Callable[[], nn.Module], Draw, Loss]:
    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        return (torch.randn(6, 4, 5, 5, generator=generator, dtype=torch.float64),)

    return lambda: Convolutions().double(), draw, lambda model, windows: (model(windows) ** 3).mean((-1, -2))


def _trained(model: nn.Module, loss: Loss, batches: list[Any]) -> list[Tensor]:
    # Weight decay moves what has no gradient; a large epsilon keeps Adam from turning rounding noise of gradients
    # that are zero in exact arithmetic (biases before a batch norm) into whole steps.
    adam = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-2, eps=1e-3)
    found = []
    for batch in batches:
        adam.zero_grad()
        losses = loss(model, *batch)
        losses.sum().backward()
        adam.step()
        found.append(losses.detach())
    return found


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("kind", [stage_1, stage_2, network])
def test_seeds_together_learn_what_each_learns_alone(kind, count):
    make, draw, loss = kind()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        alone = [make() for _ in range(count)]
    joint = together(alone)
    drawn = [[draw(torch.Generator().manual_seed(10 * step + seed)) for seed in range(count)] for step in range(STEPS)]
    of_joint = _trained(joint, loss, [_stacked(step) for step in drawn])
    of_each = [_trained(model, loss, [step[seed] for step in drawn]) for seed, model in enumerate(alone)]
    torch.testing.assert_close(torch.stack(of_joint, -1), torch.stack([torch.stack(x) for x in of_each]))
    expected = [{name: value.clone() for name, value in model.state_dict().items()} for model in alone]
    for model in alone:
        for value in model.state_dict().values():
            value.zero_()
    apart(joint, alone)
    for seed, model in enumerate(alone):
        torch.testing.assert_close(dict(model.state_dict()), expected[seed])
        model.eval()
    batch = [draw(torch.Generator().manual_seed(99 + seed)) for seed in range(count)]
    tested = loss(joint.eval(), *_stacked(batch))
    torch.testing.assert_close(
        tested, torch.stack([loss(*pair) for pair in zip(alone, *zip(*batch, strict=True), strict=True)])
    )


def test_together_leaves_the_models_as_they_are_and_keeps_frozen_weights_frozen():
    models = [MaskedDiffusion([6, 2], SMALL) for _ in "12"]
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    joint = together(models)
    with torch.no_grad():
        for parameter in joint.parameters():
            parameter.add_(1)
    for model, state in zip(models, before, strict=True):
        torch.testing.assert_close(dict(model.state_dict()), state, rtol=0, atol=0)
    frozen = {name for name, parameter in models[0].named_parameters() if not parameter.requires_grad}
    assert {name for name, parameter in joint.named_parameters() if not parameter.requires_grad} == frozen != set()


class Own(nn.Module):
    """Keeps a parameter beside its children."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.inner = nn.Parameter(torch.ones(2)), nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "found no model"),
        ([nn.Linear(2, 3), nn.Linear(2, 4)], "different layers or sizes"),
        ([nn.Sequential(nn.ReLU()), nn.Sequential(nn.GELU())], r"Sequential\.0: found GELU, ReLU, expected one kind"),
        ([Own(), Own()], "Own has parameters of its own; move them into a leaf layer"),
        ([nn.Sequential(nn.PReLU())], r"Sequential\.0: PReLU has parameters of its own; no seed layer is known"),
        ([nn.Sequential(nn.Dropout(0.5))], r"Sequential\.0: Dropout draws inside"),
        ([nn.LayerNorm((2, 3))], "over 2 axes"),
        ([BatchNorm(2, momentum=None)], "momentum None"),
        ([nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")], "padding_mode 'circular'"),
    ],
)
def test_what_cannot_be_trained_together_is_refused_by_name(models, message):
    with pytest.raises(TypeError, match=message):
        together(models)
