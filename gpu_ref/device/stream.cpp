// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/device/stream.hpp"

#include <cuda_runtime.h>

#include <utility>

#include "gpu_ref/device/check.hpp"

namespace moesim::gpu_ref {
namespace {

constexpr double kSecondsPerMillisecond = 1e-3;

}  // namespace

Event::Event() {
  MOESIM_CUDA_CHECK(cudaEventCreate(&handle_));
}

Event::~Event() {
  if (handle_ != nullptr) {
    MOESIM_CUDA_IGNORE(cudaEventDestroy(handle_));
  }
}

Event::Event(Event&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Event& Event::operator=(Event&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void Event::record(StreamHandle stream) {
  MOESIM_CUDA_CHECK(cudaEventRecord(handle_, stream));
}

void Event::wait() const {
  MOESIM_CUDA_CHECK(cudaEventSynchronize(handle_));
}

Seconds Event::since(const Event& start) const {
  float milliseconds = 0;
  MOESIM_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start.handle_, handle_));
  return seconds(static_cast<double>(milliseconds) * kSecondsPerMillisecond);
}

Stream::Stream() {
  MOESIM_CUDA_CHECK(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking));
}

Stream::~Stream() {
  if (handle_ != nullptr) {
    MOESIM_CUDA_IGNORE(cudaStreamDestroy(handle_));
  }
}

Stream::Stream(Stream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void Stream::wait() const {
  MOESIM_CUDA_CHECK(cudaStreamSynchronize(handle_));
}

void Stream::wait_for(const Event& event) {
  MOESIM_CUDA_CHECK(cudaStreamWaitEvent(handle_, event.handle(), 0));
}

}  // namespace moesim::gpu_ref
