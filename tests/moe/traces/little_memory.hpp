// SPDX-License-Identifier: Apache-2.0
// A limit for tests of recordings far larger than the memory that may be taken. MOESIM_LARGE_GB
// sets their size (a quarter if it is not set); bench/README.md tells of 10.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MOESIM_TEST_HAS_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MOESIM_TEST_HAS_ASAN
#endif

namespace moesim::traces {

inline constexpr rlim_t kMemory = rlim_t{24} << 20U;  // less than the narrowest copy of the ids

inline std::int64_t large_bytes() {
  const char* const gigabytes = std::getenv("MOESIM_LARGE_GB");
  return gigabytes == nullptr ? 250'000'000 : std::int64_t{1'000'000'000} * std::atoi(gigabytes);
}

/// Writable memory of this process now, in bytes (VmData).
inline rlim_t writable_memory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "VmData:") {
      rlim_t kilobytes = 0;
      status >> kilobytes;
      return kilobytes * 1024;
    }
  }
  return 0;
}

/// While it lives the process can take kMemory more. Files that are mapped to be read do not count.
/// Without effect under the address sanitizer, which needs more for itself.
class LittleMemory {
 public:
  LittleMemory() {
    EXPECT_EQ(::getrlimit(RLIMIT_DATA, &before_), 0);
    [[maybe_unused]] const rlimit little{.rlim_cur = writable_memory() + kMemory,
                                         .rlim_max = before_.rlim_max};
#ifndef MOESIM_TEST_HAS_ASAN
    EXPECT_EQ(::setrlimit(RLIMIT_DATA, &little), 0);
#endif
  }
  LittleMemory(const LittleMemory&) = delete;
  LittleMemory& operator=(const LittleMemory&) = delete;
  ~LittleMemory() {
    ::setrlimit(RLIMIT_DATA, &before_);
  }

 private:
  rlimit before_{};
};

}  // namespace moesim::traces
