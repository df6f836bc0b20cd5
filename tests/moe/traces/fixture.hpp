// SPDX-License-Identifier: Apache-2.0
// What the trace tests share: folders that vanish, small packs, the words of an error.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::traces {

/// A folder of this test program, removed at the end of its scope.
class ScratchDir {
 public:
  ScratchDir() {
    static std::atomic<int> made{0};
    path_ = std::filesystem::temp_directory_path() /
            ("moesim_traces_" + std::to_string(::getpid()) + "_" + std::to_string(made++));
    std::filesystem::create_directories(path_);
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  ~ScratchDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The error's text, without the scratch folder's name; "" if nothing was thrown.
template <typename Error, typename F>
std::string error_text(const ScratchDir& dir, F&& f) {
  try {
    f();
  } catch (const Error& error) {
    std::string text = error.what();
    const std::string prefix = dir.path().string() + "/";
    for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
      text.erase(at, prefix.size());
    }
    return text;
  }
  return "";
}

template <typename F>
std::string user_error(const ScratchDir& dir, F&& f) {
  return error_text<UserError>(dir, std::forward<F>(f));
}

inline std::string bytes_text(const std::vector<std::uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

/// Three sequences "a" (3 rows), "b" (2), "a" (5); 2 layers, 8 experts, top_k 2. Token t visits
/// experts t % 8 and (t + 1) % 8 in layer 0, t % 8 and (t + 3) % 8 in layer 1.
inline RoutePack small_pack(const std::filesystem::path& folder, bool with_weights) {
  constexpr int kTokens = 10;
  std::vector<std::uint8_t> ids;
  std::vector<float> weights;
  for (int t = 0; t < kTokens; ++t) {
    for (const int step : {1, 3}) {
      ids.push_back(static_cast<std::uint8_t>(t % 8));
      ids.push_back(static_cast<std::uint8_t>((t + step) % 8));
      weights.push_back(0.5F + static_cast<float>(t) / 64.0F);
      weights.push_back(0.25F);
    }
  }
  RoutePack pack{.folder = folder,
                 .header = {.model = "toy",
                            .experts = 8,
                            .top_k = 2,
                            .layers = 2,
                            .first_moe_layer = 1,
                            .slot_order = "weight_descending",
                            .phase = "prefill",
                            .source = "a test",
                            .licence = "none",
                            .expert_ids = "logical",
                            .seed = 7,
                            .axes = {}},
                 .topk = make_array(NumberType::kU1, {kTokens, 2, 2}, ids),
                 .weights = {},
                 .sequences = {{0, 3, "a", "one"}, {3, 2, "b", "two, \"quoted\""}, {5, 5, "a", ""}},
                 .counts = {}};
  if (with_weights) {
    pack.weights = make_array(NumberType::kF4, {kTokens, 2, 2}, weights);
  }
  return pack;
}

/// The folder of real data sets, or "" when it is not here.
inline std::filesystem::path data_sets() {
  const char* const named = std::getenv("MOESIM_DATA_SETS");
  const std::filesystem::path folder =
      named != nullptr ? std::filesystem::path(named)
                       : std::filesystem::path(MOESIM_SOURCE_DIR) / ".." / "shared" / "data";
  return std::filesystem::exists(folder / "routing") ? folder : std::filesystem::path();
}

}  // namespace moesim::traces
