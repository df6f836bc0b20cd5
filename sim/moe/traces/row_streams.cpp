// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/row_streams.hpp"

#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/pace_counter.hpp"

namespace moesim::traces {

RowStreams::RowStreams(std::filesystem::path scratch, std::size_t row_bytes)
    : scratch_(std::move(scratch)), row_bytes_(row_bytes), rows_(scratch_), runs_(scratch_) {}

void RowStreams::append(std::size_t stream, std::span<const std::byte> rows) {
  if (stream != run_.stream) {
    close_run();
    run_.stream = stream;
  }
  run_.rows += rows.size() / row_bytes_;
  rows_.append(rows);
}

void RowStreams::close_run() {
  if (run_.rows > 0) {
    runs_.append(std::as_bytes(std::span(&run_, 1)));
    run_.rows = 0;
  }
}

NpyArray RowStreams::arranged(NumberType type,
                              std::vector<std::int64_t> shape,
                              std::vector<Place> places,
                              const Pace& pace) {
  close_run();
  const std::size_t bytes = std::accumulate(
      shape.begin(), shape.end(), bytes_per_number(type), [](std::size_t product, std::int64_t n) {
        return product * static_cast<std::size_t>(n);
      });
  const auto runs = static_cast<std::int64_t>(runs_.size() / sizeof(Run));
  const NpyArray all_runs = runs_.take(NumberType::kU8, {runs, 2});
  const auto came = static_cast<std::int64_t>(rows_.size());
  const NpyArray all_rows = rows_.take(NumberType::kU1, {came});
  if (bytes <= Spool::kMostInMemory) {
    std::vector<std::byte> out(bytes);
    scatter(all_rows, all_runs, places, out, pace);
    return {type, std::move(shape), std::move(out)};
  }
  ScratchFile file(scratch_);
  file.fill(bytes,
            [&](std::span<std::byte> out) { scatter(all_rows, all_runs, places, out, pace); });
  return {NpyHeader{.type = type, .shape = std::move(shape), .data_offset = 0, .data_bytes = bytes},
          file.mapped()};
}

void RowStreams::scatter(const NpyArray& rows,
                         const NpyArray& runs,
                         std::vector<Place>& places,
                         std::span<std::byte> out,
                         const Pace& pace) const {
  PaceCounter arranged_rows(pace, "putting in order", rows.count() / row_bytes_, 65'536);
  const std::byte* from = rows.data().data();
  for (std::size_t i = 0; i < runs.size(0); ++i) {
    const auto stream = number_at<std::uint64_t>(runs.data().data(), 2 * i);
    const auto count = number_at<std::uint64_t>(runs.data().data(), 2 * i + 1);
    Place& place = places[stream];
    for (std::uint64_t row = 0; row < count && !place.left_out; ++row) {
      const std::size_t at = static_cast<std::size_t>(place.first) * row_bytes_;
      MOESIM_CHECK(at + row_bytes_ <= out.size(), "a row beyond the array");
      std::memcpy(out.data() + at, from + row * row_bytes_, row_bytes_);
      place.first += place.stride;
      arranged_rows.add();
    }
    from += count * row_bytes_;
  }
}

}  // namespace moesim::traces
