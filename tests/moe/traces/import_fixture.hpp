// SPDX-License-Identifier: Apache-2.0
// One import a test: a folder, options, and what comes out.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "sim/moe/traces/import.hpp"
#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {

/// The bytes of a number.
template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

class Import : public testing::Test {
 protected:
  Import() {
    options_.model = "toy";
    options_.experts = 8;
    // Tokens 0..9 visit t % 8 and (t + 1) % 8, then t % 8 and (t + 3) % 8.
    write_npy(dir_ / "ids.npy", *small_pack("", false).topk);
  }
  ImportReport run(const char* input) { return import_trace(dir_ / input, dir_ / "p", options_); }
  [[nodiscard]] std::string refusal(const char* input) {
    std::string text = user_error(dir_, [&] { (void)run(input); });
    EXPECT_FALSE(std::filesystem::exists(dir_ / "p"));
    return text;
  }
  void write(const char* name, const std::string& text) {
    write_file_atomically(dir_ / name, text);
  }
  [[nodiscard]] RoutePack pack() const { return read_pack(dir_ / "p"); }

  ScratchDir dir_;
  ImportOptions options_;
};

}  // namespace moesim::traces
