// SPDX-License-Identifier: Apache-2.0
#include "sim/report/train_timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sim/report/timeline_counters.hpp"
#include "sim/report/trace_events.hpp"

namespace moesim {
namespace {

constexpr int kPasses = 1;
constexpr int kCompute = 2;
constexpr int kCommunication = 3;
constexpr int kSecondCommunication = 4;
constexpr int kExchanges = 5;

int thread_of_track(Track track) {
  switch (track) {
    case Track::kCompute:
      return kCompute;
    case Track::kCommunication:
      return kCommunication;
    case Track::kSecondCommunication:
      break;
  }
  return kSecondCommunication;
}

std::string_view direction_name(PassDirection direction) {
  switch (direction) {
    case PassDirection::kForward:
      return "forward";
    case PassDirection::kBackward:
      return "backward";
    case PassDirection::kRecompute:
      break;
  }
  return "recompute";
}

std::string name_of(const PassSpan& span) {
  return span.direction == PassDirection::kForward
             ? std::string(span.name)
             : fmt::format("{} ({})", span.name, direction_name(span.direction));
}

/// "forward 3", "backward 1", "forward 5, backward 2", ...: numbers of micro-batches.
std::string name_of(const PipelineOp& op) {
  if (op.weights >= 0) {
    return fmt::format("gradients of weights {}", op.weights_batch);
  }
  std::string name;
  if (op.forward >= 0) {
    name = fmt::format("forward {}", op.forward_batch);
  }
  if (op.backward >= 0) {
    name += fmt::format("{}backward {}{}",
                        name.empty() ? "" : ", ",
                        op.backward_batch,
                        op.inputs_only ? " of inputs" : "");
  }
  return name;
}

std::string arguments_of(const PipelineOp& op) {
  std::vector<std::string> parts;
  const auto put = [&](std::string_view what, int part, int batch) {
    if (part >= 0) {
      parts.push_back(fmt::format("\"{0}_part\":{1},\"{0}_micro_batch\":{2}", what, part, batch));
    }
  };
  put("forward", op.forward, op.forward_batch);
  put("backward", op.backward, op.backward_batch);
  put("weights", op.weights, op.weights_batch);
  return fmt::format("{}", fmt::join(parts, ","));
}

class TrainTimelineWriter {
 public:
  TrainTimelineWriter(const TrainTimelineInput& input,
                      const std::function<void(std::string_view)>& sink)
      : input_(input),
        trace_(input.trace),
        events_(sink,
                "ns",
                fmt::format("\"scenario\":{},\"step\":{},\"stages\":{},\"ranks\":{},\"copies\":{},"
                            "\"ranks_shown\":{}",
                            json_text(input.scenario),
                            input.step,
                            trace_.stages,
                            trace_.stages * trace_.stage_ranks,
                            trace_.copies,
                            trace_.shown.size())) {}

  void write() {
    for (const RankId rank : trace_.shown) {
      name_tracks(rank);
      add_passes(rank);
      add_exchanges(rank);
    }
    for (const StageRows& sent : trace_.rows) {
      add_rows(sent);
    }
    add_counters();
    events_.close();
  }

 private:
  [[nodiscard]] const std::string& gpu_name(int rank) const {
    return input_.fabric.nodes[input_.fabric.gpus[static_cast<std::size_t>(rank)]].name;
  }
  [[nodiscard]] std::size_t stage_of(RankId rank) const {
    return static_cast<std::size_t>(rank.value / trace_.stage_ranks);
  }

  void name_tracks(RankId rank) {
    const int stage = rank.value / trace_.stage_ranks;
    events_.name_process(rank.index(),
                         fmt::format("{}rank {} ({})",
                                     trace_.stages > 1 ? fmt::format("stage {}, ", stage) : "",
                                     rank.value,
                                     gpu_name(rank.value)),
                         rank.value);
    events_.name_thread({rank.index(), kPasses}, "passes");
    events_.name_thread({rank.index(), kCompute}, "compute");
    events_.name_thread({rank.index(), kCommunication}, "communication");
    const auto& ops = trace_.ops[stage_of(rank)];
    if (std::any_of(ops.begin(), ops.end(), [](const StageOp& op) {
          return op.op.forward >= 0 && op.op.backward >= 0;
        })) {
      events_.name_thread({rank.index(), kSecondCommunication}, "communication, second pass");
    }
    const auto& exchanges = trace_.exchanges[stage_of(rank)];
    if (std::any_of(exchanges.begin(), exchanges.end(), [](const StageExchange& exchange) {
          return !exchange.computes;
        })) {
      events_.name_thread({rank.index(), kExchanges}, "gradients and weights");
    }
  }

