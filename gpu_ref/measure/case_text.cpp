// SPDX-License-Identifier: Apache-2.0
// Names and JSON of the cases.
#include <type_traits>

#include "gpu_ref/measure/case.hpp"

namespace moesim::measure {
namespace {

std::string n(std::int64_t value) {
  return std::to_string(value);
}

std::string word(std::string_view text) {
  return std::string(text);
}

std::string_view pass_text(const LayerInput& layer) {
  return layer.backward ? "backward" : "forward";
}

/// The part of a key between the kind and the L2 state.
struct KeyPart {
  std::string operator()(const DeviceInput& /*input*/) const { return "facts"; }
  std::string operator()(const CopyInput& c) const { return n(c.bytes); }
  std::string operator()(const GemmInput& g) const {
    return word(to_text(g.type)) + "/" + n(g.rows) + "x" + n(g.columns) + "x" + n(g.inner);
  }
  std::string operator()(const LaunchInput& l) const { return word(to_text(l.mode)); }
  std::string operator()(const RowsInput& r) const {
    std::string key("t");
    key.append(n(r.tokens)).append("/h").append(n(r.width));
    return r.experts == 0 ? key : key + "/e" + n(r.experts) + "/k" + n(r.top_k);
  }
  std::string operator()(const GroupedInput& g) const {
    return g.model + "/" + word(to_text(g.projection)) + "/" + word(to_text(g.pass)) + "/" +
           word(to_text(g.type)) + "/e" + n(static_cast<std::int64_t>(g.counts.size())) + "/r" +
           n(rows_of(g.counts)) + "/" + g.skew;
  }
  std::string operator()(const LayerInput& l) const {
    return l.model + "/" + word(pass_text(l)) + "/" + word(to_text(l.type)) + "/t" + n(l.tokens) +
           "/" + l.skew;
  }
  std::string operator()(const CollectiveInput& c) const {
    return word(to_text(c.op)) + "/n" + n(c.ranks) + "/b" + n(c.bytes) + "/" + c.skew;
  }
};

struct ToJson {
  JsonLine operator()(const DeviceInput& /*input*/) const { return {}; }
  JsonLine operator()(const CopyInput& c) const { return JsonLine().add("bytes", c.bytes); }
  JsonLine operator()(const GemmInput& g) const {
    return JsonLine()
        .add("dtype", to_text(g.type))
        .add("rows", g.rows)
        .add("columns", g.columns)
        .add("inner", g.inner);
  }
  JsonLine operator()(const LaunchInput& l) const {
    return JsonLine().add("mode", to_text(l.mode));
  }
  JsonLine operator()(const RowsInput& r) const {
    if (r.op == RowOp::kQuantise) {
      return JsonLine().add("rows", r.tokens).add("hidden", r.width);
    }
    if (r.op == RowOp::kActivation) {
      return JsonLine().add("rows", r.tokens).add("width", r.width);
    }
    return JsonLine()
        .add("tokens", r.tokens)
        .add("hidden", r.width)
        .add("experts", r.experts)
        .add("top_k", r.top_k);
  }
  JsonLine operator()(const GroupedInput& g) const {
    return JsonLine()
        .add("model", g.model)
        .add("projection", to_text(g.projection))
        .add("pass", to_text(g.pass))
        .add("dtype", to_text(g.type))
        .add("columns", g.columns)
        .add("inner", g.inner)
        .add("experts", static_cast<std::int64_t>(g.counts.size()))
        .add("rows", rows_of(g.counts))
        .add("skew", g.skew)
        .add("counts", g.counts);
  }
  JsonLine operator()(const LayerInput& l) const {
    return JsonLine()
        .add("model", l.model)
        .add("tokens", l.tokens)
        .add("hidden", l.hidden)
        .add("width", l.width)
        .add("experts", static_cast<std::int64_t>(l.counts.size()))
        .add("top_k", l.top_k)
        .add("dtype", to_text(l.type))
        .add("pass", pass_text(l))
        .add("skew", l.skew)
        .add("rows", rows_of(l.counts))
        .add("counts", l.counts);
  }
  JsonLine operator()(const CollectiveInput& c) const {
    JsonLine json;
    json.add("op", to_text(c.op))
        .add("ranks", c.ranks)
        .add("processes", c.processes)
        .add("bytes", c.bytes)
        .add("skew", c.skew);
    return c.send_bytes.empty() ? json : json.add_json("send_bytes", matrix(c));
  }

  static std::string matrix(const CollectiveInput& c) {
    std::string text = "[";
    for (std::size_t i = 0; i < c.send_bytes.size(); ++i) {
      const bool row_begin = i % static_cast<std::size_t>(c.ranks) == 0;
      text += i == 0 ? "[" : (row_begin ? "],[" : ",");
      text += n(c.send_bytes[i]);
    }
    return text + "]]";
  }
};

struct KindOf {
  std::string operator()(const DeviceInput& /*input*/) const { return "device"; }
  std::string operator()(const CopyInput& /*input*/) const { return "copy"; }
  std::string operator()(const GemmInput& /*input*/) const { return "gemm"; }
  std::string operator()(const LaunchInput& /*input*/) const { return "launch"; }
  std::string operator()(const RowsInput& rows) const { return word(to_text(rows.op)); }
  std::string operator()(const GroupedInput& /*input*/) const { return "grouped_gemm"; }
  std::string operator()(const LayerInput& /*input*/) const { return "layer"; }
  std::string operator()(const CollectiveInput& /*input*/) const { return "collective"; }
};

}  // namespace

std::string_view to_text(ElementType type) {
  return type == ElementType::kBf16 ? "bf16" : "fp8";
}

std::string_view to_text(Pass pass) {
  switch (pass) {
    case Pass::kForward:
      return "forward";
    case Pass::kBackwardInput:
      return "backward_input";
    case Pass::kBackwardWeight:
      break;
  }
  return "backward_weight";
}

std::string_view to_text(Projection projection) {
  return projection == Projection::kGateUp ? "gate_up" : "down";
}

std::string_view to_text(LaunchMode mode) {
  switch (mode) {
    case LaunchMode::kStream:
      return "stream";
    case LaunchMode::kGraph:
      return "graph";
    case LaunchMode::kHost:
      break;
  }
  return "host";
}

std::string_view to_text(RowOp op) {
  switch (op) {
    case RowOp::kGate:
      return "gate";
    case RowOp::kPermute:
      return "permute";
    case RowOp::kCombine:
      return "combine";
    case RowOp::kQuantise:
      return "quantise";
    case RowOp::kActivation:
      break;
  }
  return "activation";
}

std::string_view to_text(CollectiveOp op) {
  switch (op) {
    case CollectiveOp::kAllToAll:
      return "all_to_all";
    case CollectiveOp::kAllToAllV:
      return "all_to_all_v";
    case CollectiveOp::kSendRecv:
      return "send_recv";
    case CollectiveOp::kAllGather:
      return "all_gather";
    case CollectiveOp::kReduceScatter:
      break;
  }
  return "reduce_scatter";
}

std::string kind_of(const Case& c) {
  return std::visit(KindOf{}, c.input);
}

std::string key_of(const Case& c) {
  return kind_of(c) + "/" + std::visit(KeyPart{}, c.input) + "/" + word(to_text(c.l2));
}

JsonLine input_json(const CaseInput& input) {
  return std::visit(ToJson{}, input);
}

}  // namespace moesim::measure
