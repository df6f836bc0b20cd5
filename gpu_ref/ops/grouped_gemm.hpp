// SPDX-License-Identifier: Apache-2.0
// The experts' GEMMs in bf16: one cuBLAS call a stage, whatever the number of experts.
#pragma once

#include <span>
#include <vector>

#include "gpu_ref/device/blas.hpp"
#include "gpu_ref/formats.hpp"
#include "gpu_ref/ops/gemm_problems.hpp"

namespace moesim::gpu_ref {

/// The operands of a pass, on the device, by the names of GemmPass:
/// kForward reads w and x and writes y; kInputGradient reads w and y (as dY) and writes x (as dX);
/// kWeightGradient reads x and y (as dY) and writes w (as dW).
struct GroupedOperands {
  Bf16* w = nullptr;  ///< [groups, outer, inner]
  Bf16* x = nullptr;  ///< [rows, inner]
  Bf16* y = nullptr;  ///< [rows, outer]
};

/// One stage of an expert FFN, planned once the row counts are known on the host: descriptors on
/// the host, pointer arrays on the device. Products in bf16, sums in f32, results in bf16. Computes
/// 2 rows outer inner FLOPs. Moves 2 (rows (inner + outer) + busy groups * outer inner) bytes.
class GroupedGemm {
 public:
  /// Uploads the pointers on blas.stream() and waits for that.
  GroupedGemm(Blas& blas,
              GemmPass pass,
              const GroupedShape& shape,
              const GroupedOperands& operands);

  /// Enqueues the stage: one cublasGemmGroupedBatchedEx, none if no group has rows. kWeightGradient
  /// zeroes the gradients of groups without rows (one memset a run of such groups).
  void run(Blas& blas) const;

  [[nodiscard]] int num_problems() const { return static_cast<int>(problems_.size()); }

 private:
  struct ZeroRun {
    Bf16* begin = nullptr;
    std::size_t bytes = 0;
  };

  std::vector<GemmProblem> problems_;
  std::vector<ZeroRun> zero_runs_;
  DeviceBuffer<const void*> a_;
  DeviceBuffer<const void*> b_;
  DeviceBuffer<void*> c_;
};

}  // namespace moesim::gpu_ref
