// SPDX-License-Identifier: Apache-2.0
#include "sim/step/phase_tasks.hpp"

#include <algorithm>
#include <cstdint>

#include "sim/step/phase_rules.hpp"

namespace moesim {
namespace {

/// The transfers of one relay group, as indices into CommPlan::transfers.
struct Group {
  std::vector<std::size_t> stage0;
  std::vector<std::size_t> stage1;
};

std::vector<Group> groups_of(const CommPlan& plan) {
  std::vector<Group> groups(static_cast<std::size_t>(plan.num_groups));
  for (std::size_t i = 0; i < plan.transfers.size(); ++i) {
    const Transfer& t = plan.transfers[i];
    if (t.group >= 0) {
      Group& group = groups[static_cast<std::size_t>(t.group)];
      (t.stage == 0 ? group.stage0 : group.stage1).push_back(i);
    }
  }
  return groups;
}

/// The rank whose kernel moves the bytes.
RankId worker_of(const PhaseRules& rules, const Transfer& t) {
  return rules.pulled ? t.destination : t.source;
}

/// Appends one communication phase (dispatch or combine) of one layer.
class PhaseBuilder {
 public:
  PhaseBuilder(TaskGraph& graph,
               const CommPlan& plan,
               const CommunicationModel& model,
               PathTable& paths,
               TaskLabel label)
      : graph_(graph),
        plan_(plan),
        model_(model),
        rules_(phase_rules(model.dispatch.kind, label.combine)),
        paths_(paths),
        label_(label) {}

  /// @param ready per rank, the task after which its kernel is launched
  void build(const std::vector<TaskId>& ready) {
    add_kernels(ready);
    add_flows();
    add_channel_order();
    for (const Group& group : groups_of(plan_)) {
      if (rules_.stage_is_a_kernel) {
        next_kernel(group);
      } else if (model_.dispatch.forwarding == Forwarding::kPipelined) {
        pipeline(group);
      } else {
        store_and_forward(group);
      }
    }
    add_issue();
    add_barriers();
  }

  std::vector<TaskId> start;
  std::vector<TaskId> done;

 private:
  [[nodiscard]] TaskLabel label(TaskKind kind, RankId rank) const {
    TaskLabel label = label_;
    label.kind = kind;
    label.rank = rank.value;
    return label;
  }

  void add_kernels(const std::vector<TaskId>& ready) {
    const TaskKind join = label_.combine ? TaskKind::kCombineDone : TaskKind::kDispatchDone;
    for (std::size_t r = 0; r < ready.size(); ++r) {
      const RankId rank = id_at<RankId>(r);
      const Seconds extra = label_.combine ? model_.combine_extra_start : Seconds{};
      start.push_back(
          graph_.add_delay(label(TaskKind::kLaunch, rank), ticks(model_.kernel_start + extra)));
      done.push_back(graph_.add_delay(label(join, rank), SimTime{}));
      graph_.add_edge(ready[r], start[r]);
      graph_.add_edge(start[r], done[r]);
    }
  }

  void add_flows() {
    const TaskKind kind = label_.combine ? TaskKind::kCombineFlow : TaskKind::kDispatchFlow;
    transfers_.reserve(plan_.transfers.size());
    for (const Transfer& t : plan_.transfers) {
      transfers_.push_back(add_transfer(t, kind));
      const TaskId sent = transfers_.back().end;
      graph_.add_edge(sent, done[t.destination.index()]);
      if (rules_.kernel_waits_for_sends) {
        graph_.add_edge(sent, done[t.source.index()]);
      }
    }
  }

  /// A transfer as tasks: one flow, or where packets are spread one flow a path and a join.
  struct TransferTasks {
    TaskId first_flow;  ///< the others follow it
    std::int32_t num_flows = 0;
    TaskId end;
  };

  /// Calls `each` with every flow of a transfer.
  template <typename Each>
  static void for_flows(const TransferTasks& transfer, const Each& each) {
    for (std::int32_t f = 0; f < transfer.num_flows; ++f) {
      each(TaskId{transfer.first_flow.value + f});
    }
  }

