// SPDX-License-Identifier: Apache-2.0
// DualPipe's order of passes.
#include <algorithm>
#include <array>
#include <deque>

#include "sim/core/check.hpp"
#include "sim/step/pipeline.hpp"

namespace moesim {
namespace {

/// Writes the passes of one stage. Side 0 is the direction that enters nearer to the stage.
class StageOrder {
 public:
  StageOrder(const PipelineShape& shape, int stage) {
    const int far_end = shape.stages - 1 - stage;
    const bool second_half = stage > far_end;
    for (int side = 0; side < 2; ++side) {
      const bool reverse = (side == 1) != second_half;  // enters at the last stage
      Side& s = sides_[static_cast<std::size_t>(side)];
      s.part = reverse ? far_end : stage;
      s.next_forward = s.next_backward = reverse ? shape.micro_batches / 2 : 0;
    }
  }

  void forward(int side) {
    PipelineOp op;
    put_forward(op, side);
    ops.push_back(op);
  }
  void backward(int side, bool inputs_only = false) {
    PipelineOp op;
    put_backward(op, side);
    op.inputs_only = inputs_only;
    if (inputs_only) {
      left_.push_back(op);
    }
    ops.push_back(op);
  }
  void pair(int forward_side, int backward_side) {
    PipelineOp op;
    put_forward(op, forward_side);
    put_backward(op, backward_side);
    ops.push_back(op);
  }
  /// The oldest gradients of weights that are left.
  void weights() {
    MOESIM_CHECK(!left_.empty(), "gradients of weights follow those of inputs");
    PipelineOp op;
    op.weights = left_.front().backward;
    op.weights_batch = left_.front().backward_batch;
    left_.pop_front();
    ops.push_back(op);
  }
  [[nodiscard]] bool has_weights() const { return !left_.empty(); }

  std::vector<PipelineOp> ops;

 private:
  struct Side {
    int part = 0;
    int next_forward = 0;
    int next_backward = 0;
  };
  void put_forward(PipelineOp& op, int side) {
    Side& s = sides_[static_cast<std::size_t>(side)];
    op.forward = s.part;
    op.forward_batch = s.next_forward++;
  }
  void put_backward(PipelineOp& op, int side) {
    Side& s = sides_[static_cast<std::size_t>(side)];
    op.backward = s.part;
    op.backward_batch = s.next_backward++;
  }

  std::array<Side, 2> sides_;
  std::deque<PipelineOp> left_;
};

}  // namespace

std::vector<PipelineOp> dualpipe_order(const PipelineShape& shape, int stage) {
  MOESIM_CHECK(shape.stages % 2 == 0 && shape.virtual_stages == 1, "dualpipe has pairs of stages");
  MOESIM_CHECK(shape.micro_batches % 2 == 0 && shape.micro_batches >= 2 * shape.stages,
               "dualpipe has an even number of micro-batches, two a stage at least");
  constexpr int kNear = 0;
  constexpr int kFar = 1;
  const int h = std::min(stage, shape.stages - 1 - stage);
  const int to_middle = shape.stages / 2 - h - 1;
  StageOrder order(shape, stage);
  for (int i = 0; i < 2 * to_middle; ++i) {
    order.forward(kNear);
  }
  for (int i = 0; i < h + 1; ++i) {
    order.forward(kNear);
    order.forward(kFar);
  }
  for (int i = 0; i < to_middle; ++i) {
    order.backward(kFar, true);
    order.weights();
    order.forward(kFar);
  }
  for (int i = 0; i < shape.micro_batches / 2 - shape.stages + h + 1; ++i) {
    if (i == 0 && to_middle == 0) {
      order.forward(kNear);
      order.backward(kFar);
    } else {
      order.pair(kNear, kFar);
    }
    order.pair(kFar, kNear);
  }
  for (int i = 0; i < to_middle; ++i) {
    order.backward(kFar);
    order.pair(kFar, kNear);
  }
  bool inputs_only = false;
  for (int i = 0; i < h + 1; ++i) {
    const bool middle = i == (h + 1) / 2;
    inputs_only = inputs_only || (middle && h % 2 == 1);
    order.backward(kFar, inputs_only);
    inputs_only = inputs_only || (middle && h % 2 == 0);
    order.backward(kNear, inputs_only);
  }
  for (int i = 0; i < to_middle; ++i) {
    order.weights();
    order.backward(kNear, true);
  }
  while (order.has_weights()) {
    order.weights();
  }
  return std::move(order.ops);
}

}  // namespace moesim
