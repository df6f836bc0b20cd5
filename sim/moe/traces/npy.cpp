// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/npy.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "sim/core/atomic_file.hpp"
#include "sim/core/check.hpp"
#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/spool.hpp"

namespace moesim::traces {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are used as they lie in files");

constexpr std::size_t kBlock = std::size_t{1} << 20U;  // bytes or numbers written at a time
constexpr std::size_t kHeaderProbe = 80'000;           // more than the longest header that is read

void check_data_size(const std::filesystem::path& path,
                     const NpyHeader& header,
                     std::size_t found) {
  if (found < header.data_bytes) {
    refuse(path,
           fmt::format("truncated: shape {} of {} needs {} bytes of data, found {}",
                       shape_text(header.shape),
                       descr(header.type),
                       header.data_bytes,
                       found));
  }
  if (found > header.data_bytes) {
    refuse(path,
           fmt::format("bytes follow the array: shape {} of {} needs {} bytes of data",
                       shape_text(header.shape),
                       descr(header.type),
                       header.data_bytes));
  }
}

NpyArray read_packed(const std::filesystem::path& path,
                     std::span<const std::byte> packed,
                     const std::filesystem::path& folder,
                     const Pace& pace) {
  const NpyHeader header = parse_npy_header(path, gunzip(path, packed, kHeaderProbe));
  if (header.data_bytes / kMostDeflateRatio > packed.size()) {
    refuse(path,
           fmt::format("truncated: shape {} of {} needs {} bytes of data, {} bytes of gzip cannot "
                       "hold them",
                       shape_text(header.shape),
                       descr(header.type),
                       header.data_bytes,
                       packed.size()));
  }
  Spool data(folder);
  PaceCounter unpacked(pace, "unpacking", header.data_bytes, 1);
  std::size_t to_skip = header.data_offset;
  gunzip_blocks(path, packed, [&](std::span<const std::byte> block) {
    const std::size_t skipped = std::min(to_skip, block.size());
    to_skip -= skipped;
    block = block.subspan(skipped);
    const std::size_t room = header.data_bytes + 1 - data.size();
    data.append(block.first(std::min(block.size(), room)));
    unpacked.add(block.size());
    return data.size() <= header.data_bytes;
  });
  check_data_size(path, header, data.size());
  return data.take(header.type, header.shape);
}

/// A whole .npy file; `append_data` is given the open file.
template <typename F>
void write_array(const std::filesystem::path& path, const std::string& preamble, F&& append_data) {
  const auto write = [&](auto&& file) {
    file.append(preamble);
    append_data(file);
    file.commit();
  };
  if (path.extension() == ".gz") {
    write(GzipFile(path));
  } else {
    write(AtomicFile(path));
  }
}

template <typename From, typename To, typename File>
void append_as(File& file, const NpyArray& array, PaceCounter& written) {
  std::vector<To> block;
  for (std::size_t first = 0; first < array.count(); first += kBlock) {
    block.resize(std::min(kBlock, array.count() - first));
    for (std::size_t i = 0; i < block.size(); ++i) {
      block[i] = static_cast<To>(to_int64(number_at<From>(array.data().data(), first + i)));
    }
    file.append({reinterpret_cast<const char*>(block.data()), block.size() * sizeof(To)});
    written.add(block.size());
  }
}

}  // namespace

NpyArray::NpyArray(NumberType type, std::vector<std::int64_t> shape, std::vector<std::byte> data)
    : type_(type), shape_(std::move(shape)), owned_(std::move(data)) {
  std::size_t bytes = bytes_per_number(type);
  for (const std::int64_t n : shape_) {
    bytes *= static_cast<std::size_t>(n);
  }
  MOESIM_CHECK(bytes == owned_.size(), "the data does not fill the shape " + shape_text(shape_));
}

NpyArray::NpyArray(NpyHeader header, MappedFile file)
    : type_(header.type),
      shape_(std::move(header.shape)),
      data_offset_(header.data_offset),
      file_(std::move(file)) {}

std::span<const std::byte> NpyArray::data() const {
  return file_ ? file_->content().subspan(data_offset_) : std::span<const std::byte>(owned_);
}

NpyArray read_npy(const std::filesystem::path& path,
                  const std::filesystem::path& scratch,
                  const Pace& pace) {
  MappedFile file(path);
  if (is_gzip(file.content())) {
    return read_packed(path, file.content(), scratch.empty() ? scratch_folder() : scratch, pace);
  }
  NpyHeader header = parse_npy_header(path, file.content());
  check_data_size(path, header, file.content().size() - header.data_offset);
  return {std::move(header), std::move(file)};
}

std::string npy_preamble(NumberType type, std::span<const std::int64_t> shape) {
  constexpr std::size_t kAlignment = 64;  // NumPy pads the header so that the data is aligned
  constexpr std::size_t kPreamble = 10;
  std::string header = fmt::format(
      "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", descr(type), shape_text(shape));
  const std::size_t unpadded = kPreamble + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xffU);
  file += static_cast<char>(header.size() >> 8U);
  return file + header;
}

void write_npy(const std::filesystem::path& path, const NpyArray& array, const Pace& pace) {
  PaceCounter written(pace, "writing", array.data().size(), 1);
  write_array(path, npy_preamble(array.type(), array.shape()), [&](auto& file) {
    for (std::size_t at = 0; at < array.data().size(); at += kBlock) {
      const auto block = array.data().subspan(at, std::min(kBlock, array.data().size() - at));
      file.append({reinterpret_cast<const char*>(block.data()), block.size()});
      written.add(block.size());
    }
  });
}

void write_npy_as(const std::filesystem::path& path,
                  const NpyArray& array,
                  NumberType type,
                  const Pace& pace) {
  MOESIM_CHECK(type == NumberType::kU1 || type == NumberType::kU2, "u1 or u2");
  if (array.type() == type) {
    write_npy(path, array, pace);
    return;
  }
  PaceCounter written(pace, "writing", array.count(), 1);
  write_array(path, npy_preamble(type, array.shape()), [&](auto& file) {
    visit_integer_type(array.type(), [&](auto zero) {
      if (type == NumberType::kU1) {
        append_as<decltype(zero), std::uint8_t>(file, array, written);
      } else {
        append_as<decltype(zero), std::uint16_t>(file, array, written);
      }
    });
  });
}

float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16U;
  const std::uint32_t exponent = (bits >> 10U) & 0x1fU;
  const std::uint32_t mantissa = bits & 0x3ffU;
  if (exponent == 0x1fU) {  // infinity and NaN
    return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13U));
  }
  if (exponent == 0) {  // zero and subnormal: mantissa * 2^-24
    const float size = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -size : size;
  }
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23U) | (mantissa << 13U));
}

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16U) & 0x8000U);
  const std::uint32_t size = bits & 0x7fffffffU;
  if (size > 0x7f800000U) {  // NaN
    return static_cast<std::uint16_t>(sign | 0x7e00U);
  }
  if (size >= 0x477ff000U) {  // 65520 and more round to infinity
    return static_cast<std::uint16_t>(sign | 0x7c00U);
  }
  if (size < 0x38800000U) {  // below 2^-14: adding 0.5 rounds to a multiple of 2^-24
    const float shifted = std::bit_cast<float>(size) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000U));
  }
  const std::uint32_t odd = (size >> 13U) & 1U;
  return static_cast<std::uint16_t>(sign | ((size - 0x38000000U + 0xfffU + odd) >> 13U));
}

}  // namespace moesim::traces
