// SPDX-License-Identifier: Apache-2.0
// Work in many equal parts that tells its pace every so many of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sim/core/pace.hpp"

namespace moesim {

class PaceCounter {
 public:
  /// @param work  a literal   @param total  parts; 0: not known
  /// @param every  parts between two tellings, few enough for a fraction of a second
  PaceCounter(const Pace& pace, std::string_view work, std::size_t total, std::size_t every = 1024)
      : pace_(pace), work_(work), total_(total), every_(every), due_(every) {
    tell_pace();  // work that is soon done is heard of, too
  }

  /// So many more parts are done. May throw what the pace throws.
  void add(std::size_t parts = 1) {
    done_ += parts;
    if (done_ >= due_) {
      due_ = done_ + every_;
      tell_pace();
    }
  }

 private:
  void tell_pace() const {
    tell(pace_, work_, static_cast<std::int64_t>(done_), static_cast<std::int64_t>(total_));
  }

  const Pace& pace_;
  std::string_view work_;
  std::size_t total_;
  std::size_t every_;
  std::size_t done_ = 0;
  std::size_t due_;
};

}  // namespace moesim
