// SPDX-License-Identifier: Apache-2.0
// A CUDA stream and a CUDA event, owned. Both belong to the device current at construction.
#pragma once

#include "gpu_ref/device/handles.hpp"
#include "sim/core/units.hpp"

namespace moesim::gpu_ref {

/// A point in a stream, timed.
class Event {
 public:
  Event();
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(StreamHandle stream);
  /// Blocks the host until the recorded point is reached.
  void wait() const;
  /// Device time from `start` to this one; both recorded and reached. Resolution about 0.5 us.
  [[nodiscard]] Seconds since(const Event& start) const;
  [[nodiscard]] EventHandle handle() const { return handle_; }

 private:
  EventHandle handle_ = nullptr;
};

/// A stream that does not synchronise with the default stream.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Blocks the host until everything enqueued so far is done; throws what failed in it.
  void wait() const;
  /// Work enqueued from now on waits for the event.
  void wait_for(const Event& event);
  [[nodiscard]] StreamHandle handle() const { return handle_; }

 private:
  StreamHandle handle_ = nullptr;
};

}  // namespace moesim::gpu_ref
