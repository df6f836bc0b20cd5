// SPDX-License-Identifier: Apache-2.0
// Rows of several streams that come mixed, such as the tokens of requests served at the same time,
// put into the order of an array at the end. What is held grows with the streams, not with the
// rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "sim/core/pace.hpp"
#include "sim/moe/traces/npy.hpp"
#include "sim/moe/traces/spool.hpp"

namespace moesim::traces {

class RowStreams {
 public:
  /// @param scratch    folder of the files that hold what is too much for memory
  /// @param row_bytes  of every row
  RowStreams(std::filesystem::path scratch, std::size_t row_bytes);

  /// The next rows of a stream; streams are numbered from 0.
  void append(std::size_t stream, std::span<const std::byte> rows);

  /// Row i of a stream becomes row first + i * stride of the array.
  struct Place {
    std::int64_t first = 0;
    std::int64_t stride = 1;
    bool left_out = false;
  };
  /// All rows, each where its stream's place says; nothing is left afterwards.
  /// @param places  by stream; together they fill `shape`
  [[nodiscard]] NpyArray arranged(NumberType type,
                                  std::vector<std::int64_t> shape,
                                  std::vector<Place> places,
                                  const Pace& pace = {});

 private:
  struct Run {
    std::uint64_t stream = 0;
    std::uint64_t rows = 0;
  };
  void close_run();
  void scatter(const NpyArray& rows,
               const NpyArray& runs,
               std::vector<Place>& places,
               std::span<std::byte> out,
               const Pace& pace) const;

  std::filesystem::path scratch_;
  std::size_t row_bytes_;
  Run run_;
  Spool rows_;  ///< as they came
  Spool runs_;  ///< whose they are
};

}  // namespace moesim::traces
