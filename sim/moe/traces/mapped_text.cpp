// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/mapped_text.hpp"

#include <algorithm>
#include <utility>

#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/spool.hpp"

namespace moesim::traces {
namespace {

NpyArray bytes_of(const std::filesystem::path& path,
                  const std::filesystem::path& scratch,
                  const Pace& pace) {
  MappedFile file(path);
  if (is_gzip(file.content())) {
    Spool plain(scratch);
    PaceCounter unpacked(pace, "unpacking", 0, 1);
    gunzip_blocks(path, file.content(), [&](std::span<const std::byte> block) {
      plain.append(block);
      unpacked.add(block.size());
      return true;
    });
    const auto size = static_cast<std::int64_t>(plain.size());
    return plain.take(NumberType::kU1, {size});
  }
  const std::size_t size = file.content().size();
  return {NpyHeader{.type = NumberType::kU1,
                    .shape = {static_cast<std::int64_t>(size)},
                    .data_offset = 0,
                    .data_bytes = size},
          std::move(file)};
}

}  // namespace

MappedText::MappedText(const std::filesystem::path& path,
                       const std::filesystem::path& scratch,
                       const Pace& pace)
    : bytes_(bytes_of(path, scratch, pace)) {}

std::string_view next_line(std::string_view& rest) {
  std::string_view line = rest.substr(0, kMostLine + 1);
  line = line.substr(0, line.find('\n'));
  rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  return line;
}

}  // namespace moesim::traces