  void add_passes(RankId rank) {
    SimTime last;
    const auto bubble = [&](SimTime until) {
      if (until > last) {
        events_.span({rank.index(), kPasses}, last, until - last, "bubble", "bubble", "");
      }
    };
    for (const StageOp& op : trace_.ops[stage_of(rank)]) {
      bubble(op.start);
      add_pass(rank, op);
      last = op.end;
    }
    for (const StageExchange& exchange : trace_.exchanges[stage_of(rank)]) {
      if (exchange.end > last) {  // what follows the last pass
        const SimTime start = std::max(exchange.start, last);
        bubble(start);
        events_.span(
            {rank.index(), kPasses}, start, exchange.end - start, "pass", exchange.name, "");
        last = exchange.end;
      }
    }
    bubble(trace_.makespan);
  }

  void add_pass(RankId rank, const StageOp& op) {
    const std::string name = name_of(op.op);
    if (op.end > op.start) {
      events_.span(
          {rank.index(), kPasses}, op.start, op.end - op.start, "pass", name, arguments_of(op.op));
    }
    if (!op.has_detail()) {
      if (op.end > op.start) {
        events_.span({rank.index(), kCompute}, op.start, op.end - op.start, "backward", name, "");
      }
      return;
    }
    const PassRecord& record = trace_.records[static_cast<std::size_t>(op.record)];
    const int in_stage = rank.value % trace_.stage_ranks;
    for (const PassSpan& span : record.spans) {
      if (span.rank == in_stage) {
        events_.span({rank.index(), thread_of_track(span.track)},
                     op.start + span.start,
                     span.end - span.start,
                     direction_name(span.direction),
                     name_of(span),
                     fmt::format("\"layer\":{}", span.layer));
      }
    }
    if (op.is_first) {
      add_flows(rank, op, record);
    }
  }

  void add_flows(RankId rank, const StageOp& op, const PassRecord& record) {
    const int first = rank.value - rank.value % trace_.stage_ranks;
    for (const PassFlow& flow : record.flows) {
      if (first + flow.rank != rank.value) {
        continue;
      }
      std::string more;
      if (flow.to >= 0) {
        more = fmt::format(
            ",\"to\":{},\"bytes\":{:.0f}", json_text(gpu_name(first + flow.to)), flow.bytes);
      }
      add_pair(rank,
               flow.to >= 0 ? "flow" : "kernel",
               op.start + flow.start,
               op.start + flow.end,
               flow.name,
               fmt::format("\"layer\":{}{}", flow.layer, more));
    }
  }

  void add_rows(const StageRows& sent) {
    const PipelineTrace::Rows& rows = sent.rows;
    const RankId rank{rows.source * trace_.stage_ranks + rows.rank};
    add_pair(rank,
             "flow",
             sent.start,
             sent.end,
             rows.backward ? "gradients to another stage" : "rows to another stage",
             fmt::format("\"micro_batch\":{},\"to_stage\":{},\"to\":{},\"bytes\":{:.0f}",
                         rows.batch,
                         rows.target,
                         json_text(gpu_name(rows.target * trace_.stage_ranks + rows.rank)),
                         sent.bytes));
  }

  void add_pair(RankId rank,
                std::string_view category,
                SimTime start,
                SimTime end,
                std::string_view name,
                std::string_view arguments) {
    const TrackId track{rank.index(), kCommunication};
    events_.begin(track, category, next_id_, start, name, arguments);
    events_.end(track, category, next_id_, end, name);
    ++next_id_;
  }

  void add_exchanges(RankId rank) {
    for (const StageExchange& exchange : trace_.exchanges[stage_of(rank)]) {
      events_.span({rank.index(), exchange.computes ? kCompute : kExchanges},
                   exchange.start,
                   exchange.end - exchange.start,
                   exchange.computes ? "optimiser" : "exchange",
                   exchange.name,
                   "");
    }
  }

  void add_counters() {
    std::vector<LinkKind> kinds;
    for (const FabricView::Edge& edge : input_.fabric.edges) {
      kinds.push_back(edge.kind);
    }
    const auto network =
        static_cast<std::size_t>(trace_.stages) * static_cast<std::size_t>(trace_.stage_ranks);
    events_.name_process(network, "network", -1);
    write_counters(kind_counters(trace_.links, input_.link_rates, kinds),
                   trace_.links.interval,
                   network,
                   events_);
  }

  const TrainTimelineInput& input_;
  const TrainTrace& trace_;
  TraceEvents events_;
  std::uint64_t next_id_ = 0;
};

}  // namespace

void write_train_timeline(const TrainTimelineInput& input,
                          const std::function<void(std::string_view)>& sink) {
  TrainTimelineWriter(input, sink).write();
}

}  // namespace moesim
