"""Several seeds of a model trained as one: `together(models)` swaps leaf layers for layers with a seed axis.

One model this small leaves a GPU idle. Models of the same sizes that follow the three rules of `diffclip.layers`
(parameters in leaves, trailing axes only, randomness as an argument) run unchanged on tensors with one more axis in
front, of length S, once every leaf keeps S sets of weights. No operation crosses seeds, so the sum of the seeds' losses
gives each seed its own gradient. `apart` hands the weights back to the single models.

A product of S matrices at once rounds otherwise than S products: results agree in exact arithmetic, not to the bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from diffclip.layers import BatchNorm, Projections, Scale, Table

Model = TypeVar("Model", bound=nn.Module)


class SeedLeaf(nn.Module):
    """A leaf layer of S seeds: every parameter and buffer of the single layers, stacked along a first axis.

    Args:
        leaves: one layer per seed, of the same sizes.
    """

    def __init__(self, leaves: Sequence[nn.Module]) -> None:
        super().__init__()
        first = leaves[0]
        self.seeds = len(leaves)
        self.training = first.training
        for name, parameter in first._parameters.items():
            stacked = None if parameter is None else _stack(leaves, name)
            needed = parameter is not None and parameter.requires_grad
            self.register_parameter(name, None if stacked is None else nn.Parameter(stacked, requires_grad=needed))
        for name, buffer in first._buffers.items():
            persistent = name not in first._non_persistent_buffers_set
            self.register_buffer(name, None if buffer is None else _stack(leaves, name), persistent=persistent)


class SeedLinear(SeedLeaf):
    """`nn.Linear` of S seeds."""

    weight: Tensor
    bias: Tensor | None

    def forward(
        self, x: Float[Tensor, "S *axes i"], first: int = 0, last: int | None = None
    ) -> Float[Tensor, "S *axes o"]:
        """Map the last axis; of the outputs, return those from `first` to before `last`."""
        rows, weight = x.reshape(self.seeds, -1, x.shape[-1]), self.weight[:, first:last]
        mapped = torch.bmm(rows, weight.mT)
        if self.bias is not None:
            # Not by baddbmm: that writes the bias to every row first, a pass that a compiler cannot save.
            mapped = mapped + self.bias[:, None, first:last].to(mapped.dtype)
        return mapped.view(*x.shape[:-1], -1)


class SeedLayerNorm(SeedLeaf):
    """`nn.LayerNorm` of S seeds, over the last axis."""

    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, leaves: Sequence[nn.LayerNorm]) -> None:
        super().__init__(leaves)
        self.shape, self.eps = leaves[0].normalized_shape, leaves[0].eps
        if len(self.shape) != 1:
            raise TypeError(f"LayerNorm over {len(self.shape)} axes cannot be trained together, expected the last one")

    def forward(self, x: Float[Tensor, "S *axes D"]) -> Float[Tensor, "S *axes D"]:
        """Normalise, then scale and shift by the seed's own numbers."""
        normed = functional.layer_norm(x, self.shape, None, None, self.eps)
        if self.weight is not None:
            normed = normed * _beside(self.weight, x)
        return normed if self.bias is None else normed + _beside(self.bias, x)


class SeedBatchNorm(SeedLeaf):
    """Batch normalisation of S seeds with statistics of their own, over the last axis or torch's second one.

    Seeds are folded into the channels: no statistic mixes two of them.
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, leaves: Sequence[nn.modules.batchnorm._BatchNorm]) -> None:
        super().__init__(leaves)
        first = leaves[0]
        if first.momentum is None:
            raise TypeError("batch normalisation with momentum None cannot be trained together, expected a number")
        self.momentum, self.eps, self.last = first.momentum, first.eps, isinstance(first, BatchNorm)

    def forward(self, x: Float[Tensor, "S n *axes"]) -> Float[Tensor, "S n *axes"]:
        """Normalise."""
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if self.last:
            rows = x.reshape(self.seeds, -1, x.shape[-1])
            return _unfolded(self._normed(_folded(rows)), self.seeds).view_as(x)
        return _unfolded(self._normed(_folded(x)), self.seeds)

    def _normed(self, x: Tensor) -> Tensor:
        mean, variance, weight, bias = (
            None if value is None else value.view(-1)
            for value in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        own = self.training or mean is None
        return functional.batch_norm(x, mean, variance, weight, bias, own, self.momentum, self.eps)


class SeedEmbedding(SeedLeaf):
    """`nn.Embedding` of S seeds."""

    weight: Tensor

    def forward(self, ids: Int64[Tensor, "S n *axes"]) -> Float[Tensor, "S n *axes D"]:
        """Look every id up in its seed's table."""
        rows = self.weight.shape[1]
        first = torch.arange(self.seeds, device=ids.device).view(-1, *(1,) * (ids.ndim - 1)) * rows
        return functional.embedding(ids + first, self.weight.flatten(0, 1))


class SeedTable(SeedLeaf):
    """`Table` of S seeds."""

    weight: Tensor

    def forward(self) -> Float[Tensor, "S rows D"]:
        """Return the vectors."""
        return self.weight


class SeedScale(SeedLeaf):
    """`Scale` of S seeds."""

    weight: Tensor

    def forward(self) -> Float[Tensor, " S"]:
        """Return the scalars themselves."""
        return self.weight.exp()


