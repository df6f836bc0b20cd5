// SPDX-License-Identifier: Apache-2.0
#include "sim/step/train_trace.hpp"

#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/pass_labels.hpp"
#include "sim/step/train_schedule.hpp"

namespace moesim {
namespace {

constexpr std::int64_t kIntervals = 1000;
constexpr int kKinds = 3;  ///< of passes

/// Of the ranks of a copy, those of one of every `stride`; by stage and rank of the stage.
struct ShownRanks {
  std::vector<RankId> ranks;
  std::vector<bool> in_stage;  ///< by rank of a stage: shown on some stage
};

ShownRanks shown_ranks(const WholeModel& m, std::size_t stride) {
  const auto of_stage = static_cast<std::size_t>(m.parallel.ep);
  ShownRanks shown{.ranks = rank_sample(static_cast<std::size_t>(m.parallel.pp) * of_stage, stride),
                   .in_stage = std::vector<bool>(of_stage)};
  for (const RankId rank : shown.ranks) {
    shown.in_stage[rank.index() % of_stage] = true;
  }
  return shown;
}

/// GPU of each vertex; -1: none.
std::vector<std::int32_t> gpu_of_vertex(const Cluster& cluster) {
  std::vector<std::int32_t> gpus;
  for (std::size_t g = 0; g < cluster.gpus.size(); ++g) {
    const std::size_t vertex = cluster.gpus[g].vertex.index();
    gpus.resize(std::max(gpus.size(), vertex + 1), -1);
    gpus[vertex] = static_cast<std::int32_t>(g);
  }
  return gpus;
}

/// What the ranks in `shown` do in a traced pass.
class Recorder {
 public:
  Recorder(const Cluster& cluster, std::vector<bool> shown)
      : cluster_(cluster), shown_(std::move(shown)), gpus_(gpu_of_vertex(cluster)) {
    for (const Link& link : cluster.links) {
      kinds_.push_back(link.kind);
    }
  }

  [[nodiscard]] PassRecord record(const TracedPass& traced) const {
    const StepTrace& trace = traced.trace;
    PassRecord record{.makespan = traced.result.makespan,
                      .spans = {},
                      .flows = {},
                      .links = link_sums(trace, kinds_)};
    std::vector<bool> in_a_span(trace.graph.tasks.size());
    for (const TrackSpan& span : trace.spans) {
      in_a_span[span.from.index()] = in_a_span[span.from.index()] || span.from == span.to;
      if (shown_[static_cast<std::size_t>(span.rank)]) {
        record.spans.push_back({.name = span.name,
                                .direction = span.direction,
                                .rank = span.rank,
                                .track = span.track,
                                .layer = span.layer,
                                .start = trace.times.start[span.from.index()],
                                .end = trace.times.end[span.to.index()]});
      }
    }
    for (std::size_t t = 0; t < trace.graph.tasks.size(); ++t) {
      if (!in_a_span[t]) {
        add_flow(trace, t, record);
      }
    }
    return record;
  }

  [[nodiscard]] LinkSums sums(const StepTrace& trace) const { return link_sums(trace, kinds_); }

 private:
  void add_flow(const StepTrace& trace, std::size_t t, PassRecord& record) const {
    const Task& task = trace.graph.tasks[t];
    const std::string_view name = async_name(task.label);
    const bool lasts = trace.times.end[t] > trace.times.start[t];
    if (name.empty() || !lasts || !shown_[static_cast<std::size_t>(task.label.rank)]) {
      return;
    }
    PassFlow flow{.name = name,
                  .rank = task.label.rank,
                  .layer = task.label.layer,
                  .bytes = task.bytes.value,
                  .start = trace.times.start[t],
                  .end = trace.times.end[t]};
    if (task.flow_path >= 0) {
      const FlowPath& path = trace.graph.paths[static_cast<std::size_t>(task.flow_path)];
      flow.to = gpus_[cluster_.links[path.links.back().index()].target.index()];
    }
    record.flows.push_back(flow);
  }

