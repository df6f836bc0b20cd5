// SPDX-License-Identifier: Apache-2.0
// One dense GEMM through cuBLASLt: what the device reaches at best in a type.
#pragma once

#include <memory>

#include "gpu_ref/device/blas.hpp"
#include "gpu_ref/measure/case.hpp"

namespace moesim::measure {

struct LtShape {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t inner = 0;
};

/// y = x w^T, x [rows, inner] and w [columns, inner] in the type, y [rows, columns] bf16, sums in
/// f32; fp8 without scales.
class LtGemm {
 public:
  /// Takes the first algorithm that cuBLASLt names. Throws CaseSkipped when it names none.
  LtGemm(gpu_ref::Blas& blas, ElementType type, const LtShape& shape);
  ~LtGemm();
  LtGemm(const LtGemm&) = delete;
  LtGemm& operator=(const LtGemm&) = delete;

  /// Enqueues on the stream of `blas`.
  void run(gpu_ref::Blas& blas, const void* x, const void* w, void* y) const;

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

}  // namespace moesim::measure
