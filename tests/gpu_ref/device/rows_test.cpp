// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/ops/rows.hpp"

#include <algorithm>
#include <numeric>

#include "gpu_ref/ops/combine.hpp"
#include "gpu_ref/oracle/matrix.hpp"
#include "tests/gpu_ref/device/on_device.hpp"

namespace moesim::gpu_ref::testing {
namespace {

using RowsOnDevice = OnDevice;

constexpr Tolerance kRoundedOnce{1e-6, 1.01 * kBf16Rounding, kBf16Rounding};

/// Every assignment a row of its own in an order that is not theirs; every fifth is dropped.
std::vector<std::int32_t> scattered_rows(std::size_t assignments) {
  std::vector<std::int32_t> kept;
  for (std::size_t a = 0; a < assignments; ++a) {
    if (a % 5 != 2) {
      kept.push_back(static_cast<std::int32_t>(kept.size()));
    }
  }
  std::vector<std::int32_t> rows(assignments, -1);
  std::size_t next = kept.size();
  for (std::size_t a = 0; a < assignments; ++a) {
    rows[a] = a % 5 == 2 ? -1 : kept[--next];
  }
  return rows;
}

std::size_t kept_rows(const std::vector<std::int32_t>& rows) {
  return rows.size() - static_cast<std::size_t>(std::count(rows.begin(), rows.end(), -1));
}

TEST_F(RowsOnDevice, SpreadGatherAndScatterMoveWholeRows) {
  for (const int bytes : {16, 48, 12, 4, 4112}) {
    SCOPED_TRACE(bytes);
    constexpr std::int64_t kTokens = 11;
    constexpr int kTopK = 3;
    const auto words = static_cast<std::size_t>(bytes / 4);
    std::vector<std::uint32_t> x(kTokens * words);
    std::iota(x.begin(), x.end(), 1U);
    const std::vector<std::int32_t> rows = scattered_rows(kTokens * kTopK);
    const std::size_t count = kept_rows(rows);
    const auto device_x = on_device(x);
    const auto device_rows = on_device(rows);
    auto out = poisoned<std::uint32_t>(count * words);
    spread_rows(device_x.data(), device_rows.data(), out.data(), {kTokens, kTopK, bytes}, stream());
    const std::vector<std::uint32_t> spread = out.download(stream());
    std::vector<std::int32_t> token_of_row(count);
    for (std::size_t a = 0; a < rows.size(); ++a) {
      for (std::size_t w = 0; rows[a] >= 0 && w < words; ++w) {
        EXPECT_EQ(spread[static_cast<std::size_t>(rows[a]) * words + w], x[a / kTopK * words + w]);
      }
      if (rows[a] >= 0) {
        token_of_row[static_cast<std::size_t>(rows[a])] = static_cast<std::int32_t>(a / kTopK);
      }
    }
    token_of_row.push_back(-1);  // a row of padding
    const auto index = on_device(token_of_row);
    auto gathered = poisoned<std::uint32_t>((count + 1) * words);
    const auto num_rows = static_cast<std::int64_t>(count + 1);
    gather_rows(device_x.data(), index.data(), gathered.data(), {num_rows, bytes}, stream());
    std::vector<std::uint32_t> expected = spread;
    expected.resize((count + 1) * words, 0U);
    EXPECT_EQ(gathered.download(stream()), expected);

    std::vector<std::int32_t> reversed(count + 1);
    for (std::size_t i = 0; i < count; ++i) {
      reversed[i] = static_cast<std::int32_t>(count - 1 - i);
    }
    reversed[count] = -1;
    const auto target = on_device(reversed);
    auto scattered = poisoned<std::uint32_t>(count * words);
    scatter_rows(gathered.data(), target.data(), scattered.data(), {num_rows, bytes}, stream());
    const std::vector<std::uint32_t> back = scattered.download(stream());
    for (std::size_t i = 0; i < count * words; ++i) {
      EXPECT_EQ(back[i], spread[(count - 1 - i / words) * words + i % words]);
    }
  }
}

TEST_F(RowsOnDevice, RunsBecomeAnIndexWithPadding) {
  const std::vector<RowRun> runs = {{0, 4, 3}, {3, 0, 2}, {5, 8, 600}};
  std::vector<std::int32_t> expected(700, -1);
  for (const RowRun& run : runs) {
    for (std::int32_t i = 0; i < run.count; ++i) {
      expected[static_cast<std::size_t>(run.to + i)] = run.from + i;
    }
  }
  const auto device_runs = on_device(runs);
  auto index = poisoned<std::int32_t>(expected.size());
  index_of_runs(device_runs.data(), 3, index.data(), 700, stream());
  EXPECT_EQ(index.download(stream()), expected);
  index_of_runs(nullptr, 0, index.data(), 700, stream());
  EXPECT_EQ(index.download(stream()), std::vector<std::int32_t>(700, -1));
}

class CombineOnDevice : public OnDevice {
 protected:
  struct Case {
    std::int64_t tokens;
    int top_k;
    int hidden;
  };

