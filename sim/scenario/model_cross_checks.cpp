// SPDX-License-Identifier: Apache-2.0
// Checks across the keys of [model].
#include <utility>

#include "sim/scenario/cross_checker.hpp"

namespace moesim {
namespace {

/// A model has MoE layers and experts, or neither.
void check_dense_model(CrossChecker& c, const ModelShape& m) {
  const std::string layers = c.other("model.moe_layers", m.moe_layers);
  const std::pair<std::string_view, int> widths[] = {{"model.num_experts", m.num_experts},
                                                     {"model.top_k", m.top_k},
                                                     {"model.expert_width", m.expert_width}};
  for (const auto& [path, width] : widths) {
    c.check(m.moe_layers > 0 && width == 0,
            path,
            {"model.moe_layers"},
            fmt::format("0, but needed by {}", layers));
    c.check(m.moe_layers == 0 && width != 0,
            path,
            {"model.moe_layers"},
            fmt::format("{} does not go with {}: a dense model has no experts", width, layers));
  }
}

void check_layers(CrossChecker& c, const ModelShape& m) {
  check_dense_model(c, m);
  c.check(m.top_k > m.num_experts && m.num_experts > 0,
          "model.top_k",
          {"model.num_experts"},
          fmt::format("{} is more than {}", m.top_k, c.other("model.num_experts", m.num_experts)));
  const std::int64_t last = m.first_moe_layer + (m.moe_layers - 1) * std::int64_t{m.moe_interval};
  const std::string every =
      m.moe_interval == 1 ? "" : ", " + c.other("model.moe_interval", m.moe_interval) + " apart,";
  c.check(m.moe_layers > 0 && last >= m.layers,
          "model.moe_layers",
          {"model.first_moe_layer", "model.layers", "model.moe_interval"},
          fmt::format("{} layers from {}{} do not fit {}",
                      m.moe_layers,
                      c.other("model.first_moe_layer", m.first_moe_layer),
                      every,
                      c.other("model.layers", m.layers)));
  c.check((m.shared_experts > 0) != (m.shared_expert_width > 0),
          "model.shared_expert_width",
          {"model.shared_experts"},
          fmt::format("{} does not go with {}",
                      m.shared_expert_width,
                      c.other("model.shared_experts", m.shared_experts)));
  c.check(m.layers > m.moe_layers && m.dense_width == 0,
          "model.dense_width",
          {"model.layers", "model.moe_layers"},
          fmt::format("0, but {} exceeds {}: the other layers are dense",
                      c.other("model.layers", m.layers),
                      c.other("model.moe_layers", m.moe_layers)));
}

/// A kind of attention needs heads.
void check_heads(CrossChecker& c, const AttentionShape& a, const std::string& kind) {
  const std::pair<std::string_view, int> widths[] = {{"model.attention.heads", a.heads},
                                                     {"model.attention.head_dim", a.head_dim}};
  for (const auto& [path, width] : widths) {
    c.check(width == 0, path, {"model.attention.kind"}, "0, but needed by " + kind);
  }
}

void check_no_attention(CrossChecker& c, const AttentionShape& a) {
  const std::string kind = c.other("model.attention.kind", "none");
  const std::pair<std::string_view, int> widths[] = {
      {"model.attention.heads", a.heads},
      {"model.attention.kv_heads", a.kv_heads},
      {"model.attention.head_dim", a.head_dim},
      {"model.attention.q_lora_rank", a.q_lora_rank},
      {"model.attention.kv_lora_rank", a.kv_lora_rank},
      {"model.attention.rope_dim", a.rope_dim},
      {"model.attention.nope_dim", a.nope_dim},
      {"model.attention.biases", a.biases ? 1 : 0},
      {"model.attention.qk_norm", a.qk_norm ? 1 : 0},
      {"model.attention.sinks", a.sinks ? 1 : 0},
      {"model.attention.window", a.window}};
  for (const auto& [path, width] : widths) {
    c.check(width != 0, path, {"model.attention.kind"}, "does not go with " + kind);
  }
}

void check_attention(CrossChecker& c, const AttentionShape& a) {
  if (a.kind == AttentionKind::kNone) {
    return check_no_attention(c, a);
  }
  const bool gqa = a.kind == AttentionKind::kGqa;
  const std::string kind = c.other("model.attention.kind", gqa ? "gqa" : "mla");
  check_heads(c, a, kind);
  c.check(gqa && a.heads > 0 && (a.kv_heads == 0 || a.heads % a.kv_heads != 0),
          "model.attention.kv_heads",
          {"model.attention.heads", "model.attention.kind"},
          fmt::format("{} does not divide {}, as {} needs",
                      a.kv_heads,
                      c.other("model.attention.heads", a.heads),
                      kind));
  const std::pair<std::string_view, int> mla_widths[] = {
      {"model.attention.kv_lora_rank", a.kv_lora_rank},
      {"model.attention.rope_dim", a.rope_dim},
      {"model.attention.nope_dim", a.nope_dim}};
  for (const auto& [path, width] : mla_widths) {
    c.check(!gqa && width == 0, path, {"model.attention.kind"}, "0, but needed by " + kind);
    c.check(gqa && width != 0,
            path,
            {"model.attention.kind"},
            fmt::format("{} does not go with {}", width, kind));
  }
  c.check(!gqa && a.window > 0,
          "model.attention.window",
          {"model.attention.kind"},
          fmt::format("{} does not go with {}", a.window, kind));
}

void check_window(CrossChecker& c, const AttentionShape& a) {
  c.check(
      a.full_every > 0 && a.window == 0,
      "model.attention.full_every",
      {"model.attention.window"},
      fmt::format(
          "{} has no effect with {}", a.full_every, c.other("model.attention.window", a.window)));
  c.check(a.full_every == 1 && a.window > 0,
          "model.attention.full_every",
          {"model.attention.window"},
          fmt::format("1: no layer is left for {}", c.other("model.attention.window", a.window)));
}

}  // namespace

void check_model(CrossChecker& c, const ModelShape& m) {
  check_layers(c, m);
  check_attention(c, m.attention);
  check_window(c, m.attention);
}

}  // namespace moesim
