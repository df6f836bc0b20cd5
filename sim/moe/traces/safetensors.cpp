// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/safetensors.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <limits>

#include "sim/moe/traces/npy.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostHeader = std::size_t{100} << 20U;

std::vector<std::int64_t> shape_of(const Json& shape) {
  std::vector<std::int64_t> sizes;
  for (const Json& size : shape) {
    if (!size.is_number_unsigned() || size > std::numeric_limits<std::int64_t>::max()) {
      return {};
    }
    sizes.push_back(size.get<std::int64_t>());
  }
  return sizes;
}

Tensor tensor_of(const std::string& name, const Json& info) {
  Tensor tensor{.name = name, .dtype = {}, .shape = {}, .offsets = {}};
  if (!info.is_object()) {
    return tensor;
  }
  const Json dtype = info.value("dtype", Json());
  tensor.dtype = dtype.is_string() ? dtype.get<std::string>() : "";
  tensor.shape = shape_of(info.value("shape", Json()));
  const Json offsets = info.value("data_offsets", Json());
  if (offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() &&
      offsets[1].is_number_unsigned()) {
    tensor.offsets = {offsets[0].get<std::size_t>(), offsets[1].get<std::size_t>()};
  }
  return tensor;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(path) {
  const std::span<const std::byte> content = file_.content();
  constexpr std::size_t kLengthBytes = sizeof(std::uint64_t);
  const std::uint64_t length =
      content.size() < kLengthBytes ? 0 : number_at<std::uint64_t>(content.data(), 0);
  if (length == 0 || length > kMostHeader || length > content.size() - kLengthBytes) {
    refuse(path, "not a safetensors file, or truncated");
  }
  const auto* const text = reinterpret_cast<const char*>(content.data()) + kLengthBytes;
  const Json header = Json::parse(text, text + length, nullptr, false);
  if (!header.is_object()) {
    refuse(path, "the safetensors header is no JSON object");
  }
  data_begin_ = kLengthBytes + static_cast<std::size_t>(length);
  for (const auto& [name, info] : header.items()) {
    if (name != "__metadata__") {
      tensors_.push_back(tensor_of(name, info));
    }
  }
}

std::span<const std::byte> SafetensorsFile::bytes(const Tensor& tensor, std::size_t size) const {
  const auto data = file_.content().subspan(data_begin_);
  if (!tensor.offsets || tensor.offsets->second > data.size() ||
      tensor.offsets->first > tensor.offsets->second ||
      tensor.offsets->second - tensor.offsets->first != size) {
    refuse(path_,
           fmt::format("tensor \"{}\": its data_offsets do not fit its shape or the file",
                       tensor.name));
  }
  return data.subspan(tensor.offsets->first, size);
}

}  // namespace moesim::traces
