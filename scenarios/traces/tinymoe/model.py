"""A small decoder-only transformer whose every block is a Mixture of Experts.

Shapes: B sequences of T tokens, N = B * T, D hidden size, H heads, E experts,
K experts per token, F expert width. Experts are SwiGLU without biases; the gate
is a softmax over all experts, and the chosen probabilities are not renormalised.
No token is dropped.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 4096
    sequence: int = 256
    layers: int = 6
    hidden: int = 128
    heads: int = 4
    experts: int = 64
    top_k: int = 6
    width: int = 64


@dataclass
class Routing:
    """What one MoE layer decided: ids and weights [N, K], probabilities [N, E]."""
    ids: Tensor
    weights: Tensor
    probabilities: Tensor


def normal(*size: int, scale: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(*size) * scale)


class RMSNorm(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.gain


def rotary_table(sequence: int, head: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [T, head / 2] of the rotary position encoding."""
    frequency = 10_000.0 ** (-torch.arange(0, head, 2) / head)
    angle = torch.arange(sequence)[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = normal(shape.hidden, 3 * shape.hidden, scale=shape.hidden ** -0.5)
        self.out = normal(shape.hidden, shape.hidden,
                          scale=(2 * shape.layers * shape.hidden) ** -0.5)
        cos, sin = rotary_table(shape.sequence, shape.hidden // shape.heads)
        future = torch.ones(shape.sequence, shape.sequence).triu(1) * -1e9
        for name, value in (("cos", cos), ("sin", sin), ("future", future)):
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # [B, T, D] -> [B, T, D]
        batch, length, hidden = x.shape
        qkv = (x @ self.qkv).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = (rotate(part, self.cos[:length], self.sin[:length]) for part in qkv[:2])
        score = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + self.future[:length, :length]
        mixed = score.softmax(-1) @ qkv[2]  # [B, H, T, D / H]
        return mixed.transpose(1, 2).reshape(batch, length, hidden) @ self.out


class Experts(nn.Module):
    """Softmax gate, top K of E experts, each a SwiGLU of width F."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.top_k = shape.top_k
        self.gate = normal(shape.hidden, shape.experts, scale=0.02)
        self.up = normal(shape.experts, shape.hidden, 2 * shape.width, scale=shape.hidden ** -0.5)
        self.down = normal(shape.experts, shape.width, shape.hidden, scale=shape.width ** -0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:  # [N, D] -> [N, D]
        probabilities = (x @ self.gate).softmax(-1)
        weights, ids = probabilities.topk(self.top_k, dim=-1)
        order = ids.flatten().argsort(stable=True)  # assignments grouped by expert
        rows = order.div(self.top_k, rounding_mode="floor")
        counts = ids.flatten().bincount(minlength=self.gate.shape[1]).tolist()
        groups = []
        for tokens, up, down in zip(x[rows].split(counts), self.up.unbind(), self.down.unbind()):
            a, b = (tokens @ up).chunk(2, dim=-1)
            groups.append((F.silu(a) * b) @ down)
        scaled = torch.cat(groups) * weights.flatten()[order, None]
        return torch.zeros_like(x).index_add(0, rows, scaled), Routing(ids, weights, probabilities)


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm_attention, self.norm_experts = RMSNorm(shape.hidden), RMSNorm(shape.hidden)
        self.attention, self.experts = Attention(shape), Experts(shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        x = x + self.attention(self.norm_attention(x))
        mixed, routing = self.experts(self.norm_experts(x).flatten(0, 1))
        return x + mixed.view_as(x), routing


class TinyMoe(nn.Module):
    """Token ids [B, T] to logits [B, T, V] and one Routing per layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = normal(shape.vocabulary, shape.hidden, scale=0.05)  # tied
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.hidden)

    def forward(self, ids: Tensor) -> tuple[Tensor, list[Routing]]:
        x, routings = self.embedding[ids], []
        for block in self.blocks:
            x, routing = block(x)
            routings.append(routing)
        return self.norm(x) @ self.embedding.T, routings


def balance_loss(routing: Routing) -> Tensor:
    """E * sum_i f_i P_i: 1 when tokens and probability are spread evenly.

    f_i is the share of assignments expert i received (sums to 1), P_i its mean
    gate probability.
    """
    experts = routing.probabilities.shape[1]
    share = routing.ids.flatten().bincount(minlength=experts) / routing.ids.numel()
    return experts * (share * routing.probabilities.mean(0)).sum()


def parameter_counts(shape: Shape) -> dict[str, int]:
    """Total parameters, and those one token uses."""
    total = sum(p.numel() for p in TinyMoe(shape).parameters())
    idle = shape.layers * (shape.experts - shape.top_k) * 3 * shape.hidden * shape.width
    return {"total": total, "active": total - idle}