  TransferTasks add_transfer(const Transfer& t, TaskKind kind) {
    const std::span<const PathPart> parts = paths_.find(t.source, t.destination);
    const double overhead = 1 + static_cast<double>(t.messages) * model_.message_overhead.value /
                                    static_cast<double>(t.bytes);
    TransferTasks tasks{.first_flow = id_at<TaskId>(graph_.tasks.size()), .end = {}};
    for_split(t.bytes, parts, [&](std::int32_t path, std::int64_t part) {
      const TaskId flow =
          graph_.add_flow(label(kind, t.source), path, bytes(static_cast<double>(part) * overhead));
      graph_.add_edge(start[worker(t).index()], flow);
      ++tasks.num_flows;
    });
    tasks.end = tasks.first_flow;
    if (tasks.num_flows > 1) {
      const TaskKind join = label_.combine ? TaskKind::kCombineDone : TaskKind::kDispatchDone;
      tasks.end = graph_.add_delay(label(join, t.source), SimTime{});
      for_flows(tasks, [&](TaskId flow) { graph_.add_edge(flow, tasks.end); });
    }
    return tasks;
  }

  /// Lets a transfer start after `before` only.
  void hold(const TransferTasks& transfer, TaskId before) {
    for_flows(transfer, [&](TaskId flow) { graph_.add_edge(before, flow); });
  }

  [[nodiscard]] RankId worker(const Transfer& t) const { return worker_of(rules_, t); }

  [[nodiscard]] TaskId add_join() {
    const TaskKind join = label_.combine ? TaskKind::kCombineDone : TaskKind::kDispatchDone;
    return graph_.add_delay(label(join, RankId{0}), SimTime{});
  }

  void add_barriers() {
    if (rules_.starts_together && !transfers_.empty()) {
      const TaskId all_started = add_join();
      for (const TaskId kernel : start) {
        graph_.add_edge(kernel, all_started);
      }
      for (const TransferTasks& transfer : transfers_) {
        hold(transfer, all_started);
      }
    }
    if (rules_.ends_together) {
      const TaskId all_ended = add_join();
      for (const TaskId issue : issue_) {
        graph_.add_edge(issue, all_ended);
      }
      for (const TransferTasks& transfer : transfers_) {
        graph_.add_edge(transfer.end, all_ended);
      }
      for (const TaskId end : done) {
        graph_.add_edge(all_ended, end);
      }
    }
  }

  void add_channel_order() {
    if (model_.dispatch.kind == DispatcherKind::kNccl) {
      for (const auto& [before, after] :
           channel_order(plan_, start.size(), model_.dispatch.channels)) {
        hold(transfers_[after], transfers_[before].end);
      }
    }
  }

  /// The relay's second kernel starts after all of the first one's data.
  void next_kernel(const Group& group) {
    if (group.stage0.empty() || group.stage1.empty()) {
      return;
    }
    const RankId relay = plan_.transfers[group.stage1.front()].source;
    const TaskId second =
        graph_.add_delay(label(TaskKind::kLaunch, relay), ticks(model_.kernel_start));
    for (const std::size_t i : group.stage0) {
      graph_.add_edge(transfers_[i].end, second);
    }
    for (const std::size_t i : group.stage1) {
      hold(transfers_[i], second);
    }
  }

  /// The relay forwards from the first chunk on; the last byte is forwarded after it has arrived.
  void pipeline(const Group& group) {
    if (group.stage0.empty() || group.stage1.empty()) {
      return;
    }
    const RankId relay = plan_.transfers[group.stage1.front()].source;
    const TaskId fill =
        graph_.add_delay(label(TaskKind::kPipelineFill, relay), first_chunk(group.stage0));
    const TaskId drain =
        graph_.add_delay(label(TaskKind::kPipelineFill, relay), first_chunk(group.stage1));
    for (const std::size_t i : group.stage0) {
      graph_.add_edge(start[plan_.transfers[i].source.index()], fill);
      graph_.add_edge(transfers_[i].end, drain);
    }
    for (const std::size_t i : group.stage1) {
      hold(transfers_[i], fill);
      graph_.add_edge(drain, done[plan_.transfers[i].destination.index()]);
    }
  }

  void store_and_forward(const Group& group) {
    for (const std::size_t before : group.stage0) {
      for (const std::size_t after : group.stage1) {
        hold(transfers_[after], transfers_[before].end);
      }
    }
  }

