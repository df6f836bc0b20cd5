// SPDX-License-Identifier: Apache-2.0
#include "sim/step/program.hpp"

#include <algorithm>

namespace moesim {
namespace {

class Writer {
 public:
  Writer(const ModelShape& model, const PassShape& pass)
      : model_(model),
        pass_(pass),
        yields_(pass.overlap == Overlap::kTwoBatch || pass.overlap == Overlap::kDualPipe) {}

  void forward_layer(int layer) {
    if (layer > 0) {
      gather(layer, false);
    }
    add(Op::kAttention, layer, false);
    gather(layer, false);
    if (!is_moe_layer(model_, layer)) {
      gather(layer, false);
      add(Op::kDense, layer, false);
      gather(layer, false);
      return;
    }
    add(Op::kGate, layer, false);
    exchange_experts(layer, false);
    add(Op::kReduce, layer, false);
  }

  void backward_layer(int layer) {
    if (pass_.recompute == Recompute::kFull) {
      forward_layer(layer);
    }
    if (is_moe_layer(model_, layer)) {
      add(Op::kReduce, layer, true);
      exchange_experts(layer, true);
      add(Op::kGate, layer, true);
    } else {
      gather(layer, true);
      add(Op::kDense, layer, true);
      gather(layer, true);
    }
    gather(layer, true);
    add(Op::kAttention, layer, true);
    if (layer > 0) {
      gather(layer, true);
    }
  }

  void add(Op op, int layer, bool backward) { program.push_back({op, layer, backward}); }

  Program program;

 private:
  void gather(int layer, bool backward) {
    if (pass_.tp > 1) {
      add(Op::kGather, layer, backward);
    }
  }
  void yield(int layer, bool backward) {
    if (yields_) {
      add(Op::kYield, layer, backward);
    }
  }
  void shared(int layer, bool backward) {
    if (model_.shared_experts > 0) {
      add(Op::kShared, layer, backward);
    }
  }

  /// From the dispatch to what runs beside the combine.
  void exchange_experts(int layer, bool backward) {
    const bool beside_dispatch = pass_.overlap == Overlap::kSharedExpert;
    add(Op::kDispatch, layer, backward);
    if (beside_dispatch) {
      shared(layer, backward);
    }
    yield(layer, backward);
    add(Op::kExperts, layer, backward);
    if (!beside_dispatch && !yields_) {
      shared(layer, backward);
    }
    add(Op::kCombine, layer, backward);
    yield(layer, backward);
    if (yields_) {
      shared(layer, backward);
    }
  }

  const ModelShape& model_;
  const PassShape& pass_;
  bool yields_;
};

}  // namespace

Program forward_program(const ModelShape& model, const PassShape& pass) {
  Writer writer(model, pass);
  for (int layer = pass.layers.first; layer < pass.layers.last; ++layer) {
    writer.forward_layer(layer);
  }
  if (pass.head) {
    writer.add(Op::kHead, model.layers, false);
  }
  return std::move(writer.program);
}

Program backward_program(const ModelShape& model, const PassShape& pass) {
  Writer writer(model, pass);
  if (pass.head) {
    writer.add(Op::kHead, model.layers, true);
  }
  for (int layer = pass.layers.last; layer-- > pass.layers.first;) {
    writer.backward_layer(layer);
  }
  return std::move(writer.program);
}

std::vector<std::size_t> segments(const Program& program) {
  std::vector<std::size_t> begin = {0};
  for (std::size_t i = 0; i < program.size(); ++i) {
    if (program[i].op == Op::kYield) {
      begin.push_back(i + 1);
    }
  }
  begin.push_back(program.size());
  return begin;
}

std::vector<IssuedStep> order_of_issue(std::span<const Program> programs) {
  std::vector<std::vector<std::size_t>> begins;
  std::size_t most = 0;
  for (const Program& program : programs) {
    begins.push_back(segments(program));
    most = std::max(most, begins.back().size() - 1);
  }
  std::vector<IssuedStep> order;
  for (std::size_t turn = 0; turn < most; ++turn) {
    for (std::size_t i = 0; i < programs.size(); ++i) {
      const std::vector<std::size_t>& begin = begins[i];
      for (std::size_t s = begin[std::min(turn, begin.size() - 1)];
           turn + 1 < begin.size() && s < begin[turn + 1];
           ++s) {
        order.push_back({i, s});
      }
    }
  }
  return order;
}

}  // namespace moesim
