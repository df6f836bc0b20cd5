// SPDX-License-Identifier: Apache-2.0
// Device memory, owned.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "gpu_ref/device/handles.hpp"

namespace moesim::gpu_ref {

/// Bytes of device memory, 256-byte aligned (cudaMalloc); none for 0 bytes. Freeing waits for the
/// device, so buffers are made before what is timed.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(std::size_t bytes);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Enqueued on the stream. From pageable host memory the upload returns once the source may be
/// reused; the download waits for the stream, so the destination is filled on return.
void copy_to_device(void* device, const void* host, std::size_t bytes, StreamHandle stream);
void copy_to_host(void* host, const void* device, std::size_t bytes, StreamHandle stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, StreamHandle stream);
/// Blocks the host until everything enqueued on the stream is done.
void wait_for_stream(StreamHandle stream);
/// Sets every byte; tests poison outputs with 0xff (NaN in float, bf16 and fp8).
void fill_bytes(void* device, int byte, std::size_t bytes, StreamHandle stream);

/// `size` elements of T in device memory.
template <typename T>
class DeviceBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t size) : memory_(size * sizeof(T)), size_(size) {}
  DeviceBuffer(std::span<const T> values, StreamHandle stream) : DeviceBuffer(values.size()) {
    upload(values, stream);
  }

  [[nodiscard]] T* data() const { return static_cast<T*>(memory_.data()); }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Makes room for `size` elements; keeps the memory when it has it. Contents are lost otherwise.
  void reserve(std::size_t size) {
    if (size * sizeof(T) > memory_.bytes()) {
      memory_ = DeviceMemory();
      memory_ = DeviceMemory(size * sizeof(T));
    }
    size_ = size;
  }
  /// values.size() <= size()
  void upload(std::span<const T> values, StreamHandle stream) {
    copy_to_device(data(), values.data(), values.size_bytes(), stream);
  }
  [[nodiscard]] std::vector<T> download(StreamHandle stream) const {
    std::vector<T> values(size_);
    copy_to_host(values.data(), data(), size_ * sizeof(T), stream);
    return values;
  }
  void fill(int byte, StreamHandle stream) { fill_bytes(data(), byte, size_ * sizeof(T), stream); }

 private:
  DeviceMemory memory_;
  std::size_t size_ = 0;
};

}  // namespace moesim::gpu_ref
