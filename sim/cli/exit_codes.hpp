// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

namespace moesim::cli {

enum ExitCode { kDone = 0, kEnvironment = 1, kUserMistake = 2, kOurBug = 70, kInterrupted = 130 };

struct ExitMeaning {
  ExitCode code = kDone;
  std::string_view words;
};
inline constexpr std::array kExitMeanings = {ExitMeaning{kDone, "done"},
                                             ExitMeaning{kEnvironment, "environment"},
                                             ExitMeaning{kUserMistake, "user's mistake"},
                                             ExitMeaning{kOurBug, "our bug"},
                                             ExitMeaning{kInterrupted, "interrupted"}};

}  // namespace moesim::cli
