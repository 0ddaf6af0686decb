"""Kernels of Triton: self-attention over short sequences of narrow heads, forwards and back.

Flash attention and its like pad heads of 16 channels to 32 or 64, walk over keys tile by tile, and go back in two
passes. Here a program holds all scores of one sequence and head: the way back is one pass, without atomic additions,
and repeats itself to the bit. Queries, keys and values are read where the linear layer left them, and gradients are
written where it reads them.

Arrays are contiguous: `qkv` and `grads` (sequences, tokens, 3 * heads * HEAD), `mixed` and its gradient `grad`
(sequences, tokens, heads * HEAD), `norms` (sequences, heads, tokens), binary logarithms of what the softmax divides by.
SIZE is a power of 2 that is no less than the number of tokens; a program is one of sequences * heads.
"""

import triton
import triton.language as tl

# Exponentials are powers of 2 on the device.
_LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def forward(qkv, mixed, norms, tokens, heads, scale, SIZE: tl.constexpr, HEAD: tl.constexpr):
    """Mix the values of every sequence by shares, the softmax of `scale` times the scores."""
    sequence, head = (tl.program_id(0) // heads).to(tl.int64), tl.program_id(0) % heads
    token, channel, width = tl.arange(0, SIZE), tl.arange(0, HEAD), heads * HEAD
    qkv += sequence * tokens * 3 * width + head * HEAD
    mixed += sequence * tokens * width + head * HEAD
    norms += tl.program_id(0).to(tl.int64) * tokens
    place, there = token[:, None] * 3 * width + channel[None, :], token[:, None] < tokens
    q = tl.load(qkv + place, there, 0.0)
    k = tl.load(qkv + width + place, there, 0.0)
    v = tl.load(qkv + 2 * width + place, there, 0.0)
    scores = tl.where(token[None, :] < tokens, tl.dot(q, k.T), float("-inf"))
    highest = tl.max(scores, 1) * (scale * _LOG2_E)
    shares = tl.exp2(scores * (scale * _LOG2_E) - highest[:, None])
    total = tl.sum(shares, 1)
    found = tl.dot(shares.to(v.dtype), v) / total[:, None]
    tl.store(mixed + token[:, None] * width + channel[None, :], found.to(v.dtype), there)
    tl.store(norms + token, highest + tl.log2(total), token < tokens)


@triton.jit
def backward(qkv, norms, grad, grads, tokens, heads, scale, SIZE: tl.constexpr, HEAD: tl.constexpr):
    """Write the gradients of queries, keys and values."""
    sequence, head = (tl.program_id(0) // heads).to(tl.int64), tl.program_id(0) % heads
    token, channel, width = tl.arange(0, SIZE), tl.arange(0, HEAD), heads * HEAD
    qkv += sequence * tokens * 3 * width + head * HEAD
    grads += sequence * tokens * 3 * width + head * HEAD
    grad += sequence * tokens * width + head * HEAD
    norms += tl.program_id(0).to(tl.int64) * tokens
    place, there = token[:, None] * 3 * width + channel[None, :], token[:, None] < tokens
    q = tl.load(qkv + place, there, 0.0)
    k = tl.load(qkv + width + place, there, 0.0)
    v = tl.load(qkv + 2 * width + place, there, 0.0)
    # Rows beyond the last token have no gradient, and so add nothing.
    dmixed = tl.load(grad + token[:, None] * width + channel[None, :], there, 0.0)
    norm = tl.load(norms + token, token < tokens, 0.0)
    scores = tl.dot(q, k.T) * (scale * _LOG2_E) - norm[:, None]
    shares = tl.exp2(tl.where(token[None, :] < tokens, scores, float("-inf")))
    dv = tl.dot(shares.to(v.dtype).T, dmixed)
    tl.store(grads + 2 * width + place, dv.to(v.dtype), there)
    dshares = tl.dot(dmixed, v.T)
    dscores = (shares * (dshares - tl.sum(shares * dshares, 1)[:, None]) * scale).to(q.dtype)
    dq = tl.dot(dscores, k)
    tl.store(grads + place, dq.to(q.dtype), there)
    dk = tl.dot(dscores.T, q)
    tl.store(grads + width + place, dk.to(k.dtype), there)
