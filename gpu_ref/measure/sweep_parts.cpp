// SPDX-License-Identifier: Apache-2.0
// Everything of a sweep but the grouped GEMMs.
#include "gpu_ref/measure/sweep_parts.hpp"

namespace moesim::measure {
namespace {

void add_layer(std::vector<Case>& cases, const SweepModel& model, int tier, LayerInput layer) {
  layer.model = model.name;
  layer.hidden = model.hidden;
  layer.width = model.width;
  layer.top_k = model.top_k;
  layer.counts = capped(counts_of_skew(layer.skew, model.experts, layer.tokens * model.top_k, {}),
                        layer.tokens);
  add_case(cases, layer, tier);
}

bool takes_fp8(const SweepModel& model) {
  return model.hidden % 128 == 0 && model.width % 128 == 0;
}

/// Gate, permute, combine of one model.
void add_token_operations(std::vector<Case>& cases,
                          const SweepModel& model,
                          std::int64_t tokens,
                          int tier) {
  for (const RowOp op : {RowOp::kGate, RowOp::kPermute, RowOp::kCombine}) {
    add_case(cases,
             RowsInput{.op = op,
                       .tokens = tokens,
                       .width = model.hidden,
                       .experts = model.experts,
                       .top_k = model.top_k},
             tier);
  }
}

/// As the experts see them: rows of hidden quantised, rows of the width activated.
void add_expert_operations(std::vector<Case>& cases,
                           const SweepModel& model,
                           std::int64_t rows,
                           int tier) {
  if (takes_fp8(model)) {
    add_case(cases, RowsInput{.op = RowOp::kQuantise, .tokens = rows, .width = model.hidden}, tier);
  }
  add_case(cases, RowsInput{.op = RowOp::kActivation, .tokens = rows, .width = model.width}, tier);
}

std::vector<std::int64_t> uneven_matrix(int ranks, std::int64_t bytes) {
  std::vector<std::int64_t> matrix;
  for (int sender = 0; sender < ranks; ++sender) {
    const std::vector<std::int64_t> blocks =
        lognormal_counts(ranks, bytes / 256, 1.0, static_cast<std::uint64_t>(ranks));
    for (const std::int64_t count : blocks) {
      matrix.push_back(count * 256);  // the hot receivers are the same for all senders
    }
  }
  return matrix;
}

}  // namespace

std::vector<std::int64_t> powers(std::int64_t first, std::int64_t last, std::int64_t factor) {
  std::vector<std::int64_t> values;
  for (std::int64_t value = first; value <= last; value *= factor) {
    values.push_back(value);
  }
  return values;
}

void add_basics(std::vector<Case>& cases) {
  add_case(cases, DeviceInput{}, 0, L2State::kNone);
  for (const std::int64_t mebibytes : {1024, 256, 64, 4096}) {
    add_case(cases, CopyInput{.bytes = mebibytes << 20}, 0);
  }
  for (const ElementType type : {ElementType::kBf16, ElementType::kFp8}) {
    for (const std::int64_t side : {8192, 4096, 16384}) {
      add_case(cases, GemmInput{.type = type, .rows = side, .columns = side, .inner = side}, 0);
    }
  }
  for (const LaunchMode mode : {LaunchMode::kStream, LaunchMode::kGraph, LaunchMode::kHost}) {
    add_case(cases, LaunchInput{.mode = mode}, 0, L2State::kNone);
  }
}

void add_row_operations(std::vector<Case>& cases, const SweepOptions& options) {
  for (const SweepModel& model : sweep_models()) {
    for (const std::int64_t tokens : {64, 1024, 16384}) {
      add_token_operations(cases, model, tokens, 1);
    }
    for (const std::int64_t rows : {256, 4096, 32768}) {
      add_expert_operations(cases, model, rows, 1);
    }
    for (const std::int64_t tokens : powers(1, 16384, options.full ? 2 : 4)) {
      add_token_operations(cases, model, tokens, 3);
      add_expert_operations(cases, model, tokens, 3);
    }
  }
}

void add_layers(std::vector<Case>& cases, const SweepOptions& options) {
  for (const SweepModel& model : sweep_models()) {
    add_layer(cases, model, 0, {.tokens = 4096, .skew = "uniform"});
    add_layer(cases, model, 1, {.tokens = 64, .skew = "uniform"});
    add_layer(cases, model, 3, {.tokens = 4096, .skew = "lognormal1"});
    add_layer(cases, model, 3, {.tokens = 4096, .backward = true, .skew = "uniform"});
    if (takes_fp8(model)) {
      add_layer(cases, model, 1, {.tokens = 4096, .type = ElementType::kFp8, .skew = "uniform"});
    }
    for (const std::int64_t tokens : powers(1, 16384, options.full ? 2 : 8)) {
      add_layer(cases, model, 3, {.tokens = tokens, .skew = "uniform"});
    }
    for (const std::int64_t tokens : powers(16, 16384, 4)) {
      if (options.full) {
        add_layer(
            cases, model, kFullTier, {.tokens = tokens, .backward = true, .skew = "lognormal1"});
      }
    }
  }
}

void add_collectives(std::vector<Case>& cases, const SweepOptions& options) {
  if (options.ranks < 2) {
    return;
  }
  const int ranks = options.ranks;
  for (const std::int64_t bytes : powers(4096, std::int64_t{1} << 30, options.full ? 2 : 4)) {
    for (const CollectiveOp op : {CollectiveOp::kAllToAll,
                                  CollectiveOp::kAllToAllV,
                                  CollectiveOp::kSendRecv,
                                  CollectiveOp::kAllGather,
                                  CollectiveOp::kReduceScatter}) {
      const bool uneven = op == CollectiveOp::kAllToAllV;
      // Every part of a rank is a whole number of 256-byte blocks.
      const std::int64_t part = std::int64_t{256} * ranks;
      CollectiveInput input{.op = op,
                            .ranks = ranks,
                            .processes = options.processes,
                            .bytes = (bytes + part - 1) / part * part,
                            .skew = uneven ? "lognormal1" : "uniform"};
      if (uneven) {
        input.send_bytes = uneven_matrix(ranks, input.bytes);
      }
      add_case(cases, input, 1, L2State::kNone);
    }
  }
}

}  // namespace moesim::measure
