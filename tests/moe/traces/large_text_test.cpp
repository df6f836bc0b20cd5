// SPDX-License-Identifier: Apache-2.0
// Text and counts far larger than the memory that may be taken. Unlike ids they cannot be sparse: a
// tenth of the size.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/import.hpp"
#include "tests/moe/traces/fixture.hpp"
#include "tests/moe/traces/little_memory.hpp"

namespace moesim::traces {
namespace {

constexpr std::int64_t kExperts = 256;

/// Writes line(0), line(1), ... until there are so many bytes; returns how many lines.
template <typename File, typename Line>
std::int64_t write_lines(File&& file, const Line& line, std::int64_t bytes) {
  std::int64_t lines = 0;
  for (std::int64_t written = 0; written < bytes; ++lines) {
    const std::string text = line(lines);
    file.append(text);
    written += static_cast<std::int64_t>(text.size());
  }
  file.commit();
  return lines;
}

std::string ids_from(std::int64_t first, std::int64_t count) {
  std::string ids;
  for (std::int64_t slot = 0; slot < count; ++slot) {
    ids += fmt::format("{}{}", slot == 0 ? "[" : ",", (first + slot) % kExperts);
  }
  return ids + "]";
}

ImportOptions plain_options() {
  ImportOptions options;
  options.experts = kExperts;
  options.plain = true;
  return options;
}

/// The first slot of a token in a layer.
int first_id(const NpyArray& ids, std::int64_t token, std::int64_t layer) {
  const auto row = static_cast<std::size_t>(token) * ids.size(1) + static_cast<std::size_t>(layer);
  return number_at<std::uint8_t>(ids.data().data(), row * ids.size(2));
}

TEST(LargeText, JsonLinesOfMixedRequestsAreImportedWithoutHoldingThem) {
  const ScratchDir dir;
  const std::int64_t tokens = write_lines(
      GzipFile(dir / "x.jsonl.gz"),
      [](std::int64_t token) {
        return fmt::format(R"({{"phase":"decode","request_id":"r{}","routing":)"
                           R"([{{"layer_index":0,"expert_ids":{}}}]}}{})",
                           token % 2,
                           ids_from(token + 6, 250),
                           '\n');
      },
      large_bytes() / 15);
  const LittleMemory little;
  EXPECT_EQ(import_trace(dir / "x.jsonl.gz", dir / "p", plain_options()).tokens, tokens);
  const NpyArray ids = read_npy(dir / "p/topk.npy");
  ASSERT_EQ(ids.shape(), (std::vector<std::int64_t>{tokens, 1, 250}));
  const std::int64_t other = (tokens + 1) / 2;  // where request r1 begins
  EXPECT_EQ(first_id(ids, 3, 0), 2 * 3 + 6);
  EXPECT_EQ(first_id(ids, other + 3, 0), 2 * 3 + 1 + 6);
}

TEST(LargeText, RecordsOfLayersAreImportedWithoutHoldingThem) {
  const ScratchDir dir;
  const auto record = [](std::int64_t step, std::int64_t layer) {
    std::string tokens;
    for (std::int64_t token = 0; token < 16; ++token) {
      tokens +=
          fmt::format("{}{}", token == 0 ? "[" : ",", ids_from(2 * step + layer + 8 * token, 8));
    }
    return fmt::format(R"({{"step":0,"layer":{},"rank":0,"num_tokens":16,"top_indices":{}]}}{})",
                       layer,
                       tokens,
                       '\n');
  };
  const std::int64_t pairs = write_lines(
      AtomicFile(dir / "x.jsonl"),
      [&](std::int64_t pair) { return record(pair, 0) + record(pair, 1); },
      large_bytes() / 15);
  const LittleMemory little;
  EXPECT_EQ(import_trace(dir / "x.jsonl", dir / "p", plain_options()).tokens, 16 * pairs);
  const NpyArray ids = read_npy(dir / "p/topk.npy");
  EXPECT_EQ(first_id(ids, 16 * 3 + 5, 1), 2 * 3 + 1 + 8 * 5);
}

TEST(LargeText, RowsOfOtherDomainsAreReadWithoutHoldingThem) {
  const ScratchDir dir;
  const auto line = [](std::int64_t number) {
    return fmt::format("{}d{},0,{},100\n",
                       number == 0 ? "domain,layer,expert,count\n" : "",
                       number / 8,
                       number % 8);
  };
  write_lines(AtomicFile(dir / "x.csv"), line, large_bytes() / 50);
  ImportOptions options;
  options.top_k = 2;
  options.domain = "d7";
  const LittleMemory little;
  EXPECT_EQ(import_trace(dir / "x.csv", dir / "p", options).steps, 1);
}

TEST(LargeText, CountsAreImportedWithoutHoldingThem) {
  const ScratchDir dir;
  const std::int64_t steps = large_bytes() / 6 / (2 * kExperts * 4);
  const std::vector<std::int64_t> shape = {steps, 2, kExperts};
  AtomicFile file(dir / "counts.npy");
  file.append(npy_preamble(NumberType::kU4, shape));
  std::vector<std::uint32_t> row(kExperts);
  for (std::int64_t i = 0; i < 2 * steps; ++i) {
    row.assign(row.size(), static_cast<std::uint32_t>(1 + i % 200));
    file.append({reinterpret_cast<const char*>(row.data()), row.size() * 4});
  }
  file.commit();
  ImportOptions options = plain_options();
  options.top_k = 2;
  const LittleMemory little;
  EXPECT_EQ(import_trace(dir / "counts.npy", dir / "p", options).steps, steps);
  const NpyArray counts = read_npy(dir / "p/counts.npy");
  EXPECT_EQ(counts.type(), NumberType::kU1);
  EXPECT_EQ(number_at<std::uint8_t>(counts.data().data(), 2 * kExperts * 5), 1 + 10);
}

TEST(LargeText, LoadsOfMindieAreImportedWithoutHoldingThem) {
  const ScratchDir dir;
  constexpr std::int64_t kOfARank = 2000;
  const std::int64_t bytes = large_bytes() / 50;
  std::int64_t layers = 0;
  for (const char* name : {"dump/decode_0.csv", "dump/decode_1.csv"}) {
    const auto line = [&](std::int64_t layer) {
      // The first numbers tell the layers apart: copies would be refused.
      std::string text = fmt::format("{}.0,{},{}", 1 + layer % 9, layer / 9 % 10, layer / 90);
      for (std::int64_t expert = 3; expert < kOfARank; ++expert) {
        text += fmt::format(",{}", (layer + expert) % 10);
      }
      return text + "\n";
    };
    layers = write_lines(AtomicFile(dir / name), line, bytes);
  }
  ImportOptions options;
  options.top_k = 1;
  options.plain = true;
  const LittleMemory little;
  EXPECT_EQ(import_trace(dir / "dump", dir / "p", options).steps, 1);
  const NpyArray counts = read_npy(dir / "p/counts.npy");
  ASSERT_EQ(counts.shape(), (std::vector<std::int64_t>{1, layers, 2 * kOfARank}));
  const auto row = static_cast<std::size_t>(2 * kOfARank * 7);
  EXPECT_EQ(number_at<std::uint8_t>(counts.data().data(), row), 1 + 7);
  EXPECT_EQ(number_at<std::uint8_t>(counts.data().data(), row + kOfARank + 5), (7 + 5) % 10);
}

// Its counts are a hole but for the first layers: experts that nobody asked for.
TEST(LargeText, AnImportanceMatrixIsReadWithoutHoldingIt) {
  const ScratchDir dir;
  constexpr std::uint64_t kOfALayer = 65'534;
  const auto layers = static_cast<std::uint64_t>(large_bytes() / 4) / kOfALayer;
  const auto number = [](auto value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const auto text = [&](const std::string& s) { return number(std::uint64_t{s.size()}) + s; };
  AtomicFile file(dir / "x.gguf");
  file.append("GGUF" + number(std::uint32_t{3}) + number(layers) + number(std::uint64_t{0}));
  for (std::uint64_t layer = 0; layer < layers; ++layer) {
    file.append(text(fmt::format("blk.{}.ffn_gate_exps.weight.counts", layer)) +
                number(std::uint32_t{1}) + number(kOfALayer) + number(std::uint32_t{0}) +
                number(layer * kOfALayer * 4));
  }
  file.commit();
  const auto header = (std::filesystem::file_size(dir / "x.gguf") + 31) / 32 * 32;
  std::filesystem::resize_file(dir / "x.gguf", header + layers * kOfALayer * 4);
  ImportOptions options;
  options.top_k = 1;
  const LittleMemory little;
  EXPECT_NE(user_error(dir, [&] { (void)import_trace(dir / "x.gguf", dir / "p", options); })
                .find("layers that are copies of earlier ones"),
            std::string::npos);
}

}  // namespace
}  // namespace moesim::traces
