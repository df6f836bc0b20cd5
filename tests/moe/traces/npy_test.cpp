// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/npy.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "sim/moe/traces/gzip.hpp"
#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {
namespace {

/// A .npy file with any dictionary, which our writer would not write.
std::string file_with(const std::string& dictionary, const std::string& data, char major = 1) {
  std::string file = std::string("\x93NUMPY") + major + '\0';
  file += static_cast<char>(dictionary.size() & 0xffU);
  file += static_cast<char>(dictionary.size() >> 8U);
  if (major > 1) {
    file += std::string(2, '\0');
  }
  return file + dictionary + data;
}

std::string refusal(const std::string& content, const char* name = "x.npy") {
  const ScratchDir dir;
  write_file_atomically(dir / name, content);
  return user_error(dir, [&] { (void)read_npy(dir / name); });
}

std::string header(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

TEST(Npy, WritesTheBytesThatNumPyWrites) {
  // numpy.save of arange(6, dtype=uint8).reshape(1, 2, 3): 10 bytes, then a header padded to 128.
  const auto array = make_array<std::uint8_t>(NumberType::kU1, {1, 2, 3}, {0, 1, 2, 3, 4, 5});
  std::string bytes = npy_preamble(array.type(), array.shape());
  bytes.append(reinterpret_cast<const char*>(array.data().data()), array.data().size());
  std::string expected = std::string("\x93NUMPY\x01\x00\x76\x00", 10) +
                         "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 3), }";
  expected += std::string(128 - 1 - expected.size(), ' ') + "\n";
  expected += std::string("\x00\x01\x02\x03\x04\x05", 6);
  EXPECT_EQ(bytes, expected);
}

TEST(Npy, ReadsBackEveryNumberTypePlainAndPacked) {
  const ScratchDir dir;
  for (int i = 0; i <= static_cast<int>(NumberType::kF8); ++i) {
    const auto type = static_cast<NumberType>(i);
    std::vector<std::byte> data(6 * bytes_per_number(type));
    for (std::size_t b = 0; b < data.size(); ++b) {
      data[b] = static_cast<std::byte>(b * 7 + 1);
    }
    const NpyArray array(type, {2, 3}, data);
    for (const char* name : {"a.npy", "a.npy.gz"}) {
      write_npy(dir / name, array);
      const NpyArray back = read_npy(dir / name);
      EXPECT_EQ(back.type(), type);
      EXPECT_EQ(back.shape(), (std::vector<std::int64_t>{2, 3}));
      EXPECT_TRUE(std::equal(data.begin(), data.end(), back.data().begin(), back.data().end()))
          << name << " " << descr(type);
    }
  }
}

TEST(Npy, ReadsVersionsTwoAndThree) {
  const ScratchDir dir;
  for (const char major : {'\x02', '\x03'}) {
    write_file_atomically(dir / "v.npy", file_with(header("<u2", "(2,)"), "abcd", major));
    EXPECT_EQ(read_npy(dir / "v.npy").shape(), std::vector<std::int64_t>{2});
  }
}

TEST(Npy, ReadsScalarsEmptyArraysAndKeysInAnyOrder) {
  const ScratchDir dir;
  write_file_atomically(dir / "s.npy", file_with(header("<u1", "()"), "a"));
  EXPECT_EQ(read_npy(dir / "s.npy").axes(), 0U);
  write_file_atomically(
      dir / "e.npy", file_with("{\"shape\":(0,5),\"fortran_order\":False,\"descr\":\"<f8\"}", ""));
  EXPECT_EQ(read_npy(dir / "e.npy").count(), 0U);
}

TEST(Npy, PackedFilesAreTheSameEveryTime) {
  EXPECT_EQ(gzip("some text"), gzip("some text"));
  EXPECT_EQ(gzip("some text").substr(4, 4), std::string(4, '\0'));  // the time
}

TEST(Npy, MovedMappedArraysKeepTheirNumbers) {
  const ScratchDir dir;
  write_npy(dir / "a.npy", make_array<std::uint8_t>(NumberType::kU1, {3}, {7, 8, 9}));
  NpyArray first = read_npy(dir / "a.npy");
  const NpyArray second = std::move(first);
  EXPECT_EQ(number_at<std::uint8_t>(second.data().data(), 2), 9);
}

TEST(Npy, RefusesTruncatedFilesWithTheBytesFoundAndExpected) {
  EXPECT_EQ(refusal("\x93NUM"), "x.npy: error: truncated: the .npy header needs 10 bytes, found 4");
  EXPECT_EQ(refusal(std::string("\x93NUMPY\x02\x00\x08\x00", 10)),
            "x.npy: error: truncated: the .npy header needs 12 bytes, found 10");
  EXPECT_EQ(refusal(file_with(header("<u2", "(2,)"), "").substr(0, 30)),
            "x.npy: error: truncated: the .npy header needs 68 bytes, found 30");
  EXPECT_EQ(refusal(file_with(header("<u2", "(2,)"), "abc")),
            "x.npy: error: truncated: shape (2,) of <u2 needs 4 bytes of data, found 3");
  EXPECT_EQ(refusal(gzip(file_with(header("<u2", "(2,)"), "abc"))),
            "x.npy: error: truncated: shape (2,) of <u2 needs 4 bytes of data, found 3");
  const std::string packed = gzip(file_with(header("<u2", "(2,)"), "abcd"));
  EXPECT_EQ(refusal(packed.substr(0, packed.size() - 8)),
            "x.npy: error: truncated: the gzip stream ends after 72 bytes of content");
}

TEST(Npy, RefusesFilesThatAreNotArrays) {
  EXPECT_EQ(refusal("PK\x03\x04zip"),
            "x.npy: error: not a .npy file: it starts with \"PK\\x03\\x04zi\", expected "
            "\"\\x93NUMPY\"");
  EXPECT_EQ(refusal(file_with(header("<u2", "(2,)"), "abcd", 9)),
            "x.npy: error: version 9.0 of .npy is unknown; expected 1.0, 2.0 or 3.0");
  EXPECT_EQ(refusal(file_with(header("<u2", "(2,)"), "abcde")),
            "x.npy: error: bytes follow the array: shape (2,) of <u2 needs 4 bytes of data");
  std::string broken = gzip(file_with(header("<u2", "(2,)"), "abcd"));
  broken[broken.size() - 6] = static_cast<char>(broken[broken.size() - 6] ^ 1);  // the checksum
  EXPECT_EQ(refusal(broken),
            "x.npy: error: damaged: the gzip stream breaks after 72 bytes of content");
}

TEST(Npy, RefusesNumbersThatAreNotLittleEndianPlainNumbers) {
  EXPECT_EQ(refusal(file_with(header("|O", "(2,)"), "\x80\x04")),
            "x.npy: error: pickled Python objects are never read; save the array with a number "
            "type");
  EXPECT_EQ(refusal(file_with(header(">u2", "(2,)"), "abcd")),
            "x.npy: error: big-endian numbers (\">u2\") are not read; save the array as "
            "little-endian");
  EXPECT_EQ(refusal(file_with(header("<c8", "(2,)"), "abcd")),
            "x.npy: error: numbers of type \"<c8\" are not read; expected u1, i1, u2, i2, u4, i4, "
            "u8, i8, f2, f4 or f8");
  EXPECT_EQ(
      refusal(file_with("{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (1,)}", "ab")),
      "x.npy: error: structured arrays are not read; save each field as its own array");
  EXPECT_EQ(refusal(file_with("{'descr': '<u2', 'fortran_order': True, 'shape': (2, 1)}", "abcd")),
            "x.npy: error: Fortran order is not read; save numpy.ascontiguousarray of it");
}

TEST(Npy, RefusesHeadersThatAreNotDictionariesOfTheThreeKeys) {
  EXPECT_EQ(refusal(file_with("{'descr': __import__('os')}", "")),
            "x.npy: error: the .npy header cannot be read at its character 11");
  EXPECT_EQ(refusal(file_with("{'descr': '<u2', 'shape': (2,)}", "abcd")),
            "x.npy: error: the .npy header lacks one of the keys descr, fortran_order, shape");
  EXPECT_EQ(refusal(file_with("{'colour': 'red'}", "")),
            "x.npy: error: the .npy header has the unknown key \"colour\"");
  EXPECT_EQ(refusal(file_with(header("<u2", "(-2,)"), "abcd")),
            "x.npy: error: the .npy header cannot be read at its character 52");
  EXPECT_EQ(refusal(std::string("\x93NUMPY\x02\x00\xff\xff\xff\x7f", 12)),
            "x.npy: error: the .npy header claims 2147483647 bytes; at most 65536 are read");
}

TEST(Npy, ABillionTokensDeclaredInTenBytesAllocateNothing) {
  const std::string billion = header("<u2", "(1000000000, 61, 8)");
  EXPECT_EQ(refusal(file_with(billion, "0123456789")),
            "x.npy: error: truncated: shape (1000000000, 61, 8) of <u2 needs 976000000000 bytes of "
            "data, found 10");
  const std::string packed = gzip(file_with(billion, "0123456789"));
  EXPECT_EQ(refusal(packed),
            "x.npy: error: truncated: shape (1000000000, 61, 8) of <u2 needs 976000000000 bytes of "
            "data, " +
                std::to_string(packed.size()) + " bytes of gzip cannot hold them");
  EXPECT_EQ(refusal(file_with(header("<u8", "(4294967296, 4294967296)"), "")),
            "x.npy: error: shape (4294967296, 4294967296) is larger than any memory");
}

TEST(Npy, SaysWhyAFileCannotBeRead) {
  const ScratchDir dir;
  EXPECT_EQ(error_text<EnvironmentError>(dir, [&] { (void)read_npy(dir / "no.npy"); }),
            "cannot read no.npy: No such file or directory");
  std::filesystem::create_directory(dir / "folder");
  EXPECT_EQ(error_text<EnvironmentError>(dir, [&] { (void)read_npy(dir / "folder"); }),
            "cannot read folder: Is a directory");
  EXPECT_EQ(refusal(""), "x.npy: error: truncated: the .npy header needs 10 bytes, found 0");
}

TEST(HalfPrecision, EveryFiniteHalfSurvivesTheWayThroughFloat) {
  int finite = 0;
  for (std::uint32_t bits = 0; bits <= 0xffffU; ++bits) {
    const float value = half_to_float(static_cast<std::uint16_t>(bits));
    if (std::isfinite(value)) {
      ASSERT_EQ(float_to_half(value), bits);
      ++finite;
    }
  }
  EXPECT_EQ(finite, 2 * 31 * 1024);
}

TEST(HalfPrecision, KnownValues) {
  EXPECT_EQ(half_to_float(0x3c00), 1.0F);
  EXPECT_EQ(half_to_float(0xc000), -2.0F);
  EXPECT_EQ(half_to_float(0x7bff), 65504.0F);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24F);
  EXPECT_TRUE(std::isinf(half_to_float(0x7c00)));
  EXPECT_TRUE(std::isnan(half_to_float(0x7e00)));
  EXPECT_EQ(float_to_half(1.0F + 0x1p-11F), 0x3c00);  // tie, to even
  EXPECT_EQ(float_to_half(1.0F + 0x1p-11F + 0x1p-20F), 0x3c01);
  EXPECT_EQ(float_to_half(1e9F), 0x7c00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::quiet_NaN()), 0x7e00);
}

}  // namespace
}  // namespace moesim::traces