  /// Until the first chunk of the slowest of these transfers has arrived, alone on its path.
  [[nodiscard]] SimTime first_chunk(const std::vector<std::size_t>& transfers) const {
    SimTime longest;
    for (const std::size_t i : transfers) {
      for_flows(transfers_[i], [&](TaskId id) {
        const Task& flow = graph_.tasks[id.index()];
        const FlowPath& path = paths_.paths()[static_cast<std::size_t>(flow.flow_path)];
        longest = std::max(longest, ticks(path.latency + chunk_time(path, flow.bytes)));
      });
    }
    return longest;
  }

  [[nodiscard]] Seconds chunk_time(const FlowPath& path, Bytes flow_bytes) const {
    const Bytes chunk = std::min(
        flow_bytes, bytes(static_cast<double>(model_.dispatch.chunk_tokens * plan_.row_bytes)));
    Seconds longest;
    for (const LinkId link : path.links) {
      if (chunk.value > 0 && !model_.capacities.empty()) {
        longest = std::max(longest, chunk / model_.capacities[link.index()]);
      }
    }
    return longest;
  }

  /// The messages of a kernel go one after the other: neither its rank nor, where it sends, the
  /// receivers are done before.
  void add_issue() {
    const std::vector<Seconds> lengths = issue_times(plan_, model_, label_.combine, start.size());
    for (std::size_t r = 0; r < start.size(); ++r) {
      const SimTime length = ticks(lengths[r]);
      issue_.push_back(graph_.add_delay(label(TaskKind::kIssue, id_at<RankId>(r)), length));
      graph_.add_edge(start[r], issue_[r]);
      graph_.add_edge(issue_[r], done[r]);
    }
    for (const Transfer& t : plan_.transfers) {
      if (!rules_.pulled) {
        graph_.add_edge(issue_[t.source.index()], done[t.destination.index()]);
      }
    }
  }

  TaskGraph& graph_;
  const CommPlan& plan_;
  const CommunicationModel& model_;
  PhaseRules rules_;
  PathTable& paths_;
  TaskLabel label_;
  std::vector<TransferTasks> transfers_;  ///< by transfer
  std::vector<TaskId> issue_;             ///< by rank
};

}  // namespace

CommunicationModel communication_model(const DispatchSpec& dispatch,
                                       const CostConstants& constants,
                                       std::span<const BytesPerSecond> capacities) {
  const double sms = dispatch.sms;
  return {.dispatch = dispatch,
          .kernel_start = constants.communication_start,
          .message_gap = constants.message_gap,
          .combine_extra_start = constants.combine_extra_start,
          .message_overhead = constants.message_overhead,
          .copy_rate = constants.sm_copy_rate * sms,
          .combine_copy_rate = constants.combine_sm_copy_rate * sms,
          .capacities = capacities};
}

std::vector<Seconds> issue_times(const CommPlan& plan,
                                 const CommunicationModel& model,
                                 bool combine,
                                 std::size_t ranks) {
  const PhaseRules rules = phase_rules(model.dispatch.kind, combine);
  const BytesPerSecond rate = combine ? model.combine_copy_rate : model.copy_rate;
  std::vector<std::int64_t> messages(ranks);
  std::vector<std::int64_t> copied(ranks);
  for (const Transfer& t : plan.transfers) {
    messages[worker_of(rules, t).index()] += t.messages;
    copied[worker_of(rules, t).index()] += t.bytes;
    copied[t.destination.index()] += rules.receiver_copies ? t.bytes : 0;
  }
  std::vector<Seconds> times;
  for (std::size_t r = 0; r < ranks; ++r) {
    const Seconds copying =
        rate.value > 0 ? bytes(static_cast<double>(copied[r])) / rate : Seconds{};
    times.push_back(std::max(static_cast<double>(messages[r]) * model.message_gap, copying));
  }
  return times;
}

PhaseTasks append_phase(TaskGraph& graph,
                        const CommPlan& plan,
                        const CommunicationModel& model,
                        PathTable& paths,
                        TaskLabel label,
                        const std::vector<TaskId>& ready) {
  PhaseBuilder phase(graph, plan, model, paths, label);
  phase.build(ready);
  return {std::move(phase.start), std::move(phase.done)};
}

}  // namespace moesim
