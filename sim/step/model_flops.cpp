// SPDX-License-Identifier: Apache-2.0
#include "sim/step/model_flops.hpp"

#include "sim/step/pass_costs.hpp"

namespace moesim {
namespace {

/// Widths of a query head and a value head together.
double head_widths(const AttentionShape& a) {
  switch (a.kind) {
    case AttentionKind::kGqa:
      return 2.0 * a.head_dim;
    case AttentionKind::kMla:
      return a.nope_dim + a.rope_dim + a.head_dim;
    case AttentionKind::kNone:
      break;
  }
  return 0;
}

}  // namespace

Flops step_flops(const WholeModel& m) {
  const ModelShape& shape = m.step.model;
  const PassLoad load = pass_load(m);
  const double groups = static_cast<double>(m.step.ranks) / m.parallel.tp;
  const auto tokens = static_cast<double>(load.attention.tokens());
  const auto table = static_cast<double>(embedding_parameters(shape));
  const double body =
      static_cast<double>(active_parameters(shape)) - table * (shape.tied_embeddings ? 1 : 2);
  const double pairs = attention_pairs(shape.attention, load.attention);
  const double forward =
      2 * tokens * body + 2 * static_cast<double>(load.head_rows) * table +
      shape.layers * pairs * 2 * shape.attention.heads * head_widths(shape.attention);
  const double passes =
      (m.kind == StepKind::kTrain ? 3.0 * m.parallel.dp : 1.0) * m.batch.micro_batches;
  return flops(forward * groups * passes);
}

}  // namespace moesim
