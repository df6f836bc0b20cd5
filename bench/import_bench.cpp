// SPDX-License-Identifier: Apache-2.0
// Import and validation of .npy expert ids, in assignments a second of one core: DeepSeek-V2-Lite's
// shape (26 layers, top-6 of 64), 131,072 tokens in memory of the page cache, drawn once.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/moe/traces/import.hpp"

namespace {

using namespace moesim;
namespace fs = std::filesystem;

constexpr std::int64_t kTokens = 131'072;
constexpr std::int64_t kLayers = 26;
constexpr std::int64_t kExperts = 64;
constexpr std::int64_t kTopK = 6;

/// A folder with the dump, removed at the end.
class Dump {
 public:
  explicit Dump(traces::NumberType type)
      : folder_(fs::temp_directory_path() / ("moesim_import_bench" + std::to_string(::getpid()))) {
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> experts(kExperts);
    for (std::size_t e = 0; e < experts.size(); ++e) {
      experts[e] = static_cast<std::int32_t>(e);
    }
    RngStream rng(1, "import_bench");
    for (std::int64_t row = 0; row < kTokens * kLayers; ++row) {
      for (std::size_t slot = 0; slot < kTopK; ++slot) {
        std::swap(experts[slot], experts[slot + rng.below(experts.size() - slot)]);
        ids.push_back(experts[slot]);
      }
    }
    fs::create_directories(folder_);
    const auto array = traces::make_array(traces::NumberType::kI4, {kTokens, kLayers, kTopK}, ids);
    if (type == traces::NumberType::kU1) {
      traces::write_npy_as(input(), array, type);
    } else {
      traces::write_npy(input(), array);
    }
  }
  Dump(const Dump&) = delete;
  Dump& operator=(const Dump&) = delete;
  ~Dump() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  [[nodiscard]] fs::path input() const { return folder_ / "ids.npy"; }
  [[nodiscard]] fs::path pack() const { return folder_ / "pack"; }

 private:
  fs::path folder_;
};

traces::ImportOptions options(bool plain) {
  traces::ImportOptions options;
  options.experts = kExperts;
  options.overwrite = true;
  options.plain = plain;
  return options;
}

void import_ids(benchmark::State& state, traces::NumberType type, bool plain) {
  const Dump dump(type);
  for (auto _ : state) {
    (void)traces::import_trace(dump.input(), dump.pack(), options(plain));
  }
  state.SetItemsProcessed(state.iterations() * kTokens * kLayers * kTopK);
}

void open_pack(benchmark::State& state, bool plain) {
  const Dump dump(traces::NumberType::kU1);
  (void)traces::import_trace(dump.input(), dump.pack(), options(plain));
  for (auto _ : state) {
    benchmark::DoNotOptimize(traces::read_pack(dump.pack()));
  }
  state.SetItemsProcessed(state.iterations() * kTokens * kLayers * kTopK);
}

BENCHMARK_CAPTURE(import_ids, u1_to_plain, traces::NumberType::kU1, true)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(import_ids, i4_to_plain, traces::NumberType::kI4, true)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(import_ids, u1_to_gzip, traces::NumberType::kU1, false)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(open_pack, plain, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(open_pack, gzip, false)->Unit(benchmark::kMillisecond);

}  // namespace
