// SPDX-License-Identifier: Apache-2.0
// One pass over expert ids as a dump has them.
#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/traces/checks.hpp"

namespace moesim::traces {
namespace {

template <typename T>
class Scanner {
 public:
  Scanner(const NpyArray& topk, int num_experts)
      : topk_(topk),
        experts_(static_cast<std::size_t>(num_experts)),
        last_row_(experts_, topk.size(0) * topk.size(1)) {
    scan_.padded_token.resize(topk.size(0));
    scan_.padded_rows.resize(topk.size(1));
    scan_.load.assign(topk.size(1), std::vector<std::int64_t>(experts_));
  }

  IdScan run() {
    const std::size_t layers = topk_.size(1);
    std::vector<std::size_t> padding;  // rows
    for (std::size_t row = 0; row < topk_.size(0) * layers; ++row) {
      if (is_padding(row)) {
        ++scan_.padded_rows[row % layers];
        padding.push_back(row);
      } else {
        scan_row(row);
      }
    }
    for (const std::size_t row : padding) {
      if (!scan_.is_padding_layer(row % layers)) {
        scan_.padded_token[row / layers] = true;
      }
    }
    return std::move(scan_);
  }

 private:
  [[nodiscard]] T id_at(std::size_t row, std::size_t slot) const {
    return number_at<T>(topk_.data().data(), row * topk_.size(2) + slot);
  }

  /// -1 anywhere, or zeros everywhere where one zero would be a choice.
  [[nodiscard]] bool is_padding(std::size_t row) const {
    bool all_zero = topk_.size(2) > 1;
    for (std::size_t slot = 0; slot < topk_.size(2); ++slot) {
      const T id = id_at(row, slot);
      if (std::cmp_equal(id, -1)) {
        return true;
      }
      all_zero = all_zero && id == 0;
    }
    return all_zero;
  }

  void scan_row(std::size_t row) {
    bool repeated = false;
    for (std::size_t slot = 0; slot < topk_.size(2); ++slot) {
      const T id = id_at(row, slot);
      const IdScan::Place place{.token = static_cast<std::int64_t>(row / topk_.size(1)),
                                .layer = static_cast<std::int64_t>(row % topk_.size(1)),
                                .slot = static_cast<std::int64_t>(slot),
                                .expert = to_int64(id)};
      if (std::cmp_less(id, 0) || std::cmp_greater_equal(id, experts_)) {
        note_out_of_range(place);
        continue;
      }
      const auto expert = static_cast<std::size_t>(place.expert);
      ++scan_.load[row % topk_.size(1)][expert];
      if (std::exchange(last_row_[expert], row) == row && !std::exchange(repeated, true)) {
        scan_.first_repeat = scan_.repeats++ == 0 ? place : scan_.first_repeat;
      }
    }
  }

  void note_out_of_range(const IdScan::Place& place) {
    if (scan_.out_of_range++ == 0) {
      scan_.first_out_of_range = place;
    }
    scan_.largest = std::max(scan_.largest, place.expert);
  }

  const NpyArray& topk_;
  std::size_t experts_;
  std::vector<std::size_t> last_row_;
  IdScan scan_;
};

}  // namespace

std::int64_t IdScan::padded_tokens() const {
  return std::count(padded_token.begin(), padded_token.end(), true);
}

IdScan scan_ids(const NpyArray& topk, int num_experts) {
  MOESIM_CHECK(topk.axes() == 3, "ids are [token, layer, slot]");
  IdScan scan;
  const bool whole = visit_integer_type(
      topk.type(), [&](auto zero) { scan = Scanner<decltype(zero)>(topk, num_experts).run(); });
  MOESIM_CHECK(whole, "expert ids are whole numbers");
  return scan;
}

}  // namespace moesim::traces
