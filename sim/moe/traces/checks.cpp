// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/checks.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/core/pace_counter.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/traces/expert_masks.hpp"

namespace moesim::traces {
namespace {

constexpr std::int64_t kMostTokensForLags = 65'536;
// Chance can put some lag a little above lag 1; a real stride shows as a factor of two.
constexpr double kLagMargin = 1.1;
constexpr std::int64_t kLeastTokensForLags = 256;
constexpr std::size_t kBytesBetween = std::size_t{1} << 20U;

void add(std::vector<Finding>& findings, Topic topic, std::string message) {
  findings.push_back({.topic = topic, .message = std::move(message)});
}

std::uint64_t hash_on(std::uint64_t hash, std::span<const std::byte> piece) {
  for (std::size_t at = 0; at < piece.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, piece.data() + at, std::min(sizeof word, piece.size() - at));
    hash = mix_hash(hash, word);
  }
  return hash;
}

/// One hash a layer, in one pass over the array.
std::vector<std::uint64_t> layer_hashes(const NpyArray& array,
                                        std::size_t layer_axis,
                                        const Pace& pace) {
  const std::size_t layers = array.size(layer_axis);
  std::size_t bytes = bytes_per_number(array.type());
  for (std::size_t axis = layer_axis + 1; axis < array.axes(); ++axis) {
    bytes *= array.size(axis);
  }
  std::vector<std::uint64_t> hashes(layers);
  PaceCounter hashed(pace, "comparing layers", array.data().size(), kBytesBetween);
  for (std::size_t at = 0; bytes > 0 && at < array.data().size();) {
    hashed.add(bytes * layers);
    for (std::size_t layer = 0; layer < layers; ++layer, at += bytes) {
      hashes[layer] = hash_on(hashes[layer], array.data().subspan(at, bytes));
    }
  }
  return hashes;
}

std::string pairs_text(const std::vector<std::pair<std::size_t, std::size_t>>& pairs) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, pairs.size()); ++i) {
    text += fmt::format("{}{} of {}", i == 0 ? "" : ", ", pairs[i].first, pairs[i].second);
  }
  return pairs.size() > kShown ? text + fmt::format(" and {} more", pairs.size() - kShown) : text;
}

void report_warmup(std::vector<Finding>& findings,
                   const NpyArray& array,
                   std::string_view rows,
                   const Pace& pace) {
  const std::int64_t equal = equal_rows_at_start(array, pace);
  if (equal >= kWarmupRows) {
    add(findings,
        Topic::kWarmup,
        fmt::format("the first {} {} are equal, as warm-up passes leave them; drop warm-up to "
                    "leave them out",
                    equal,
                    rows));
  }
}

void report_equal_layers(std::vector<Finding>& findings,
                         const NpyArray& array,
                         std::size_t layer_axis,
                         const Pace& pace) {
  const auto pairs = equal_layers(array, layer_axis, pace);
  if (!pairs.empty()) {
    add(findings,
        Topic::kEqualLayers,
        fmt::format("layers that are copies of earlier ones: {}; keep equal layers to take them "
                    "as they are",
                    pairs_text(pairs)));
  }
}

void report_padding(std::vector<Finding>& findings, const IdScan& scan) {
  for (std::size_t layer = 0; layer < scan.padded_rows.size(); ++layer) {
    if (scan.is_padding_layer(layer)) {
      add(findings,
          Topic::kPadding,
          fmt::format("layer {} holds only padding (-1 or zero rows), as dense layers do; drop "
                      "padding to leave it out",
                      layer));
    }
  }
  const std::int64_t padded = scan.padded_tokens();
  if (padded > 0) {
    const auto first = std::find(scan.padded_token.begin(), scan.padded_token.end(), true);
    add(findings,
        Topic::kPadding,
        fmt::format("{} tokens with padding (-1 or a zero row), first token {}; drop padding to "
                    "leave them out",
                    padded,
                    first - scan.padded_token.begin()));
  }
}

