// SPDX-License-Identifier: Apache-2.0
// The points of one sweep that are left to do, for everybody who asks: threads of this process and,
// through it, other processes of an MPI job.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sim/study/result_store.hpp"

namespace moesim {

/// How a sweep stands. Points here are results: points of a study that are alike count once.
struct SweepTally {
  std::size_t total = 0;
  std::size_t known = 0;    ///< decided before we came to them, by an earlier or another sweep
  std::size_t done = 0;     ///< simulated by us
  std::size_t refused = 0;  ///< of these two, that cannot run

  [[nodiscard]] std::size_t decided() const { return known + done; }
};

/// Hands out every point once, claimed in the store, in order. Claims are prolonged while it lives
/// and given back by give_back(); those of a killed process are taken over at once on its own
/// machine, after a minute elsewhere.
class SweepQueue {
 public:
  /// @param keys  all different, all entered in the store
  SweepQueue(ResultStore& store, std::vector<std::string> keys);
  ~SweepQueue();
  SweepQueue(const SweepQueue&) = delete;
  SweepQueue& operator=(const SweepQueue&) = delete;

  enum class Kind {
    kWork,  ///< simulate keys()[index], then finish() or give_back()
    kWait,  ///< others have claimed what is left; ask again soon
    kNone,
  };
  struct Next {
    Kind kind = Kind::kNone;
    std::size_t index = 0;
  };
  [[nodiscard]] Next next();
  void finish(std::size_t index, const Evaluation& result, double seconds);
  void give_back(std::size_t index);
  /// From now on next() says kNone.
  void stop();

  [[nodiscard]] SweepTally tally() const;
  [[nodiscard]] const std::vector<std::string>& keys() const { return keys_; }

 private:
  Next next_held();
  void keep_claims();

  ResultStore& store_;
  const std::vector<std::string> keys_;
  const std::string owner_;
  mutable std::mutex mutex_;
  std::size_t cursor_ = 0;
  std::vector<std::size_t> held_;  ///< by others when we came to them
  std::chrono::steady_clock::time_point looked_;
  bool stopped_ = false;
  SweepTally tally_;
  bool over_ = false;
  std::condition_variable wake_;
  std::thread keeper_;
};

}  // namespace moesim
