// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/fit_parts.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "sim/core/rng.hpp"

namespace moesim::generate {
namespace {

using traces::RoutePack;
using traces::TraceSequence;

constexpr std::int64_t kMostTokens = 16'384;
constexpr std::size_t kLeastSequences = 8;
constexpr std::int64_t kWindow = 256;

/// The rows of `sequences`, one after the other.
traces::NpyArray rows_of(const traces::NpyArray& array,
                         const std::vector<TraceSequence>& sequences,
                         std::int64_t rows) {
  const std::size_t row_bytes = array.data().size() / array.size(0);
  std::vector<std::byte> data;
  for (const TraceSequence& sequence : sequences) {
    const auto from = array.data().subspan(static_cast<std::size_t>(sequence.row_start) * row_bytes,
                                           static_cast<std::size_t>(sequence.rows) * row_bytes);
    data.insert(data.end(), from.begin(), from.end());
  }
  return {array.type(), {rows, array.shape()[1], array.shape()[2]}, std::move(data)};
}

/// The sequences as a pack of their own, their rows copied.
RoutePack part_of(const RoutePack& pack, const std::vector<TraceSequence>& sequences) {
  RoutePack part;
  part.header = pack.header;
  std::vector<TraceSequence> taken;
  std::int64_t rows = 0;
  for (TraceSequence sequence : sequences) {
    sequence.rows = std::min(sequence.rows, kMostTokens - rows);
    if (sequence.rows == 0) {
      break;
    }
    part.sequences.push_back(sequence);
    part.sequences.back().row_start = rows;
    rows += sequence.rows;
    taken.push_back(std::move(sequence));
  }
  if (rows > 0) {
    part.topk = rows_of(*pack.topk, taken, rows);
    if (pack.weights) {
      part.weights = rows_of(*pack.weights, taken, rows);
    }
  }
  return part;
}

std::vector<TraceSequence> windows(const std::vector<TraceSequence>& sequences) {
  std::vector<TraceSequence> cut;
  for (const TraceSequence& sequence : sequences) {
    for (std::int64_t at = 0; at < sequence.rows; at += kWindow) {
      TraceSequence window = sequence;
      window.row_start += at;
      window.rows = std::min(kWindow, sequence.rows - at);
      cut.push_back(std::move(window));
    }
  }
  return cut;
}

bool is_unseen(const std::vector<std::string>& domains, const std::string& domain) {
  const auto at = std::lower_bound(domains.begin(), domains.end(), domain) - domains.begin();
  return domains.size() >= 3 && at % 3 == 2;
}

}  // namespace

FitParts split_for_fit(const RoutePack& pack, std::uint64_t seed) {
  FitParts parts;
  std::vector<TraceSequence> sequences = pack.sequences;
  parts.cut_into_windows = sequences.size() < kLeastSequences;
  if (parts.cut_into_windows) {
    sequences = windows(sequences);
  }
  RngStream rng(seed, "fit parts");
  shuffle(std::span(sequences), rng);
  const std::vector<std::string> domains = pack.domains();
  std::vector<TraceSequence> seen;
  std::vector<TraceSequence> unseen;
  std::vector<TraceSequence> other_domains;
  std::size_t next = 0;
  for (const TraceSequence& sequence : sequences) {
    if (is_unseen(domains, sequence.domain)) {
      other_domains.push_back(sequence);
    } else {
      (next++ % 2 == 0 ? seen : unseen).push_back(sequence);
    }
  }
  parts.seen = part_of(pack, seen);
  parts.unseen_sequences = part_of(pack, unseen);
  parts.unseen_domains = part_of(pack, other_domains);
  return parts;
}

}  // namespace moesim::generate