  const Cluster& cluster_;
  std::vector<bool> shown_;  ///< by rank of a stage
  std::vector<std::int32_t> gpus_;
  std::vector<LinkKind> kinds_;
};

/// Place of a record among those of the trace.
int place_of(const WholeModel& m, int part, int batch, PassKind kind) {
  const int samples = m.training.samples;
  return (part * samples + batch % samples) * kKinds + static_cast<int>(kind);
}

int record_of(const WholeModel& m, const PipelineOp& op) {
  if (op.weights >= 0) {
    return -1;
  }
  if (op.forward >= 0 && op.backward >= 0) {
    return place_of(m, op.forward, op.forward_batch, PassKind::kPair);
  }
  return op.forward >= 0 ? place_of(m, op.forward, op.forward_batch, PassKind::kForward)
                         : place_of(m, op.backward, op.backward_batch, PassKind::kBackward);
}

void add_stage(const WholeModel& m, const PipelineTrace& run, std::size_t s, TrainTrace& trace) {
  std::vector<bool> used(trace.records.size());
  std::vector<StageOp>& ops = trace.ops.emplace_back();
  for (std::size_t i = 0; i < run.order[s].size(); ++i) {
    const std::size_t task = run.ops[s][i].index();
    StageOp op{.op = run.order[s][i],
               .record = record_of(m, run.order[s][i]),
               .start = run.tasks.times.start[task],
               .end = run.tasks.times.end[task]};
    if (op.has_detail()) {
      op.is_first = !used[static_cast<std::size_t>(op.record)];
      used[static_cast<std::size_t>(op.record)] = true;
    }
    ops.push_back(op);
  }
}

void add_exchanges(const PipelineTrace& run,
                   const StageState& state,
                   std::size_t s,
                   TrainTrace& trace) {
  std::vector<StageExchange>& exchanges = trace.exchanges.emplace_back();
  const auto put = [&](std::string_view name, SimTime start, SimTime end, bool computes = false) {
    if (end > start) {
      exchanges.push_back({name, computes, start, end});
    }
  };
  const TaskTimes& times = run.tasks.times;
  for (const TaskId task : run.gathers[s]) {
    put("gather weights", times.start[task.index()], times.end[task.index()]);
  }
  for (const TaskId task : run.reduces[s]) {
    put("reduce gradients", times.start[task.index()], times.end[task.index()]);
  }
  const StageTail tail = stage_tail(run.result.stages[s], state, true, true);
  put("reduce gradients", tail.early_start, tail.early_end);
  put("reduce gradients", tail.late_start, tail.late_end);
  put("optimiser", tail.gradients_end, tail.optimiser_end, true);
  put("gather weights", tail.optimiser_end, tail.end);
}

/// Fewer of the shown ranks until spans and flows are within the limits.
void thin_out(const WholeModel& m, const TraceLimits& limits, TrainTrace& trace) {
  const auto of_stage = static_cast<std::size_t>(m.parallel.ep);
  std::vector<std::vector<std::size_t>> spans(trace.records.size());  // by record and rank
  std::vector<std::vector<std::size_t>> flows(trace.records.size());
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    spans[i].resize(of_stage);
    flows[i].resize(of_stage);
    for (const PassSpan& span : trace.records[i].spans) {
      ++spans[i][static_cast<std::size_t>(span.rank)];
    }
    for (const PassFlow& flow : trace.records[i].flows) {
      ++flows[i][static_cast<std::size_t>(flow.rank)];
    }
  }
  std::vector<std::size_t> rows(static_cast<std::size_t>(m.parallel.pp) * of_stage);
  for (const StageRows& sent : trace.rows) {
    ++rows[static_cast<std::size_t>(sent.rows.source) * of_stage +
           static_cast<std::size_t>(sent.rows.rank)];
  }
  const std::vector<RankId> recorded = trace.shown;
  for (std::size_t stride = 1;; stride *= 2) {
    trace.shown.clear();
    for (const RankId place : rank_sample(recorded.size(), stride)) {
      trace.shown.push_back(recorded[place.index()]);
    }
    std::size_t all_spans = 0;
    std::size_t all_flows = 0;
    for (const RankId rank : trace.shown) {
      all_flows += rows[rank.index()];
      for (const StageOp& op : trace.ops[rank.index() / of_stage]) {
        if (op.has_detail()) {
          const auto record = static_cast<std::size_t>(op.record);
          all_spans += spans[record][rank.index() % of_stage];
          all_flows += op.is_first ? flows[record][rank.index() % of_stage] : 0;
        }
      }
    }
    if (trace.shown.size() == 1 || (all_spans <= limits.spans && all_flows <= limits.flows)) {
      return;
    }
  }
}

/// Adds the sums of a run that begins at `start`, `times` over; its time passes `scale` as fast.
void add_sums(const LinkSums& part, SimTime start, double scale, double times, LinkSums& whole) {
  const EvenSpread spread(whole.interval, whole.kind_bytes.front().size());
  const double each = part.interval.to_seconds().value * scale;
  const auto add = [&](const std::vector<double>& values, double factor, auto& sums) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] > 0) {
        const double at = start.to_seconds().value + static_cast<double>(i) * each;
        spread.add(sums, at, at + each, factor * values[i]);
      }
    }
  };
  for (std::size_t kind = 0; kind < whole.kind_bytes.size(); ++kind) {
    add(part.kind_bytes[kind], times, whole.kind_bytes[kind]);
    add(part.kind_flow_s[kind], times * scale, whole.kind_flow_s[kind]);
  }
  whole.is_exact = whole.is_exact && part.is_exact;
}

