// SPDX-License-Identifier: Apache-2.0
// llama.cpp's importance matrix (GGUF 2 and 3): how often each expert of each layer was active on
// the calibration text, from the tensors blk.<layer>.ffn_gate_exps.weight.counts.
#include <fmt/core.h>

#include <charconv>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/mapped_file.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kString = 8;
constexpr std::uint32_t kArray = 9;
constexpr std::uint32_t kFloat32Tensor = 0;

/// Reads a GGUF file from its start; every read is checked against its end.
class GgufReader {
 public:
  GgufReader(const fs::path& path, std::span<const std::byte> content, const Pace& pace)
      : path_(path), content_(content), reads_(pace, "reading", 0, 65'536) {}

  template <typename T>
  T number() {
    const T value = number_at<T>(take(sizeof(T)).data(), 0);
    return value;
  }

  std::string_view text() {
    const auto length = number<std::uint64_t>();
    const auto bytes = take(length);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::span<const std::byte> take(std::uint64_t bytes) {
    if (bytes > content_.size() - at_) {
      refuse(path_, "truncated, or not a GGUF file");
    }
    reads_.add();
    const auto taken = content_.subspan(at_, static_cast<std::size_t>(bytes));
    at_ += static_cast<std::size_t>(bytes);
    return taken;
  }

  /// Skips a value; returns it if it is a u32.
  std::uint32_t skip_value(std::uint32_t type) {
    constexpr std::uint32_t kUint32 = 4;
    if (type == kString) {
      (void)text();
    } else if (type == kArray) {
      skip_array();
    } else if (type == kUint32) {
      return number<std::uint32_t>();
    } else {
      (void)take(size_of(type));
    }
    return 0;
  }

  [[nodiscard]] std::size_t position() const { return at_; }

 private:
  [[nodiscard]] std::uint64_t size_of(std::uint32_t type) const {
    // u8 i8 u16 i16 u32 i32 f32 bool - - u64 i64 f64
    constexpr std::uint64_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type >= std::size(kSizes) || kSizes[type] == 0) {
      refuse(path_, fmt::format("GGUF value of type {}; expected a known type", type));
    }
    return kSizes[type];
  }

  void skip_array() {
    const auto type = number<std::uint32_t>();
    const auto length = number<std::uint64_t>();
    if (type == kString) {
      for (std::uint64_t i = 0; i < length; ++i) {
        (void)text();
      }
      return;
    }
    if (length > content_.size()) {
      refuse(path_, "truncated, or not a GGUF file");
    }
    (void)take(length * size_of(type));
  }

  const fs::path& path_;
  std::span<const std::byte> content_;
  std::size_t at_ = 0;
  PaceCounter reads_;
};

/// The layer of "blk.<layer>.ffn_gate_exps.weight.counts"; -1 for other tensors.
std::int64_t layer_of(std::string_view name) {
  constexpr std::string_view kBegin = "blk.";
  constexpr std::string_view kEnd = ".ffn_gate_exps.weight.counts";
  if (!name.starts_with(kBegin) || !name.ends_with(kEnd) ||
      name.size() <= kBegin.size() + kEnd.size()) {
    return -1;
  }
  const std::string_view digits =
      name.substr(kBegin.size(), name.size() - kBegin.size() - kEnd.size());
  std::int64_t layer = -1;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
  return read.ec == std::errc() && read.ptr == digits.data() + digits.size() && layer >= 0 &&
                 layer <= 1'000'000
             ? layer
             : -1;
}

struct TensorInfo {
  std::uint64_t numbers = 0;
  std::uint64_t offset = 0;
};

struct Tensors {
  std::map<std::int64_t, TensorInfo> counts;  ///< by layer
  std::size_t data_begin = 0;
};

TensorInfo read_tensor_info(const fs::path& path, GgufReader& reader, std::string_view name) {
  constexpr std::uint32_t kMostAxes = 4;
  const auto axes = reader.number<std::uint32_t>();
  if (axes > kMostAxes) {
    refuse(path, fmt::format("tensor \"{}\" has {} axes; expected at most 4", name, axes));
  }
  TensorInfo info{.numbers = 1, .offset = 0};
  for (std::uint32_t i = 0; i < axes; ++i) {
    const auto size = reader.number<std::uint64_t>();
    // Only counts are read, and a layer has few experts.
    info.numbers = size > kMostExperts || info.numbers > kMostExperts ? kMostExperts + 1ULL
                                                                      : info.numbers * size;
  }
  const auto type = reader.number<std::uint32_t>();
  info.offset = reader.number<std::uint64_t>();
  if (layer_of(name) >= 0 &&
      (type != kFloat32Tensor || info.numbers == 0 || info.numbers > kMostExperts)) {
    refuse(path, fmt::format("tensor \"{}\": expected 1 to {} F32 counts", name, kMostExperts));
  }
  return info;
}

Tensors read_header(const fs::path& path, std::span<const std::byte> content, const Pace& pace) {
  GgufReader reader(path, content, pace);
  (void)reader.take(4);  // "GGUF"
  const auto version = reader.number<std::uint32_t>();
  if (version != 2 && version != 3) {
    refuse(path, fmt::format("GGUF version {} (of this byte order); expected 2 or 3", version));
  }
  const auto tensors = reader.number<std::uint64_t>();
  const auto values = reader.number<std::uint64_t>();
  std::uint32_t alignment = 32;
  for (std::uint64_t i = 0; i < values; ++i) {
    const bool is_alignment = reader.text() == "general.alignment";
    const auto type = reader.number<std::uint32_t>();
    const std::uint32_t value = reader.skip_value(type);
    alignment = is_alignment ? value : alignment;
  }
  if (alignment == 0 || alignment > 65'536) {
    refuse(path, fmt::format("general.alignment: {}; expected 1 to 65536", alignment));
  }
  Tensors found;
  for (std::uint64_t i = 0; i < tensors; ++i) {
    const std::string_view name = reader.text();
    const TensorInfo info = read_tensor_info(path, reader, name);
    if (layer_of(name) >= 0) {
      found.counts[layer_of(name)] = info;
    }
  }
  found.data_begin = (reader.position() + alignment - 1) / alignment * alignment;
  return found;
}

/// The counts of one layer, from where they begin.
void read_row(const fs::path& input,
              std::int64_t layer,
              std::span<const std::byte> data,
              std::span<std::int64_t> row) {
  for (std::size_t e = 0; e < row.size(); ++e) {
    const auto count = number_at<float>(data.data(), e);
    if (!(count >= 0.0F) || count > static_cast<float>(kMostCount) ||
        count != static_cast<float>(static_cast<std::int64_t>(count))) {
      refuse(input,
             fmt::format("layer {}, expert {}: count {}; expected a whole number up to {}",
                         layer,
                         e,
                         count,
                         kMostCount));
    }
    row[e] = static_cast<std::int64_t>(count);
  }
}

}  // namespace