  void check(const Case& c) {
    const auto elements = static_cast<std::size_t>(c.tokens * c.hidden);
    const auto slots = static_cast<std::size_t>(c.tokens * c.top_k);
    const std::vector<std::int32_t> place = scattered_rows(slots);
    const std::vector<Bf16> rows =
        random_bf16(kept_rows(place) * static_cast<std::size_t>(c.hidden), "rows");
    const std::vector<float> weights = random_floats(slots, "weights");
    const std::vector<Bf16> addend = random_bf16(elements, "addend");
    const auto device_place = on_device(place);
    const auto device_rows = on_device(rows);
    const auto device_weights = on_device(weights);
    const auto device_addend = on_device(addend);
    auto out = poisoned<Bf16>(elements);
    auto plain = poisoned<Bf16>(elements);
    const CombineShape shape{c.tokens, c.top_k, c.hidden};
    combine_rows(
        {device_rows.data(), device_place.data(), device_weights.data(), device_addend.data()},
        out.data(),
        shape,
        stream());
    combine_rows(
        {device_rows.data(), device_place.data(), nullptr, nullptr}, plain.data(), shape, stream());

    const oracle::Matrix row_values = matrix_of(rows, c.hidden);
    oracle::Matrix expected = matrix_of(addend, c.hidden);
    oracle::Matrix expected_plain(c.tokens, c.hidden);
    for (std::size_t a = 0; a < slots; ++a) {
      const auto token = static_cast<std::int64_t>(a) / c.top_k;
      for (int h = 0; place[a] >= 0 && h < c.hidden; ++h) {
        expected.at(token, h) += static_cast<double>(weights[a]) * row_values.at(place[a], h);
        expected_plain.at(token, h) += row_values.at(place[a], h);
      }
    }
    EXPECT_TRUE(are_close(to_double(out.download(stream())), expected.values, kRoundedOnce));
    EXPECT_TRUE(
        are_close(to_double(plain.download(stream())), expected_plain.values, kRoundedOnce));
    check_backward(c, place, row_values, weights);
  }

  void check_backward(const Case& c,
                      const std::vector<std::int32_t>& place,
                      const oracle::Matrix& rows,
                      const std::vector<float>& weights) {
    const std::vector<Bf16> slope =
        random_bf16(static_cast<std::size_t>(c.tokens * c.hidden), "slope");
    const oracle::Matrix d_out = matrix_of(slope, c.hidden);
    std::vector<float> row_floats(rows.values.begin(), rows.values.end());
    const auto device_slope = on_device(slope);
    const auto device_rows = on_device(to_bf16(row_floats));
    const auto device_place = on_device(place);
    const auto device_weights = on_device(weights);
    auto d_rows = poisoned<Bf16>(rows.values.size());
    auto d_weights = poisoned<float>(weights.size());
    combine_rows_backward(device_slope.data(),
                          {device_rows.data(), device_place.data(), device_weights.data(), nullptr},
                          d_rows.data(),
                          d_weights.data(),
                          {c.tokens, c.top_k, c.hidden},
                          stream());
    oracle::Matrix expected_rows(rows.rows, rows.columns);
    std::vector<double> expected_weights(weights.size());
    for (std::size_t a = 0; a < place.size(); ++a) {
      const auto token = static_cast<std::int64_t>(a) / c.top_k;
      for (int h = 0; place[a] >= 0 && h < c.hidden; ++h) {
        expected_rows.at(place[a], h) = static_cast<double>(weights[a]) * d_out.at(token, h);
        expected_weights[a] += d_out.at(token, h) * rows.at(place[a], h);
      }
    }
    EXPECT_TRUE(
        are_close(to_double(d_rows.download(stream())), expected_rows.values, kRoundedOnce));
    EXPECT_TRUE(
        are_close(to_double(d_weights.download(stream())), expected_weights, {1e-4, 1e-5, 1e-5}));
  }
};

TEST_F(CombineOnDevice, CombineAndItsGradientAreTheOracles) {
  check({13, 4, 40});
  check({1, 1, 8});
  check({3, 32, 2056});
  check({0, 2, 16});
}

TEST_F(CombineOnDevice, ShapesBeyondTheKernelsAreRefused) {
  EXPECT_THROW(combine_rows({}, nullptr, {1, 2, 12}, stream()), std::invalid_argument);
  EXPECT_THROW(combine_rows({}, nullptr, {1, 33, 16}, stream()), std::invalid_argument);
  EXPECT_THROW(spread_rows(nullptr, nullptr, nullptr, {1, 1, 6}, stream()), std::invalid_argument);
  EXPECT_THROW(gather_rows(nullptr, nullptr, nullptr, {1, 0}, stream()), std::invalid_argument);
}

}  // namespace
}  // namespace moesim::gpu_ref::testing
