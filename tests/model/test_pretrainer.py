"""Stage 1 hides what it says, puts tokens back where they were, and counts the errors of the right tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from diffclip.model.encoder import Architecture
from diffclip.model.masking import kept_tokens
from diffclip.model.pretrainer import Decoder, MaskedDiffusion


@pytest.fixture
def model(small) -> MaskedDiffusion:
    return MaskedDiffusion([6, 2], small).eval()


@pytest.fixture
def windows() -> list[torch.Tensor]:
    return [torch.randn(3, 25, 6), torch.randn(3, 25, 2)]


@pytest.fixture
def time() -> torch.Tensor:
    return torch.tensor([0, 400, 999])


@pytest.mark.parametrize("modality", [0, 1])
def test_pixels_of_hidden_tokens_do_not_influence_any_prediction(model, windows, time, modality):
    kept = [kept_tokens(torch.rand(3, 25), 0.7) for _ in windows]
    changed = list(windows)
    changed[modality] = torch.where(kept[modality].hidden[..., None], 1e3, windows[modality])
    for found, expected in zip(model(changed, time, kept), model(windows, time, kept), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_modality_is_predicted_from_its_own_visible_pixels(model, windows, time):
    kept = [kept_tokens(torch.rand(3, 25), 0.7) for _ in windows]
    changed = [torch.where(kept[0].hidden[..., None], windows[0], windows[0] + 1), windows[1]]
    before, after = model(windows, time, kept), model(changed, time, kept)
    assert (before[0] - after[0]).abs().amax((-1, -2)).gt(1e-5).all()
    torch.testing.assert_close(before[1], after[1], rtol=0, atol=0)


def _without_mixing(decoder: Decoder) -> Decoder:
    """Let blocks pass tokens on, so that a pixel depends on the token at its own place alone."""
    decoder.blocks = torch.nn.ModuleList()
    return decoder


@pytest.mark.parametrize(("window", "token_size"), [(5, 1), (6, 2)])
def test_the_decoder_puts_each_visible_token_at_its_own_place(small, window, token_size):
    decoder = _without_mixing(Decoder(3, replace(small, window=window, token_size=token_size)))
    side = window // token_size
    kept = kept_tokens(torch.rand(side**2), 0.6)
    encoded = torch.randn(1 + len(kept.index), 16)
    before = decoder(encoded, kept)
    for position, place in enumerate(kept.index.tolist()):
        changed = encoded.clone()
        changed[1 + position] += torch.randn(16)
        pixels = (decoder(changed, kept) - before).abs().amax(-1).reshape(window, window).nonzero()
        assert set(map(tuple, (pixels // token_size).tolist())) == {(place // side, place % side)}
        assert len(pixels) == token_size**2


def test_a_token_of_several_pixels_lists_them_row_by_row(small):
    decoder = _without_mixing(Decoder(3, replace(small, window=6, token_size=2)))
    kept = kept_tokens(torch.rand(9), 0.6)
    encoded = torch.randn(1 + len(kept.index), 16)
    found = decoder(encoded, kept).reshape(6, 6, 3)
    place = int(kept.index[0])
    token = decoder.norm(decoder.embed(encoded[1]) + decoder.positions()[1 + place])
    pixels = decoder.channels(decoder.pixels(decoder.projection(token)).reshape(2, 2, small.stem))
    row, column = 2 * (place // 3), 2 * (place % 3)
    torch.testing.assert_close(found[row : row + 2, column : column + 2], pixels)


def test_hidden_places_hold_the_mask_token_and_their_position(small):
    decoder = _without_mixing(Decoder(3, small))
    torch.nn.init.normal_(decoder.mask_token.weight)
    kept = kept_tokens(torch.rand(25), 0.7)
    found = decoder(torch.randn(1 + len(kept.index), 16), kept)
    tokens = decoder.norm(decoder.mask_token() + decoder.positions()[1:])
    expected = decoder.channels(decoder.pixels(decoder.projection(tokens)))
    torch.testing.assert_close(found[kept.hidden], expected[kept.hidden])
    assert not torch.isclose(found[~kept.hidden], expected[~kept.hidden]).all(-1).any()


def test_the_order_of_kept_tokens_does_not_matter(model, windows, time):
    kept = [kept_tokens(torch.rand(3, 25), 0.7) for _ in windows]
    sorted_kept = [replace(seen, index=seen.index.sort(-1).values) for seen in kept]
    for found, expected in zip(model(windows, time, sorted_kept), model(windows, time, kept), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("window", "token_size"), [(5, 1), (6, 2)])
def test_losses_are_mean_squared_errors_over_hidden_and_over_visible_tokens(small, window, token_size):
    model = MaskedDiffusion([4, 2], replace(small, window=window, token_size=token_size)).eval()
    side, time = window // token_size, torch.tensor([10, 600])
    clean = [torch.randn(2, window**2, channels) for channels in (4, 2)]
    noise = [torch.randn_like(x) for x in clean]
    draws = [torch.rand(2, side**2) for _ in clean]
    kept = [kept_tokens(draw, 0.6) for draw in draws]
    found = model.losses(clean, time, noise, kept)
    noised = [model.schedule(x, time, eps) for x, eps in zip(clean, noise, strict=True)]
    predicted = model(noised, time, kept)
    for modality in range(2):
        for b in range(2):
            errors: dict[bool, list[float]] = {True: [], False: []}
            for row in range(window):
                for column in range(window):
                    token = (row // token_size) * side + column // token_size
                    pixel = row * window + column
                    error = (predicted[modality][b, pixel] - clean[modality][b, pixel]) ** 2
                    errors[bool(kept[modality].hidden[b, token])] += error.tolist()
            for side_of, wanted in ((found.hidden, errors[True]), (found.visible, errors[False])):
                assert side_of[modality][b].item() == pytest.approx(sum(wanted) / len(wanted), rel=1e-5)


class _Knows(MaskedDiffusion):
    """Predicts what it is told."""

    answer: list[torch.Tensor]

    def forward(self, windows, time, kept):
        return self.answer


def test_a_perfect_prediction_costs_nothing(small, windows, time):
    model = _Knows([6, 2], small)
    model.answer = windows
    losses = model.losses(windows, time, windows, [kept_tokens(torch.rand(3, 25), 0.7) for _ in windows])
    assert all(not term.any() for term in (*losses.hidden, *losses.visible))


def test_without_noise_the_encoder_sees_clean_windows(small, windows, time):
    model = _Knows([6, 2], small)
    seen = []
    model.forward = lambda noised, time, kept: seen.append(noised) or windows
    model.losses(windows, time, None, [kept_tokens(torch.rand(3, 25), 0.7) for _ in windows])
    assert all(found is x for found, x in zip(seen[0], windows, strict=True))


def test_nothing_hidden_costs_nothing_on_hidden_tokens(model, windows, time):
    losses = model.losses(windows, time, None, [kept_tokens(torch.rand(3, 25), 0.0) for _ in windows])
    assert all(not term.any() for term in losses.hidden)
    assert all(term.gt(0).all() for term in losses.visible)


def test_the_time_step_reaches_the_prediction(model, windows):
    kept = [kept_tokens(torch.rand(3, 25), 0.7) for _ in windows]
    early, late = (model(windows, torch.full((3,), t), kept) for t in (0, 900))
    assert all(not torch.allclose(a, b, atol=1e-4) for a, b in zip(early, late, strict=True))


def test_the_encoder_ends_with_a_norm(model, windows, time):
    torch.nn.init.normal_(model.encoder.norm.weight)
    encoder = model.encoder
    for embed, pixels, found in zip(encoder.modalities, windows, encoder(windows, time), strict=True):
        tokens = torch.cat([embed.summary_token(time), embed(pixels)], -2)
        for block in encoder.blocks:
            tokens = block(tokens)
        torch.testing.assert_close(found, encoder.norm(tokens))


def _attention_weights(model) -> list[str]:
    return [name for name, _ in model.named_parameters() if ".attention.qkv.weight" in name]


def test_both_modalities_go_through_the_same_blocks(model):
    names = _attention_weights(model)
    encoder = [name for name in names if name.startswith("encoder.")]
    assert encoder == [f"encoder.blocks.{block}.attention.qkv.weight" for block in range(2)]
    assert len(names) == len(encoder) + 2


def test_separate_encoders_have_a_transformer_for_each_modality(small, windows, time):
    model = MaskedDiffusion([6, 2, 3], replace(small, shared_encoder=False)).eval()
    encoder = [name for name in _attention_weights(model) if name.startswith("encoder.")]
    starts = ("blocks", "others.0.blocks", "others.1.blocks")
    assert encoder == [f"encoder.{start}.{block}.attention.qkv.weight" for start in starts for block in range(2)]
    three = [*windows, torch.randn(3, 25, 3)]
    before = model.encoder(three, time)
    for module, changed in ((model.encoder.blocks[0], 0), (model.encoder.others[0].norm, 1)):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 0.5
        after = model.encoder(three, time)
        differs = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert differs == [place == changed for place in range(3)]
        before = after


def test_a_change_of_shared_blocks_reaches_every_modality(model, windows, time):
    before = model.encoder(windows, time)
    with torch.no_grad():
        model.encoder.blocks[0].norm1.weight += 0.5
    assert all(not torch.equal(a, b) for a, b in zip(before, model.encoder(windows, time), strict=True))


def test_the_restore_order_shows_the_encoder_other_tokens_than_the_decoder_is_told(model, windows, time):
    draws = [torch.rand(3, 25) for _ in windows]
    right = [kept_tokens(draw, 0.7) for draw in draws]
    wrong = [right[0], kept_tokens(draws[1], 0.7, restore_order=True)]
    assert torch.equal(wrong[1].hidden, right[1].hidden)
    tokens = [embed(pixels) for embed, pixels in zip(model.encoder.modalities, windows, strict=True)]
    seen: list[torch.Tensor] = []
    model.encoder.transform = lambda found, modality, read: seen.append(found) or found
    model.encoder(windows, time, wrong)
    for sample in range(3):
        ranks = draws[1][sample].argsort().argsort()[:7]
        assert torch.equal(seen[1][sample, 1:], tokens[1][sample, ranks])
        assert torch.equal(seen[0][sample, 1:], tokens[0][sample, right[0].index[sample]])
    del model.encoder.transform
    found, expected = model(windows, time, wrong), model(windows, time, right)
    assert torch.equal(found[0], expected[0])
    assert not torch.allclose(found[1], expected[1], atol=1e-4)


def test_defaults_are_the_released_sizes():
    assert Architecture() == Architecture(11, 1, 128, 128, 4, 8, 128, 3, 8, 2.0)
