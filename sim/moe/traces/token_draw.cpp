// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/token_draw.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/rng.hpp"
#include "sim/core/text.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

void check_domains(const RoutePack& pack, std::span<const std::string> domains) {
  const std::vector<std::string> known = pack.domains();
  std::vector<Diagnostic> mistakes;
  for (const std::string& domain : domains) {
    if (std::binary_search(known.begin(), known.end(), domain)) {
      continue;
    }
    const std::string nearest = nearest_word(domain, known);
    std::string message =
        fmt::format("no domain \"{}\"; known: {}", domain, fmt::join(known, ", "));
    if (!nearest.empty()) {
      message += fmt::format("; did you mean \"{}\"?", nearest);
    }
    mistakes.push_back(mistake(pack.folder, std::move(message), "routing.domains"));
  }
  if (!mistakes.empty()) {
    throw UserError(std::move(mistakes));
  }
}

/// out[row of the runs, slot] = in[row, layer, slot], converted number by number.
template <typename T, typename Out, typename Convert>
void gather_rows(const NpyArray& array,
                 std::size_t layer,
                 std::span<const RowRun> runs,
                 Out* out,
                 Convert convert) {
  const std::size_t slots = array.size(2);
  const std::size_t row_numbers = array.size(1) * slots;
  const std::byte* const data = array.data().data() + layer * slots * sizeof(T);
  for (const RowRun& run : runs) {
    const std::byte* row = data + static_cast<std::size_t>(run.row) * row_numbers * sizeof(T);
    for (std::int64_t i = 0; i < run.rows; ++i, row += row_numbers * sizeof(T)) {
      for (std::size_t slot = 0; slot < slots; ++slot) {
        *out++ = convert(number_at<T>(row, slot));
      }
    }
  }
}

class TokenSource final : public RoutingSource {
 public:
  TokenSource(RoutePack pack, RoutingSourceInfo info, TokenDraw draw, int ranks, int tokens)
      : pack_(std::move(pack)), info_(std::move(info)), draw_(std::move(draw)) {
    for (int rank = 0; rank <= ranks; ++rank) {
      token_begin_.push_back(rank * tokens);
    }
  }

  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }

  [[nodiscard]] Routing route(int step, int layer) const override {
    MOESIM_CHECK(step >= 0 && layer >= 0 && layer < info_.layers, "no such step or layer");
    std::vector<RowRun> runs;
    for (std::size_t rank = 0; rank + 1 < token_begin_.size(); ++rank) {
      draw_.append_runs(static_cast<int>(rank), step, runs);
    }
    Routing routing{.num_experts = info_.num_experts,
                    .top_k = info_.top_k,
                    .token_begin = token_begin_,
                    .experts = {},
                    .weights = {}};
    const auto assignments =
        static_cast<std::size_t>(routing.num_tokens()) * static_cast<std::size_t>(info_.top_k);
    const auto column = static_cast<std::size_t>(layer);
    routing.experts.resize(assignments);
    visit_integer_type(pack_.topk->type(), [&](auto zero) {
      gather_rows<decltype(zero)>(*pack_.topk, column, runs, routing.experts.data(), [](auto id) {
        return static_cast<ExpertIndex>(id);
      });
    });
    if (pack_.weights) {
      routing.weights.resize(assignments);
      gather_weights(column, runs, routing.weights.data());
    }
    return routing;
  }

 private:
  void gather_weights(std::size_t layer, std::span<const RowRun> runs, float* out) const {
    if (pack_.weights->type() == NumberType::kF2) {
      gather_rows<std::uint16_t>(*pack_.weights, layer, runs, out, half_to_float);
    } else {
      gather_rows<float>(*pack_.weights, layer, runs, out, [](float weight) { return weight; });
    }
  }

  RoutePack pack_;
  RoutingSourceInfo info_;
  TokenDraw draw_;
  std::vector<std::int32_t> token_begin_;
};

std::string draw_sentence(TraceDraw draw, std::size_t sequences, int ranks, int tokens_per_rank) {
  const auto wanted = static_cast<std::size_t>(ranks) *
                      (draw == TraceDraw::kTokens ? static_cast<std::size_t>(tokens_per_rank) : 1U);
  const std::string again =
      sequences < wanted
          ? fmt::format("; {} sequences for {} places, so some are read more than once at a time",
                        sequences,
                        wanted)
          : "";
  if (draw == TraceDraw::kSequences) {
    return "every rank reads whole recorded sequences one after the other" + again;
  }
  return fmt::format(
      "every rank holds {} recorded sequences, each as far as chance has it, and "
      "takes one token of each a step{}",
      tokens_per_rank,
      again);
}

}  // namespace