Dump read_imatrix(const fs::path& input, const ImportOptions& options) {
  const int top_k =
      required(input, options.top_k, "top_k", "as counts do not say how many a token has");
  const MappedFile file(input);
  const std::span<const std::byte> content = file.content();
  const Tensors tensors = read_header(input, content, options.pace);
  if (tensors.counts.empty()) {
    refuse(input, "no tensors blk.<layer>.ffn_gate_exps.weight.counts");
  }
  const std::uint64_t experts = tensors.counts.begin()->second.numbers;
  Dump dump;
  dump.form = "llama.cpp importance matrix";
  for (const auto& [layer, info] : tensors.counts) {
    const std::uint64_t bytes = experts * sizeof(float);
    if (info.numbers != experts || tensors.data_begin > content.size() ||
        info.offset > content.size() - tensors.data_begin ||
        bytes > content.size() - tensors.data_begin - info.offset) {
      refuse(input,
             fmt::format("layer {}: its counts do not fit the first layer's or the file", layer));
    }
    dump.model_layers.push_back(layer);
  }
  check_agrees(input, options.experts, "experts", static_cast<std::int64_t>(experts));
  dump.pack.header = header_of(options);
  dump.pack.header.top_k = top_k;
  const auto layers = static_cast<std::int64_t>(tensors.counts.size());
  const auto each = static_cast<std::int64_t>(experts);
  const auto rows = [&](const TakeRow& take) {
    std::vector<std::int64_t> row(static_cast<std::size_t>(experts));
    for (const auto& [layer, info] : tensors.counts) {
      read_row(input,
               layer,
               content.subspan(tensors.data_begin + static_cast<std::size_t>(info.offset)),
               row);
      take(row);
    }
  };
  set_counts(input, dump, {1, layers, each}, rows, options);
  return dump;
}

}  // namespace moesim::traces
