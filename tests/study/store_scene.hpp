// SPDX-License-Identifier: Apache-2.0
// A result store in a folder of its own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "sim/study/result_store.hpp"

namespace moesim {

class StoreScene : public testing::Test {
 protected:
  StoreScene() {
    static std::atomic<int> made{0};
    folder_ = std::filesystem::temp_directory_path() /
              ("moesim_store_" + std::to_string(::getpid()) + "_" + std::to_string(made++));
    std::filesystem::create_directories(folder_);
    store_ = open();
  }
  ~StoreScene() override {
    store_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  [[nodiscard]] std::filesystem::path file() const { return folder_ / "results.sqlite"; }
  [[nodiscard]] std::unique_ptr<ResultStore> open() const {
    return std::make_unique<ResultStore>(file(), ResultStore::Mode::kWrite);
  }
  [[nodiscard]] ResultStore& store() const { return *store_; }

  /// A study of one key n with a point for each key; "" is refused.
  void enter(const std::vector<std::string>& keys) const {
    std::vector<PointEntry> points;
    for (const std::string& key : keys) {
      points.push_back({.key = key,
                        .message = key.empty() ? "refused at once" : "",
                        .settings = {{"n", static_cast<std::int64_t>(points.size())}}});
    }
    store().enter({.name = "study", .keys = {"n"}, .metrics = {"time_s", "size"}}, points);
  }
  void finish(const std::string& key,
              std::vector<Metric> metrics,
              const std::string& report) const {
    store().finish(key, {.refused = false, .text = report, .metrics = std::move(metrics)}, 0.25);
  }
  [[nodiscard]] std::vector<std::string> states() const {
    std::vector<std::string> states;
    for (const PointRecord& point : store().points("study")) {
      states.emplace_back(to_text(point.state));
    }
    return states;
  }

 private:
  std::filesystem::path folder_;
  std::unique_ptr<ResultStore> store_;
};

}  // namespace moesim
