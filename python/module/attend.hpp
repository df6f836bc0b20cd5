// SPDX-License-Identifier: Apache-2.0
// Long work of a Python call, in a thread of its own and without the GIL, while the calling thread
// answers Ctrl-C and tells progress.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace moesim::python {

/// The latest progress of some work; posted from any thread.
class ProgressBoard {
 public:
  void post(std::string_view what, std::int64_t done, std::int64_t total);
  /// Calls tell(what, done, total) if there is news. Needs the GIL.
  void tell(const pybind11::object& tell);

 private:
  std::mutex mutex_;
  bool news_ = false;
  std::string what_;
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
};

/// Runs `work`; what it throws is thrown here. `cancelled` is set as soon as Python wants to end
/// the call: Ctrl-C, or an exception in `progress`. That Python error comes back, or is thrown
/// where the work did not come to an end of its own.
/// @param progress  a callable (what, done, total), called on this thread; or None
[[nodiscard]] std::optional<pybind11::error_already_set> attend(const std::function<void()>& work,
                                                                std::atomic<bool>& cancelled,
                                                                ProgressBoard& board,
                                                                const pybind11::object& progress);

}  // namespace moesim::python
