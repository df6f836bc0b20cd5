// SPDX-License-Identifier: Apache-2.0
// One pass over expert ids as a dump has them.
#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/checks.hpp"

namespace moesim::traces {
namespace {

template <typename T>
class Scanner {
 public:
  Scanner(const NpyArray& topk, int num_experts)
      : ids_(topk.data().data()),
        tokens_(topk.size(0)),
        layers_(topk.size(1)),
        slots_(topk.size(2)),
        experts_(static_cast<std::size_t>(num_experts)),
        last_row_(experts_, tokens_ * layers_) {
    scan_.tokens = topk.shape()[0];
    scan_.padded_rows.resize(layers_);
    scan_.load.assign(layers_, std::vector<std::int64_t>(experts_));
  }

  IdScan run(const Pace& pace) {
    PaceCounter scanned(pace, "checking ids", tokens_);
    bool padded = false;
    for (std::size_t token = 0; token < tokens_; ++token, scanned.add()) {
      for (std::size_t layer = 0; layer < layers_; ++layer) {
        if (is_padding(token * layers_ + layer)) {
          ++scan_.padded_rows[layer];
          padded = true;
        } else {
          scan_row(token, layer);
        }
      }
    }
    if (padded) {
      mark_padded_tokens(pace);
    }
    return std::move(scan_);
  }

 private:
  [[nodiscard]] T id_at(std::size_t row, std::size_t slot) const {
    return number_at<T>(ids_, row * slots_ + slot);
  }

  /// -1 anywhere, or zeros everywhere where one zero would be a choice.
  [[nodiscard]] bool is_padding(std::size_t row) const {
    bool all_zero = slots_ > 1;
    bool negative = false;
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      const T id = id_at(row, slot);
      negative = negative || std::cmp_equal(id, -1);
      all_zero = all_zero && id == 0;
    }
    return negative || all_zero;
  }

  /// Only where there is padding: most recordings have none, and some are long.
  void mark_padded_tokens(const Pace& pace) {
    PaceCounter marked(pace, "looking for padding", tokens_);
    scan_.padded_token.resize(tokens_);
    for (std::size_t token = 0; token < tokens_; ++token, marked.add()) {
      for (std::size_t layer = 0; layer < layers_; ++layer) {
        if (!scan_.is_padding_layer(layer) && is_padding(token * layers_ + layer)) {
          scan_.padded_token[token] = true;
        }
      }
    }
  }

  void scan_row(std::size_t token, std::size_t layer) {
    const std::size_t row = token * layers_ + layer;
    std::int64_t* const load = scan_.load[layer].data();
    bool repeated = false;
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      const T id = id_at(row, slot);
      if (std::cmp_less(id, 0) || std::cmp_greater_equal(id, experts_)) {
        note_out_of_range(place(token, layer, slot));
        continue;
      }
      const auto expert = static_cast<std::size_t>(to_int64(id));
      ++load[expert];
      if (std::exchange(last_row_[expert], row) == row && !std::exchange(repeated, true)) {
        scan_.first_repeat = scan_.repeats++ == 0 ? place(token, layer, slot) : scan_.first_repeat;
      }
    }
  }

  [[nodiscard]] IdScan::Place place(std::size_t token, std::size_t layer, std::size_t slot) const {
    return {.token = static_cast<std::int64_t>(token),
            .layer = static_cast<std::int64_t>(layer),
            .slot = static_cast<std::int64_t>(slot),
            .expert = to_int64(id_at(token * layers_ + layer, slot))};
  }

  void note_out_of_range(const IdScan::Place& place) {
    if (scan_.out_of_range++ == 0) {
      scan_.first_out_of_range = place;
    }
    scan_.largest = std::max(scan_.largest, place.expert);
  }

  const std::byte* ids_;
  std::size_t tokens_;
  std::size_t layers_;
  std::size_t slots_;
  std::size_t experts_;
  std::vector<std::size_t> last_row_;
  IdScan scan_;
};

}  // namespace

std::int64_t IdScan::padded_tokens() const {
  return std::count(padded_token.begin(), padded_token.end(), true);
}

IdScan scan_ids(const NpyArray& topk, int num_experts, const Pace& pace) {
  MOESIM_CHECK(topk.axes() == 3, "ids are [token, layer, slot]");
  IdScan scan;
  const bool whole = visit_integer_type(
      topk.type(), [&](auto zero) { scan = Scanner<decltype(zero)>(topk, num_experts).run(pace); });
  MOESIM_CHECK(whole, "expert ids are whole numbers");
  return scan;
}

}  // namespace moesim::traces