void report_ids(std::vector<Finding>& findings, const IdScan& scan, int num_experts) {
  if (scan.out_of_range > 0) {
    const IdScan::Place& at = scan.first_out_of_range;
    std::string message =
        fmt::format("{} expert ids outside 0 to {}, first {} at token {}, layer {}, slot {}",
                    scan.out_of_range,
                    num_experts - 1,
                    at.expert,
                    at.token,
                    at.layer,
                    at.slot);
    if (scan.largest >= num_experts) {
      message += fmt::format(
          "; ids up to {} look like physical ids, map them to logical ones first", scan.largest);
    }
    add(findings, Topic::kIds, std::move(message));
  }
  if (scan.repeats > 0) {
    const IdScan::Place& at = scan.first_repeat;
    add(findings,
        Topic::kIds,
        fmt::format("{} rows name an expert twice, first expert {} at token {}, layer {}",
                    scan.repeats,
                    at.expert,
                    at.token,
                    at.layer));
  }
}

/// @param idle  experts never chosen, by layer
void report_never_chosen(std::vector<Finding>& findings,
                         const std::vector<std::int64_t>& idle,
                         std::size_t experts) {
  const std::int64_t never = std::accumulate(idle.begin(), idle.end(), std::int64_t{0});
  if (never > 0) {
    const auto worst = std::max_element(idle.begin(), idle.end());
    add(findings,
        Topic::kNeverChosen,
        fmt::format("{} experts in {} of {} layers are never chosen, most in layer {} ({} of {})",
                    never,
                    std::count_if(idle.begin(), idle.end(), [](auto n) { return n > 0; }),
                    idle.size(),
                    worst - idle.begin(),
                    *worst,
                    experts));
  }
}

void report_interleaving(std::vector<Finding>& findings,
                         const NpyArray& topk,
                         const std::vector<double>& overlap) {
  if (topk.shape()[0] < kLeastTokensForLags) {
    return;
  }
  const auto most = std::max_element(overlap.begin(), overlap.end());
  if (*most > kLagMargin * overlap[0]) {
    add(findings,
        Topic::kInterleaving,
        fmt::format("tokens {0} apart share {1:.3f} of their experts, neighbours only {2:.3f}: "
                    "{0} sequences seem to be interleaved; separate them before use",
                    most - overlap.begin() + 1,
                    *most,
                    overlap[0]));
  }
}

/// Adds one sequence's pairs of every lag to the sums.
void add_pairs(const ExpertMasks& masks,
               const TraceSequence& sequence,
               std::vector<std::int64_t>& shared,
               std::vector<std::int64_t>& pairs) {
  const auto begin = static_cast<std::size_t>(sequence.row_start);
  const auto end =
      static_cast<std::size_t>(std::min(sequence.row_start + sequence.rows, kMostTokensForLags));
  for (std::size_t lag = 1; lag <= shared.size(); ++lag) {
    for (std::size_t row = begin; row + lag < end; ++row) {
      shared[lag - 1] += masks.shared(row, row + lag);
      ++pairs[lag - 1];
    }
  }
}

}  // namespace

bool is_error(Topic topic) {
  return topic != Topic::kInterleaving && topic != Topic::kNeverChosen;
}

std::int64_t equal_rows_at_start(const NpyArray& array, const Pace& pace) {
  if (array.axes() == 0 || array.count() == 0) {
    return 0;
  }
  const std::size_t bytes = array.data().size() / array.size(0);
  const std::span<const std::byte> first = array.data().first(bytes);
  PaceCounter compared(pace, "comparing the first rows", array.data().size(), kBytesBetween);
  std::size_t row = 1;
  while (row < array.size(0) &&
         std::equal(first.begin(), first.end(), array.data().subspan(row * bytes).begin())) {
    ++row;
    compared.add(bytes);
  }
  return static_cast<std::int64_t>(row);
}

