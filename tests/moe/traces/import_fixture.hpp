// SPDX-License-Identifier: Apache-2.0
// One import a test: a folder, options, and what comes out.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <iterator>
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
  struct Ended {};

  Import() {
    options_.model = "toy";
    options_.experts = 8;
    // Tokens 0..9 visit t % 8 and (t + 1) % 8, then t % 8 and (t + 3) % 8.
    write_npy(dir_ / "ids.npy", *small_pack("", false).topk);
  }
  /// Imports; before that, ends the same import wherever it tells how far it is.
  ImportReport run(const char* input) {
    expect_nothing_left(input);
    return import_trace(dir_ / input, dir_ / "p", options_);
  }
  [[nodiscard]] std::string refusal(const char* input) {
    std::string text = user_error(dir_, [&] { (void)run(input); });
    EXPECT_FALSE(std::filesystem::exists(dir_ / "p"));
    return text;
  }
  void write(const char* name, const std::string& text) {
    write_file_atomically(dir_ / name, text);
  }
  /// An import that its pace ends leaves neither a pack nor a part of one.
  void expect_nothing_left(const char* input) {
    ImportOptions options = options_;
    int told = 0;
    options.pace = [&](std::string_view, std::int64_t, std::int64_t) { ++told; };
    try {
      (void)import_trace(dir_ / input, dir_ / "q", options);
    } catch (const UserError&) {
      return;  // whoever asked for it looks at it
    }
    std::filesystem::remove_all(dir_ / "q");
    EXPECT_GE(told, 4) << "reading, checking and writing are told";
    const auto entries = [&] {
      const std::filesystem::directory_iterator folder(dir_.path());
      return std::distance(begin(folder), end(folder));
    };
    const auto before = entries();
    for (int end = told; end > 0; --end) {
      int left = end;
      options.pace = [&](std::string_view, std::int64_t, std::int64_t) {
        if (--left == 0) {
          throw Ended();
        }
      };
      EXPECT_THROW((void)import_trace(dir_ / input, dir_ / "q", options), Ended);
      EXPECT_EQ(entries(), before) << "ended at telling " << end << " of " << told;
    }
  }
  [[nodiscard]] RoutePack pack() const { return read_pack(dir_ / "p"); }

  ScratchDir dir_;
  ImportOptions options_;
};

}  // namespace moesim::traces
