// SPDX-License-Identifier: Apache-2.0
#include "python/module/attend.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <thread>

namespace py = pybind11;

namespace moesim::python {
namespace {

/// How often Python gets a chance to interrupt.
constexpr std::chrono::milliseconds kLook{50};

class Worker {
 public:
  explicit Worker(const std::function<void()>& work) : thread_([this, &work] { run(work); }) {}

  /// Whether the work has ended, after a while.
  bool wait() {
    const py::gil_scoped_release release;
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, kLook, [this] { return has_ended_; });
  }

  /// What the work threw.
  std::exception_ptr join() {
    const py::gil_scoped_release release;
    thread_.join();
    return failure_;
  }

 private:
  void run(const std::function<void()>& work) {
    try {
      work();
    } catch (...) {
      failure_ = std::current_exception();
    }
    const std::scoped_lock lock(mutex_);
    has_ended_ = true;
    ended_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace

void ProgressBoard::post(std::string_view what, std::int64_t done, std::int64_t total) {
  const std::scoped_lock lock(mutex_);
  news_ = true;
  what_ = what;
  done_ = done;
  total_ = total;
}

void ProgressBoard::tell(const py::object& tell) {
  std::unique_lock lock(mutex_);
  if (!news_) {
    return;
  }
  news_ = false;
  const py::str what(what_);
  const std::int64_t done = done_;
  const std::int64_t total = total_;
  lock.unlock();
  tell(what, done, total);
}

std::optional<py::error_already_set> attend(const std::function<void()>& work,
                                            std::atomic<bool>& cancelled,
                                            ProgressBoard& board,
                                            const py::object& progress) {
  std::optional<py::error_already_set> stop;
  const auto tell = [&] {
    if (!progress.is_none()) {
      board.tell(progress);
    }
  };
  const auto listen = [&] {
    try {
      if (PyErr_CheckSignals() != 0) {
        throw py::error_already_set();
      }
      tell();
    } catch (py::error_already_set& error) {
      stop.emplace(error);
      cancelled = true;
    }
  };
  Worker worker(work);
  while (!worker.wait()) {
    if (!stop) {
      listen();
    }
  }
  const std::exception_ptr failure = worker.join();
  if (failure && stop) {
    throw py::error_already_set(*stop);
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
  if (!stop) {
    tell();
  }
  return stop;
}

}  // namespace moesim::python