std::vector<std::pair<std::size_t, std::size_t>> equal_layers(const NpyArray& array,
                                                              std::size_t layer_axis,
                                                              const Pace& pace) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  std::map<std::uint64_t, std::size_t> first_with;
  const std::vector<std::uint64_t> hashes = layer_hashes(array, layer_axis, pace);
  for (std::size_t layer = 0; layer < hashes.size(); ++layer) {
    const auto [known, fresh] = first_with.emplace(hashes[layer], layer);
    if (!fresh) {
      pairs.emplace_back(layer, known->second);
    }
  }
  return pairs;
}

std::vector<double> overlap_by_lag(const NpyArray& topk,
                                   std::span<const TraceSequence> sequences,
                                   int num_experts,
                                   const Pace& pace) {
  PaceCounter layers(pace, "comparing neighbours", topk.size(1), 1);
  std::vector<std::int64_t> shared(kMostLag);
  std::vector<std::int64_t> pairs(kMostLag);
  for (std::size_t layer = 0; layer < topk.size(1); ++layer, layers.add()) {
    const ExpertMasks masks(layer_ids(topk, layer, kMostTokensForLags), topk.size(2), num_experts);
    for (const TraceSequence& sequence : sequences) {
      add_pairs(masks, sequence, shared, pairs);
    }
  }
  std::vector<double> overlap(kMostLag);
  for (std::size_t i = 0; i < overlap.size(); ++i) {
    if (pairs[i] > 0) {
      overlap[i] = static_cast<double>(shared[i]) /
                   (static_cast<double>(pairs[i]) * static_cast<double>(topk.size(2)));
    }
  }
  return overlap;
}

Checked check_topk(const NpyArray& topk,
                   std::span<const TraceSequence> sequences,
                   int num_experts,
                   const Pace& pace) {
  std::vector<Finding> findings;
  std::vector<double> overlap = overlap_by_lag(topk, sequences, num_experts, pace);
  const IdScan scan = scan_ids(topk, num_experts, pace);
  report_padding(findings, scan);
  report_ids(findings, scan, num_experts);
  report_warmup(findings, topk, "rows", pace);
  report_equal_layers(findings, topk, 1, pace);
  report_interleaving(findings, topk, overlap);
  std::vector<std::int64_t> idle;
  for (const std::vector<std::int64_t>& load : scan.load) {
    idle.push_back(std::count(load.begin(), load.end(), std::int64_t{0}));
  }
  report_never_chosen(findings, idle, static_cast<std::size_t>(num_experts));
  return {.findings = std::move(findings), .overlap = std::move(overlap)};
}

Checked check_counts(const NpyArray& counts, const Pace& pace) {
  MOESIM_CHECK(counts.axes() >= 3 && counts.count() > 0, "counts end in layer and expert");
  std::vector<Finding> findings;
  report_warmup(findings, counts, "steps", pace);
  report_equal_layers(findings, counts, counts.axes() - 2, pace);
  const std::size_t layers = counts.size(counts.axes() - 2);
  const std::size_t experts = counts.size(counts.axes() - 1);
  std::vector<bool> chosen(layers * experts);
  PaceCounter counted(pace, "looking for idle experts", counts.count(), kBytesBetween);
  visit_integer_type(counts.type(), [&](auto zero) {
    for (std::size_t i = 0; i < counts.count(); ++i, counted.add()) {
      if (number_at<decltype(zero)>(counts.data().data(), i) != 0) {
        chosen[i % chosen.size()] = true;
      }
    }
  });
  std::vector<std::int64_t> idle;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const auto begin = chosen.begin() + static_cast<std::ptrdiff_t>(layer * experts);
    idle.push_back(std::count(begin, begin + static_cast<std::ptrdiff_t>(experts), false));
  }
  report_never_chosen(findings, idle, experts);
  return {.findings = std::move(findings), .overlap = {}};
}

Checked check_pack(const RoutePack& pack, const Pace& pace) {
  return pack.per_token() ? check_topk(*pack.topk, pack.sequences, pack.header.experts, pace)
                          : check_counts(*pack.counts, pace);
}

}  // namespace moesim::traces
