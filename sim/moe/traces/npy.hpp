// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy arrays, plain (memory-mapped) or .npy.gz, and a writer.
// Read: format 1.0, 2.0 and 3.0; little-endian u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8; C order. Nothing
// else, above all no pickled objects. Format: numpy.lib.format of the NumPy manual.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "sim/core/pace.hpp"
#include "sim/moe/traces/mapped_file.hpp"

namespace moesim::traces {

enum class NumberType { kU1, kI1, kU2, kI2, kU4, kI4, kU8, kI8, kF2, kF4, kF8 };

/// As NumPy writes it: "|u1", "<u2", ...
[[nodiscard]] std::string_view descr(NumberType type);
[[nodiscard]] std::size_t bytes_per_number(NumberType type);
[[nodiscard]] bool is_integer(NumberType type);

/// The header of a .npy file.
struct NpyHeader {
  NumberType type = NumberType::kU1;
  std::vector<std::int64_t> shape;
  std::size_t data_offset = 0;
  std::size_t data_bytes = 0;
};

/// Reads the header at the start of `content`. Throws UserError naming `path`.
[[nodiscard]] NpyHeader parse_npy_header(const std::filesystem::path& path,
                                         std::span<const std::byte> content);

/// "(3, 24, 4)", as NumPy writes it.
[[nodiscard]] std::string shape_text(std::span<const std::int64_t> shape);

/// An array of numbers: owned, or a view of a mapped file that it keeps open. Immutable.
class NpyArray {
 public:
  NpyArray(NumberType type, std::vector<std::int64_t> shape, std::vector<std::byte> data);
  NpyArray(NpyHeader header, MappedFile file);

  [[nodiscard]] NumberType type() const { return type_; }
  [[nodiscard]] const std::vector<std::int64_t>& shape() const { return shape_; }
  [[nodiscard]] std::size_t axes() const { return shape_.size(); }
  /// Numbers along `axis`.
  [[nodiscard]] std::size_t size(std::size_t axis) const {
    return static_cast<std::size_t>(shape_[axis]);
  }
  [[nodiscard]] std::span<const std::byte> data() const;
  /// Numbers in the whole array.
  [[nodiscard]] std::size_t count() const { return data().size() / bytes_per_number(type_); }

 private:
  NumberType type_;
  std::vector<std::int64_t> shape_;
  std::size_t data_offset_ = 0;
  std::vector<std::byte> owned_;
  std::optional<MappedFile> file_;
};

/// Throws EnvironmentError if the file cannot be read, UserError if it is not an array we read.
/// @param scratch  where a large .gz is unpacked to; empty: scratch_folder() of spool.hpp
[[nodiscard]] NpyArray read_npy(const std::filesystem::path& path,
                                const std::filesystem::path& scratch = {},
                                const Pace& pace = {});

/// The bytes of a .npy file, format 1.0, before its data.
[[nodiscard]] std::string npy_preamble(NumberType type, std::span<const std::int64_t> shape);

/// Writes `path` atomically, gzipped if its name ends in ".gz". Nothing but a block of it is
/// copied.
void write_npy(const std::filesystem::path& path, const NpyArray& array, const Pace& pace = {});

/// The same with whole numbers written as u1 or u2; every one of them fits.
void write_npy_as(const std::filesystem::path& path,
                  const NpyArray& array,
                  NumberType type,
                  const Pace& pace = {});

/// An owned array of numbers held in memory.
template <typename T>
NpyArray make_array(NumberType type, std::vector<std::int64_t> shape, const std::vector<T>& v) {
  const auto bytes = std::as_bytes(std::span(v));
  return {type, std::move(shape), {bytes.begin(), bytes.end()}};
}

/// Number i of raw data of C++ type T; the data may be unaligned, as in a mapped file.
template <typename T>
T number_at(const std::byte* data, std::size_t i) {
  T value;
  std::memcpy(&value, data + i * sizeof(T), sizeof(T));
  return value;
}

/// Any integer that a pack may hold as int64; callers have ruled out what does not fit.
template <typename T>
std::int64_t to_int64(T value) {
  if constexpr (std::is_same_v<T, std::int8_t>) {
    return std::int64_t{static_cast<std::int16_t>(value)};  // a number here, not a character
  } else {
    return static_cast<std::int64_t>(value);
  }
}

/// Calls f(T{}) with the C++ type of an integer array; false (not called) for floating point.
template <typename F>
bool visit_integer_type(NumberType type, F&& f) {
  switch (type) {
    case NumberType::kU1:
      return f(std::uint8_t{}), true;
    case NumberType::kI1:
      return f(std::int8_t{}), true;
    case NumberType::kU2:
      return f(std::uint16_t{}), true;
    case NumberType::kI2:
      return f(std::int16_t{}), true;
    case NumberType::kU4:
      return f(std::uint32_t{}), true;
    case NumberType::kI4:
      return f(std::int32_t{}), true;
    case NumberType::kU8:
      return f(std::uint64_t{}), true;
    case NumberType::kI8:
      return f(std::int64_t{}), true;
    case NumberType::kF2:
    case NumberType::kF4:
    case NumberType::kF8:
      return false;
  }
  return false;
}

/// IEEE half precision, given by its bits, as float. Exact.
[[nodiscard]] float half_to_float(std::uint16_t bits);
/// To the nearest half, ties to even; too large becomes infinity.
[[nodiscard]] std::uint16_t float_to_half(float value);

}  // namespace moesim::traces
