// SPDX-License-Identifier: Apache-2.0
// Tests that need a device. Built twice: with CUDA (label gpu, skipped without a device), and with
// the CPU stand-ins of tests/gpu_ref/emulation (always run).
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "gpu_ref/device/buffer.hpp"
#include "gpu_ref/device/devices.hpp"
#include "gpu_ref/device/stream.hpp"
#include "tests/gpu_ref/support.hpp"

namespace moesim::gpu_ref::testing {

class OnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (attached_gpus() == 0) {
      GTEST_SKIP() << "no GPU is attached";
    }
    use_device(0);
    stream_.emplace();
  }

  [[nodiscard]] StreamHandle stream() const { return stream_->handle(); }

  template <typename T>
  [[nodiscard]] DeviceBuffer<T> on_device(const std::vector<T>& values) const {
    return DeviceBuffer<T>(values, stream());
  }

  /// An output filled with NaN (0xff): what no kernel writes fails every comparison.
  template <typename T>
  [[nodiscard]] DeviceBuffer<T> poisoned(std::size_t size) const {
    DeviceBuffer<T> buffer(size);
    buffer.fill(0xff, stream());
    return buffer;
  }

 private:
  std::optional<Stream> stream_;
};

}  // namespace moesim::gpu_ref::testing