void add_links(const Recorder& recorder, const PipelineTrace& run, TrainTrace& trace) {
  LinkSums& links = trace.links;
  links.interval = {
      std::max<std::int64_t>(1, (trace.makespan.picoseconds + kIntervals - 1) / kIntervals)};
  links.is_exact = true;
  links.kind_bytes.assign(std::size_t{kNumLinkKinds}, std::vector<double>(kIntervals));
  links.kind_flow_s = links.kind_bytes;
  for (const std::vector<StageOp>& ops : trace.ops) {
    for (const StageOp& op : ops) {
      if (op.record >= 0) {
        const PassRecord& record = trace.records[static_cast<std::size_t>(op.record)];
        const double scale =
            (op.end - op.start).to_seconds().value / record.makespan.to_seconds().value;
        add_sums(record.links, op.start, scale, trace.copies, links);
      }
    }
  }
  if (!run.rows.empty()) {
    add_sums(recorder.sums(run.tasks), SimTime{}, 1, trace.copies, links);
  }
}

/// Rows that shown ranks send.
void add_rows(const PipelineTrace& run, TrainTrace& trace) {
  std::vector<bool> shown(static_cast<std::size_t>(trace.stages * trace.stage_ranks));
  for (const RankId rank : trace.shown) {
    shown[rank.index()] = true;
  }
  for (const PipelineTrace::Rows& rows : run.rows) {
    if (shown[static_cast<std::size_t>(rows.source * trace.stage_ranks + rows.rank)]) {
      trace.rows.push_back({.rows = rows,
                            .bytes = run.tasks.graph.tasks[rows.flow.index()].bytes.value,
                            .start = run.tasks.times.start[rows.flow.index()],
                            .end = run.tasks.times.end[rows.flow.index()]});
    }
  }
}

/// Drops the rows of ranks that are no longer shown.
void keep_shown_rows(TrainTrace& trace) {
  std::erase_if(trace.rows, [&](const StageRows& sent) {
    const RankId rank{sent.rows.source * trace.stage_ranks + sent.rows.rank};
    return !std::binary_search(trace.shown.begin(), trace.shown.end(), rank);
  });
}

std::size_t first_stride(const WholeModel& m, const TraceLimits& limits) {
  const std::size_t ranks =
      static_cast<std::size_t>(m.parallel.pp) * static_cast<std::size_t>(m.parallel.ep);
  std::size_t stride = 1;
  while ((ranks + stride - 1) / stride > std::max<std::size_t>(1, limits.ranks)) {
    stride *= 2;
  }
  return stride;
}

}  // namespace

TrainTrace trace_train_step(const WholeModel& m,
                            int step,
                            SimTime makespan,
                            const TrainControl& control,
                            const TraceLimits& limits) {
  ShownRanks shown = shown_ranks(m, first_stride(m, limits));
  TrainTrace trace{.stages = m.parallel.pp,
                   .stage_ranks = m.parallel.ep,
                   .copies = m.parallel.dp,
                   .shown = std::move(shown.ranks),
                   .makespan = makespan};
  trace.records.resize(static_cast<std::size_t>(m.parallel.pp * m.parallel.virtual_stages *
                                                m.training.samples * kKinds));
  const Recorder recorder(m.step.cluster, std::move(shown.in_stage));
  const int turns = 2 * m.batch.micro_batches * m.parallel.virtual_stages;
  const SimTime about{std::max<std::int64_t>(1, makespan.picoseconds / turns)};
  TrainControl own = control;
  own.run = [&](const PassPlace& place, std::span<const Pass> passes) {
    const TracedPass traced = trace_passes(m, passes, about);
    trace.records[static_cast<std::size_t>(place_of(m, place.part, place.sample, place.kind))] =
        recorder.record(traced);
    return traced.result;
  };
  const TrainPasses passes = simulate_train_passes(m, step, own);

  const TrainFabric fabric(m);
  Pipeline pipeline = pipeline_of(m, passes);
  pipeline.transfers = m.parallel.pp > 1 ? &fabric.transfers : nullptr;
  pipeline.exchanges = fabric.exchanges();
  const PipelineTrace run = trace_pipeline(pipeline, m.step.cluster, makespan);
  SimTime end;
  for (std::size_t s = 0; s < fabric.states.size(); ++s) {
    add_stage(m, run, s, trace);
    add_exchanges(run, fabric.states[s], s, trace);
    end = std::max(end, stage_tail(run.result.stages[s], fabric.states[s], true, true).end);
  }
  MOESIM_CHECK(end == makespan, "the traced step is not the simulated one");
  add_rows(run, trace);
  add_links(recorder, run, trace);
  thin_out(m, limits, trace);
  keep_shown_rows(trace);
  return trace;
}

}  // namespace moesim
