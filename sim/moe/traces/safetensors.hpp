// SPDX-License-Identifier: Apache-2.0
// safetensors files: 8 bytes of header length, a JSON header, raw data. Mapped, never copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sim/moe/traces/mapped_file.hpp"

namespace moesim::traces {

/// A tensor as the header has it; what the header lacks is "" or empty here.
struct Tensor {
  std::string name;
  std::string dtype;                ///< "I64", "F32", ...
  std::vector<std::int64_t> shape;  ///< empty also where a size is negative or no whole number
  std::optional<std::pair<std::size_t, std::size_t>> offsets;  ///< begin and end in the data
};

class SafetensorsFile {
 public:
  /// Throws UserError unless it has a header.
  explicit SafetensorsFile(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// By name; "__metadata__" is left out.
  [[nodiscard]] const std::vector<Tensor>& tensors() const { return tensors_; }
  /// The tensor's data; throws UserError unless it has `size` bytes and lies in the file.
  [[nodiscard]] std::span<const std::byte> bytes(const Tensor& tensor, std::size_t size) const;

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::size_t data_begin_ = 0;
  std::vector<Tensor> tensors_;
};

}  // namespace moesim::traces
