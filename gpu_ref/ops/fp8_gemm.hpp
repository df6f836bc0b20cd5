// SPDX-License-Identifier: Apache-2.0
// The experts' GEMMs in FP8 with block scales: one cuBLASLt call for every expert with rows, since
// cuBLAS 13 groups no FP8 GEMMs with 128-wide scales.
#pragma once

#include <memory>

#include "gpu_ref/device/blas.hpp"
#include "gpu_ref/formats.hpp"
#include "gpu_ref/ops/gemm_problems.hpp"

namespace moesim::gpu_ref {

/// Rows of a group in the FP8 path are a multiple of this (cuBLASLt's block scale modes).
constexpr int kFp8RowMultiple = 4;

/// Operands on the device; rows of X and Y are grouped by shape.row_begin.
struct Fp8Operands {
  const Fp8* w = nullptr;           ///< [groups, outer, inner]
  const float* w_scales = nullptr;  ///< as quantise_weights leaves them
  const Fp8* x = nullptr;           ///< [rows, inner]
  const float* x_scales = nullptr;  ///< as transpose_scales leaves them
  Bf16* y = nullptr;                ///< [rows, outer]
};

/// y = x w^T of every group with rows.
/// shape: outer and inner multiples of kScaleBlock, every group's rows of kFp8RowMultiple.
/// Computes 2 rows outer inner FLOPs. Moves rows (inner + inner / 32 + 2 outer) bytes, and outer
/// inner a busy group.
class Fp8GroupedGemm {
 public:
  /// Asks cuBLASLt for an algorithm a group; throws EnvironmentError when the device has none.
  Fp8GroupedGemm(Blas& blas, const GroupedShape& shape, const Fp8Operands& operands);
  ~Fp8GroupedGemm();
  Fp8GroupedGemm(Fp8GroupedGemm&&) noexcept;
  Fp8GroupedGemm& operator=(Fp8GroupedGemm&&) noexcept;

  void run(Blas& blas) const;

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

/// Whether cuBLASLt has an algorithm for such GEMMs on the current device (Hopper has, CUDA 12.9
/// on).
[[nodiscard]] bool has_fp8_block_gemm(Blas& blas);

}  // namespace moesim::gpu_ref