class SeedConv(SeedLeaf):
    """A convolution of S seeds: one with S times the groups."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, leaves: Sequence[nn.modules.conv._ConvNd]) -> None:
        super().__init__(leaves)
        first = leaves[0]
        if first.padding_mode != "zeros":
            raise TypeError(f"padding_mode {first.padding_mode!r} cannot be trained together, expected 'zeros'")
        convolve: dict[int, Callable[..., Tensor]] = {
            1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d
        }  # fmt: skip
        self._convolve = convolve[len(first.kernel_size)]
        self._how: dict[str, Any] = {
            "stride": first.stride,
            "padding": first.padding,
            "dilation": first.dilation,
            "groups": first.groups * len(leaves),
        }

    def forward(self, x: Float[Tensor, "S n i *place"]) -> Float[Tensor, "S n o *_place"]:
        """Convolve."""
        bias = None if self.bias is None else self.bias.flatten()
        return _unfolded(self._convolve(_folded(x), self.weight.flatten(0, 1), bias, **self._how), self.seeds)


class SeedFolded(nn.Module):
    """A layer without weights that looks at one sample at a time: seeds are folded into the samples.

    Args:
        layers: one per seed, all alike.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layer = layers[0]

    def forward(self, x: Float[Tensor, "S n *place"]) -> Float[Tensor, "S n *_place"]:
        """Apply the layer."""
        return self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


_Leaf = Callable[[Sequence[Any]], nn.Module]
_SEED: dict[type[nn.Module], _Leaf] = {
    **dict.fromkeys((nn.Linear, Projections), SeedLinear),
    nn.LayerNorm: SeedLayerNorm,
    BatchNorm: SeedBatchNorm,
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), SeedBatchNorm),
    nn.Embedding: SeedEmbedding,
    Table: SeedTable,
    Scale: SeedScale,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), SeedConv),
    **dict.fromkeys(
        (
            nn.Flatten, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
            nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
        ),
        SeedFolded,
    ),
}  # fmt: skip
_DRAW = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def together(models: Sequence[Model]) -> Model:
    """Return one model that runs S models of the same sizes at once; every input and output has a first axis of S.

    Args:
        models: one per seed; left as they are.

    Raises:
        TypeError: the models differ in their layers or sizes, keep parameters outside of leaf layers, have a leaf
            that no seed layer is known for, or draw random numbers inside.
    """
    if not models:
        raise TypeError("together: found no model, expected one or more")
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in models]
    if any(
        type(model) is not type(models[0]) or found != shapes[0] for model, found in zip(models, shapes, strict=True)
    ):
        raise TypeError("together: found models of different layers or sizes, expected the same")
    return cast(Model, _together(models, type(models[0]).__name__, {}))


def _together(parts: Sequence[nn.Module], name: str, done: dict[int, nn.Module]) -> nn.Module:
    first = parts[0]
    if id(first) in done:  # one layer under two names stays one layer
        return done[id(first)]
    kinds = {type(part) for part in parts}
    if len(kinds) > 1:
        raise TypeError(f"{name}: found {', '.join(sorted(kind.__name__ for kind in kinds))}, expected one kind")
    if type(first) in _SEED:
        made = _SEED[type(first)](parts)
    elif isinstance(first, _DRAW):
        raise TypeError(f"{name}: {type(first).__name__} draws inside; randomness must be an argument")
    elif first._parameters:
        where = "move them into a leaf layer" if first._modules else "no seed layer is known for it"
        raise TypeError(f"{name}: {type(first).__name__} has parameters of its own; {where}")
    else:
        made = _rebuilt(parts, name, done)
    done[id(first)] = made
    return made


def _rebuilt(parts: Sequence[nn.Module], name: str, done: dict[int, nn.Module]) -> nn.Module:
    """Return a module without parameters of its own around the children's seed layers; its buffers are constants."""
    first = parts[0]
    for key, value in first._buffers.items():
        if value is not None and not all(torch.equal(value, part.get_buffer(key)) for part in parts):
            raise TypeError(f"{name}.{key}: found buffers that differ between models, expected constants")
    made = copy.copy(first)
    # A shallow copy shares these dictionaries with the first model.
    made._buffers = dict(first._buffers)
    made._modules = {
        key: child and _together([cast(nn.Module, part._modules[key]) for part in parts], f"{name}.{key}", done)
        for key, child in first._modules.items()
    }
    return made


@torch.no_grad()
def apart(joint: nn.Module, models: Sequence[nn.Module]) -> None:
    """Give every single model its seed's weights and statistics out of `together(models)`."""
    state = joint.state_dict()
    for seed, model in enumerate(models):
        model.load_state_dict({name: value[seed] for name, value in state.items()})


def _stack(leaves: Sequence[nn.Module], name: str) -> Tensor:
    return torch.stack([getattr(leaf, name).detach() for leaf in leaves])


def _beside(values: Float[Tensor, "S D"], x: Tensor) -> Tensor:
    """Give per-seed vectors the axes of `x` between seed and last axis."""
    return values.view(len(values), *(1,) * (x.ndim - 2), -1)


def _folded(x: Float[Tensor, "S n C *place"]) -> Float[Tensor, "n SC *place"]:
    return x.transpose(0, 1).flatten(1, 2)


def _unfolded(x: Float[Tensor, "n SC *place"], seeds: int) -> Float[Tensor, "S n C *place"]:
    return x.unflatten(1, (seeds, -1)).transpose(0, 1)
