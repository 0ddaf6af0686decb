"""Kernels of Triton: attention within short sequences of narrow heads, forwards and back.

Flash attention and its like pad heads of 16 channels to 32 or 64, and few queries to many, walk over keys tile by tile,
and go back in two passes. Here a program holds all scores of one sequence and head: the way back is one pass, without
atomic additions, and repeats itself to the bit. Queries, keys and values are read where the linear layer left them, and
gradients are written where it reads them.

Shapes, with D = heads * HEAD channels, head by head; rows are contiguous, and sequences follow one another:

- `queries`, and their gradient `dqueries`: (sequences, asking, D), rows `query_step` numbers apart;
- `asked`, keys and then values, and their gradient `dasked`: (sequences, tokens, 2D), rows `asked_step` apart;
- `mixed`, and its gradient `dmixed`: (sequences, asking, D);
- `norms`: (sequences, heads, asking), binary logarithms of what the softmax divides by.

ROWS and SIZE are powers of 2, no less than `asking` and `tokens`. There are sequences * heads programs.
"""

import triton
import triton.language as tl

# Exponentials are powers of 2 on the device.
_LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def forward(
    queries,
    asked,
    mixed,
    norms,
    asking,
    tokens,
    heads,
    query_step,
    asked_step,
    scale,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
    HEAD: tl.constexpr,
):
    """Mix the values of every sequence by shares, the softmax of `scale` times the scores."""
    sequence, head, width = (tl.program_id(0) // heads).to(tl.int64), tl.program_id(0) % heads, heads * HEAD
    row, token, channel = tl.arange(0, ROWS), tl.arange(0, SIZE), tl.arange(0, HEAD)
    queries += sequence * asking * query_step + head * HEAD
    asked += sequence * tokens * asked_step + head * HEAD
    mixed += sequence * asking * width + head * HEAD
    norms += tl.program_id(0).to(tl.int64) * asking
    asks, there = row[:, None] < asking, token[:, None] < tokens
    place = token[:, None] * asked_step + channel[None, :]
    q = tl.load(queries + row[:, None] * query_step + channel[None, :], asks, 0.0)
    k = tl.load(asked + place, there, 0.0)
    v = tl.load(asked + width + place, there, 0.0)
    scores = tl.where(token[None, :] < tokens, tl.dot(q, k.T), float("-inf"))
    highest = tl.max(scores, 1) * (scale * _LOG2_E)
    shares = tl.exp2(scores * (scale * _LOG2_E) - highest[:, None])
    total = tl.sum(shares, 1)
    found = tl.dot(shares.to(v.dtype), v) / total[:, None]
    tl.store(mixed + row[:, None] * width + channel[None, :], found.to(v.dtype), asks)
    tl.store(norms + row, highest + tl.log2(total), row < asking)


@triton.jit
def backward(
    queries,
    asked,
    norms,
    dmixed,
    dqueries,
    dasked,
    asking,
    tokens,
    heads,
    query_step,
    asked_step,
    scale,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
    HEAD: tl.constexpr,
):
    """Write the gradients of queries, keys and values."""
    sequence, head, width = (tl.program_id(0) // heads).to(tl.int64), tl.program_id(0) % heads, heads * HEAD
    row, token, channel = tl.arange(0, ROWS), tl.arange(0, SIZE), tl.arange(0, HEAD)
    first_query = sequence * asking * query_step + head * HEAD
    first_asked = sequence * tokens * asked_step + head * HEAD
    dmixed += sequence * asking * width + head * HEAD
    norms += tl.program_id(0).to(tl.int64) * asking
    asks, there = row[:, None] < asking, token[:, None] < tokens
    query = first_query + row[:, None] * query_step + channel[None, :]
    place = first_asked + token[:, None] * asked_step + channel[None, :]
    q = tl.load(queries + query, asks, 0.0)
    k = tl.load(asked + place, there, 0.0)
    v = tl.load(asked + width + place, there, 0.0)
    # Rows beyond the last query have no gradient, and so add nothing.
    grad = tl.load(dmixed + row[:, None] * width + channel[None, :], asks, 0.0)
    norm = tl.load(norms + row, row < asking, 0.0)
    scores = tl.dot(q, k.T) * (scale * _LOG2_E) - norm[:, None]
    shares = tl.exp2(tl.where(token[None, :] < tokens, scores, float("-inf")))
    dv = tl.dot(shares.to(v.dtype).T, grad)
    tl.store(dasked + width + place, dv.to(v.dtype), there)
    dshares = tl.dot(grad, v.T)
    dscores = (shares * (dshares - tl.sum(shares * dshares, 1)[:, None]) * scale).to(q.dtype)
    dq = tl.dot(dscores, k)
    tl.store(dqueries + query, dq.to(q.dtype), asks)
    dk = tl.dot(dscores.T, q)
    tl.store(dasked + place, dk.to(k.dtype), there)
