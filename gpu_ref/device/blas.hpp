// SPDX-License-Identifier: Apache-2.0
// cuBLAS and cuBLASLt handles bound to one stream, with a workspace of their own.
#pragma once

#include "gpu_ref/device/buffer.hpp"
#include "gpu_ref/device/handles.hpp"

namespace moesim::gpu_ref {

/// Recommended by cuBLAS for Hopper.
constexpr std::size_t kBlasWorkspaceBytes = std::size_t{32} << 20U;

/// All GEMMs of one stream. Not for use by two threads at once.
class Blas {
 public:
  explicit Blas(StreamHandle stream);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  [[nodiscard]] BlasHandle handle() const { return handle_; }
  [[nodiscard]] BlasLtHandle lt_handle() const { return lt_handle_; }
  [[nodiscard]] StreamHandle stream() const { return stream_; }
  [[nodiscard]] void* workspace() const { return workspace_.data(); }

 private:
  DeviceMemory workspace_;
  StreamHandle stream_ = nullptr;
  BlasHandle handle_ = nullptr;
  BlasLtHandle lt_handle_ = nullptr;
};

}  // namespace moesim::gpu_ref
