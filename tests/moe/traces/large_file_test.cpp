// SPDX-License-Identifier: Apache-2.0
// Recordings far larger than the memory that may be taken. Files are sparse: they cost no disk.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <fstream>
#include <new>

#include "sim/moe/traces/import.hpp"
#include "tests/moe/traces/fixture.hpp"
#include "tests/moe/traces/little_memory.hpp"

namespace moesim::traces {
namespace {

constexpr std::int64_t kLayers = 61;
constexpr std::int64_t kExperts = 256;

/// [tokens, kLayers, 1]: 64 tokens with experts of their own in every layer, then a hole, which
/// reads as expert 0. Returns the tokens.
template <typename T>
std::int64_t write_sparse_ids(const std::filesystem::path& path,
                              NumberType type,
                              std::int64_t bytes = large_bytes()) {
  const std::int64_t tokens = bytes / kLayers / static_cast<std::int64_t>(sizeof(T));
  const std::string preamble = npy_preamble(type, std::vector<std::int64_t>{tokens, kLayers, 1});
  std::vector<T> start;
  for (std::int64_t token = 0; token < 64; ++token) {
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
      start.push_back(static_cast<T>((token * (layer + 1)) % kExperts));
    }
  }
  std::ofstream file(path, std::ios::binary);
  file << preamble;
  file.write(reinterpret_cast<const char*>(start.data()),
             static_cast<std::streamsize>(start.size() * sizeof(T)));
  file.close();
  const auto numbers = static_cast<std::uintmax_t>(tokens) * kLayers;
  std::filesystem::resize_file(path, preamble.size() + numbers * sizeof(T));
  return tokens;
}

TEST(LargeFiles, TheLimitOfTheseTestsBites) {
#ifdef MOESIM_TEST_HAS_ASAN
  GTEST_SKIP() << "the sanitizer ends the process where memory is refused";
#else
  const LittleMemory little;
  EXPECT_THROW(std::vector<char>(2 * kMemory), std::bad_alloc);
#endif
}

TEST(LargeFiles, APackIsCheckedAndReplayedWithoutHoldingIt) {
  const ScratchDir dir;
  write_file_atomically(dir / "p/pack.json",
                        R"({"format": "moesim-route-pack", "version": 1, "model": "m",
                            "experts": 256, "top_k": 1, "layers": 61})");
  const std::int64_t tokens = write_sparse_ids<std::int32_t>(dir / "p/topk.npy", NumberType::kI4);
  write_file_atomically(
      dir / "p/sequences.csv",
      "sequence,row_start,rows,domain,source\n0,0," + std::to_string(tokens) + ",,\n");
  const LittleMemory little;
  const auto source = open_routing_source({.trace = (dir / "p").string(), .domains = {}}, 1, 64, 1);
  EXPECT_EQ(source->route(0, 2).experts[5], 15);                                  // 5 * 3
  EXPECT_EQ(source->route(static_cast<int>(tokens / 64) - 1, 60).experts[5], 0);  // in the hole
}

TEST(LargeFiles, ADumpIsImportedWithoutHoldingIt) {
  const ScratchDir dir;
  const std::int64_t tokens = write_sparse_ids<std::int64_t>(dir / "ids.npy", NumberType::kI8);
  ImportOptions options;
  options.experts = kExperts;
  options.plain = true;
  const LittleMemory little;
  EXPECT_EQ(import_trace(dir / "ids.npy", dir / "p", options).tokens, tokens);
  const NpyArray ids = read_npy(dir / "p/topk.npy");
  EXPECT_EQ(ids.type(), NumberType::kU1);
  EXPECT_EQ(ids.shape()[0], tokens);
  EXPECT_EQ(number_at<std::uint8_t>(ids.data().data(), 5 * kLayers + 2), 15);
}

/// Fewer ids, still more than fits, as .npy.gz.
std::int64_t write_packed_ids(const ScratchDir& dir) {
  const std::int64_t tokens =
      write_sparse_ids<std::int32_t>(dir / "plain.npy", NumberType::kI4, large_bytes() / 4);
  write_npy(dir / "ids.npy.gz", read_npy(dir / "plain.npy"));
  return tokens;
}

TEST(LargeFiles, AGzippedDumpIsImportedWithoutHoldingIt) {
  const ScratchDir dir;
  const std::int64_t tokens = write_packed_ids(dir);
  ImportOptions options;
  options.experts = kExperts;
  options.plain = true;
  const LittleMemory little;
  EXPECT_EQ(import_trace(dir / "ids.npy.gz", dir / "p", options).tokens, tokens);
  const NpyArray ids = read_npy(dir / "p/topk.npy");
  EXPECT_EQ(ids.shape()[0], tokens);
  EXPECT_EQ(number_at<std::uint8_t>(ids.data().data(), 5 * kLayers + 2), 15);
}

TEST(LargeFiles, RowsAreLeftOutWithoutHoldingTheOthers) {
  const ScratchDir dir;
  const std::int64_t tokens =
      write_sparse_ids<std::int32_t>(dir / "ids.npy", NumberType::kI4, large_bytes() / 4);
  write_file_atomically(dir / "index.csv",
                        "row_start,rows\n2," + std::to_string(tokens - 2) + "\n");
  ImportOptions options;
  options.experts = kExperts;
  options.plain = true;
  options.index = dir / "index.csv";
  const LittleMemory little;
  EXPECT_EQ(import_trace(dir / "ids.npy", dir / "p", options).tokens, tokens - 2);
  const NpyArray ids = read_npy(dir / "p/topk.npy");
  EXPECT_EQ(number_at<std::uint8_t>(ids.data().data(), 3 * kLayers + 2), 15);
}

TEST(LargeFiles, AGzippedPackIsReplayedWithoutHoldingIt) {
  const ScratchDir dir;
  const std::int64_t tokens = write_packed_ids(dir);
  write_file_atomically(dir / "p/pack.json",
                        R"({"format": "moesim-route-pack", "version": 1, "model": "m",
                            "experts": 256, "top_k": 1, "layers": 61})");
  std::filesystem::rename(dir / "ids.npy.gz", dir / "p/topk.npy.gz");
  write_file_atomically(
      dir / "p/sequences.csv",
      "sequence,row_start,rows,domain,source\n0,0," + std::to_string(tokens) + ",,\n");
  const LittleMemory little;
  const auto source = open_routing_source({.trace = (dir / "p").string(), .domains = {}}, 1, 64, 1);
  EXPECT_EQ(source->route(0, 2).experts[5], 15);
}

TEST(LargeFiles, AScratchFolderThatIsNotThereIsNamed) {
  const ScratchDir dir;
  write_packed_ids(dir);
  EXPECT_NO_THROW((void)read_npy(dir / "ids.npy.gz", dir / "not/there"));  // the one above it
  const std::string proc = "/proc/self";
  try {
    (void)read_npy(dir / "ids.npy.gz", proc);
    FAIL() << "nobody can make files there";
  } catch (const EnvironmentError& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("cannot create /proc/self/.moesim-"));
  }
}

}  // namespace
}  // namespace moesim::traces
