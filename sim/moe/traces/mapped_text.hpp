// SPDX-License-Identifier: Apache-2.0
// The text of a plain or gzip file without holding it: a plain one is mapped, a large .gz is
// unpacked into a nameless file first.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "sim/moe/traces/npy.hpp"

namespace moesim::traces {

/// A JSON line is parsed as a whole: one of a million tokens of a layer is half as long.
inline constexpr std::size_t kMostLine = std::size_t{64} << 20U;

class MappedText {
 public:
  /// @param scratch  where a large .gz is unpacked to
  MappedText(const std::filesystem::path& path,
             const std::filesystem::path& scratch,
             const Pace& pace = {});

  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data().data()), bytes_.data().size()};
  }

 private:
  NpyArray bytes_;
};

/// Takes the next line off `rest`, without its line break; of one longer than kMostLine the first
/// kMostLine + 1 bytes.
[[nodiscard]] std::string_view next_line(std::string_view& rest);

}  // namespace moesim::traces