TokenDraw::TokenDraw(TraceDraw draw,
                     std::vector<TraceSequence> sequences,
                     int ranks,
                     int tokens_per_rank,
                     std::vector<std::int64_t> phase)
    : draw_(draw),
      sequences_(std::move(sequences)),
      tokens_per_rank_(tokens_per_rank),
      phase_(std::move(phase)) {
  MOESIM_CHECK(!sequences_.empty() && ranks > 0 && tokens_per_rank > 0, "nothing to draw");
  if (draw_ != TraceDraw::kSequences) {
    return;
  }
  const auto num_ranks = static_cast<std::size_t>(ranks);
  queues_.resize(num_ranks);
  for (std::size_t i = 0; i < std::max(sequences_.size(), num_ranks); ++i) {
    const TraceSequence& sequence = sequences_[i % sequences_.size()];
    Queue& queue = queues_[i % num_ranks];
    const std::int64_t before = queue.sequence_end.empty() ? 0 : queue.sequence_end.back();
    queue.sequence_end.push_back(before + sequence.rows);
    queue.first_row.push_back(sequence.row_start);
  }
}

void TokenDraw::append_runs(int rank, int step, std::vector<RowRun>& runs) const {
  if (draw_ == TraceDraw::kSequences) {
    append_queue_runs(queues_[static_cast<std::size_t>(rank)], step, runs);
    return;
  }
  const std::int64_t first = std::int64_t{rank} * tokens_per_rank_;
  for (std::int64_t i = first; i < first + tokens_per_rank_; ++i) {
    const TraceSequence& held = sequences_[static_cast<std::size_t>(i) % sequences_.size()];
    const std::int64_t ahead = phase_.empty() ? 0 : phase_[static_cast<std::size_t>(i)];
    runs.push_back({.row = held.row_start + (ahead + step) % held.rows, .rows = 1});
  }
}

void TokenDraw::append_queue_runs(const Queue& queue, int step, std::vector<RowRun>& runs) const {
  const std::int64_t queue_rows = queue.sequence_end.back();
  std::int64_t at = std::int64_t{step} * tokens_per_rank_ % queue_rows;
  std::int64_t left = tokens_per_rank_;
  auto i = static_cast<std::size_t>(
      std::upper_bound(queue.sequence_end.begin(), queue.sequence_end.end(), at) -
      queue.sequence_end.begin());
  while (left > 0) {
    const std::int64_t begin = i == 0 ? 0 : queue.sequence_end[i - 1];
    const std::int64_t rows = std::min(left, queue.sequence_end[i] - at);
    runs.push_back({.row = queue.first_row[i] + at - begin, .rows = rows});
    left -= rows;
    at += rows;
    if (++i == queue.sequence_end.size()) {
      i = 0;
      at = 0;
    }
  }
}

std::vector<TraceSequence> kept_sequences(const RoutePack& pack,
                                          std::span<const std::string> domains,
                                          std::uint64_t seed) {
  check_domains(pack, domains);
  const std::set<std::string> wanted(domains.begin(), domains.end());
  std::vector<TraceSequence> kept;
  for (const TraceSequence& sequence : pack.sequences) {
    if (wanted.empty() || wanted.contains(sequence.domain)) {
      kept.push_back(sequence);
    }
  }
  RngStream rng(seed, "sequence order");
  shuffle(std::span(kept), rng);
  return kept;
}

std::vector<std::int64_t> decode_phases(std::span<const TraceSequence> sequences,
                                        std::int64_t places,
                                        std::uint64_t seed) {
  RngStream rng(seed, "decode phase");
  std::vector<std::int64_t> phases;
  for (std::int64_t place = 0; place < places; ++place) {
    const TraceSequence& held = sequences[static_cast<std::size_t>(place) % sequences.size()];
    phases.push_back(static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(held.rows))));
  }
  return phases;
}

std::unique_ptr<RoutingSource> open_token_source(
    RoutePack pack, const RoutingSpec& spec, int ranks, int tokens_per_rank, std::uint64_t seed) {
  std::vector<TraceSequence> sequences = kept_sequences(pack, spec.domains, seed);
  RoutingSourceInfo info{.model = pack.header.model,
                         .origin = "trace",
                         .draw = draw_sentence(spec.draw, sequences.size(), ranks, tokens_per_rank),
                         .num_experts = pack.header.experts,
                         .top_k = pack.header.top_k,
                         .layers = pack.header.layers,
                         .has_weights = pack.weights.has_value(),
                         .slots_by_weight = pack.header.slot_order == "weight_descending",
                         .phase = pack.header.phase};
  std::vector<std::int64_t> phases;
  if (spec.draw == TraceDraw::kTokens) {
    phases = decode_phases(sequences, std::int64_t{ranks} * tokens_per_rank, seed);
  }
  TokenDraw draw(spec.draw, std::move(sequences), ranks, tokens_per_rank, std::move(phases));
  return std::make_unique<TokenSource>(
      std::move(pack), std::move(info), std::move(draw), ranks, tokens_per_rank);
}

}  // namespace moesim::traces
