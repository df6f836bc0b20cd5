// SPDX-License-Identifier: Apache-2.0
// The CPU stand-in of cuBLASLt knows only the block-scaled FP8 GEMM of the layer.
#include "gpu_ref/measure/lt_gemm.hpp"
#include "gpu_ref/measure/mistake.hpp"

namespace moesim::measure {

struct LtGemm::Plan {};

LtGemm::LtGemm(gpu_ref::Blas& /*blas*/, ElementType /*type*/, const LtShape& /*shape*/) {
  throw CaseSkipped("the stand-in has no dense GEMM");
}

LtGemm::~LtGemm() = default;

void LtGemm::run(gpu_ref::Blas& /*blas*/, const void* /*x*/, const void* /*w*/, void* /*y*/) const {
}

}  // namespace moesim::measure
