// SPDX-License-Identifier: Apache-2.0
// Checks across the keys of [step], [parallel], [batch] and [memory].
#include <algorithm>
#include <array>

#include "sim/scenario/cross_checker.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/step_keys.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, 17> kStepKeys = {"parallel.tp",
                                                        "parallel.pp",
                                                        "parallel.dp",
                                                        "parallel.virtual_stages",
                                                        "batch.context_tokens",
                                                        "batch.micro_batches",
                                                        "memory.kv_dtype",
                                                        "memory.reserved",
                                                        "memory.gradient_dtype",
                                                        "memory.zero_stage",
                                                        "memory.recompute",
                                                        "step.layers",
                                                        "step.overlap",
                                                        "step.samples",
                                                        "step.overlap_gradients",
                                                        "step.schedule",
                                                        "step.host_layer"};

std::string kind_word(StepKind kind) {
  return std::string(step_kind_words()[static_cast<std::size_t>(kind)]);
}

bool is_of_training(std::string_view path) {
  constexpr std::array<std::string_view, 8> kKeys = {"parallel.dp",
                                                     "parallel.virtual_stages",
                                                     "memory.gradient_dtype",
                                                     "memory.zero_stage",
                                                     "memory.recompute",
                                                     "step.samples",
                                                     "step.overlap_gradients",
                                                     "step.schedule"};
  return std::find(kKeys.begin(), kKeys.end(), path) != kKeys.end();
}

bool infers(StepKind kind) {
  return kind == StepKind::kPrefill || kind == StepKind::kDecode;
}

bool is_of_experts(std::string_view path) {
  constexpr std::array<std::string_view, 4> kTables = {
      "routing", "capacity", "placement", "dispatch"};
  const std::string_view table = path.substr(0, path.find('.'));
  return std::find(kTables.begin(), kTables.end(), table) != kTables.end();
}

void check_ranks(CrossChecker& c, const Scenario& s) {
  const ParallelSpec& p = s.parallel;
  c.check(p.ep % p.tp != 0,
          "parallel.tp",
          {"parallel.ep"},
          fmt::format("{} does not divide {}", p.tp, c.other("parallel.ep", p.ep)));
  c.check(s.model.attention.heads % p.tp != 0,
          "parallel.tp",
          {"model.attention.heads"},
          fmt::format("{} does not divide {}",
                      p.tp,
                      c.other("model.attention.heads", s.model.attention.heads)));
  c.check(p.pp > s.model.layers,
          "parallel.pp",
          {"model.layers"},
          fmt::format("{} stages are more than {}", p.pp, c.other("model.layers", s.model.layers)));
  const std::int64_t gpus = std::int64_t{s.cluster.nodes} * s.cluster.gpus_per_node;
  c.check(p.ep <= gpus && p.gpus() > gpus,
          "parallel.ep",
          {"parallel.pp", "parallel.dp", "cluster.nodes", "cluster.gpus_per_node"},
          fmt::format("{} x {} x {} ranks do not fit {} GPUs: {}, {}",
                      p.ep,
                      c.other("parallel.pp", p.pp),
                      c.other("parallel.dp", p.dp),
                      gpus,
                      c.other("cluster.nodes", s.cluster.nodes),
                      c.other("cluster.gpus_per_node", s.cluster.gpus_per_node)));
}

/// Tokens come in whole sequences, but for a prompt prefilled in chunks.
void check_sequences(CrossChecker& c, const Scenario& s) {
  const std::string kind = c.other("step.kind", kind_word(s.step.kind));
  const BatchSpec& b = s.batch;
  c.check(b.context_tokens == 0,
          "batch.context_tokens",
          {"batch", "step.kind"},
          fmt::format("0, but needed by {}", kind));
  const bool is_chunk = s.step.kind == StepKind::kPrefill && b.tokens_per_rank < b.context_tokens;
  c.check(s.step.kind != StepKind::kDecode && b.context_tokens > 0 && !is_chunk &&
              b.tokens_per_rank % b.context_tokens != 0,
          "batch.tokens_per_rank",
          {"batch.context_tokens", "step.kind"},
          fmt::format("{} is no multiple of {}, as {} needs",
                      b.tokens_per_rank,
                      c.other("batch.context_tokens", b.context_tokens),
                      kind));
}

/// What each overlap needs.
void check_overlap(CrossChecker& c, const Scenario& s) {
  const Overlap overlap = s.step.overlap;
  const std::string kind = c.other("step.kind", kind_word(s.step.kind));
  const std::string_view word = overlap_words()[static_cast<std::size_t>(overlap)];
  const bool trains = s.step.kind == StepKind::kTrain;
  c.check(trains && overlap == Overlap::kTwoBatch,
          "step.overlap",
          {"step.kind"},
          fmt::format("two_batch is of prefill and decode; {} has dualpipe", kind));
  c.check(!trains && overlap == Overlap::kDualPipe,
          "step.overlap",
          {"step.kind"},
          fmt::format("dualpipe is of train; {} has two_batch", kind));
  c.check(
      overlap != Overlap::kNone && s.model.moe_layers == 0,
      "step.overlap",
      {"model.moe_layers"},
      fmt::format(
          "{} overlaps the exchanges of experts, but {}", word, c.other("model.moe_layers", 0)));
  c.check(
      overlap == Overlap::kSharedExpert && s.model.moe_layers > 0 && s.model.shared_experts == 0,
      "step.overlap",
      {"model.shared_experts"},
      fmt::format("shared_expert needs one, but {}", c.other("model.shared_experts", 0)));
  c.check(overlap == Overlap::kTwoBatch && s.batch.tokens_per_rank < 2,
          "step.overlap",
          {"batch.tokens_per_rank"},
          fmt::format("two_batch cuts a batch in two, but {}",
                      c.other("batch.tokens_per_rank", s.batch.tokens_per_rank)));
  c.check(overlap != Overlap::kNone && s.model.moe_layers > 0 &&
              s.dispatch.kind != DispatcherKind::kLowLatency && s.dispatch.sms == s.cluster.gpu.sms,
          "dispatch.sms",
          {"step.overlap", "cluster.gpu.sms"},
          fmt::format("{} are all of {}, which leaves none for compute beside it, as {} needs",
                      s.dispatch.sms,
                      c.other("cluster.gpu.sms", s.cluster.gpu.sms),
                      c.other("step.overlap", word)));
}

/// Interleaved schedules.
void check_virtual_stages(CrossChecker& c, const Scenario& s) {
  const ParallelSpec& p = s.parallel;
  const std::string virtual_stages = c.other("parallel.virtual_stages", p.virtual_stages);
  const bool interleaved = p.virtual_stages > 1;
  c.check(interleaved && p.pp == 1,
          "parallel.virtual_stages",
          {"parallel.pp"},
          fmt::format("{} has no effect with {}", p.virtual_stages, c.other("parallel.pp", p.pp)));
  c.check(interleaved && p.pp > 1 && std::int64_t{p.pp} * p.virtual_stages > s.model.layers,
          "parallel.virtual_stages",
          {"parallel.pp", "model.layers"},
          fmt::format("{} x {} parts are more than {}",
                      p.virtual_stages,
                      c.other("parallel.pp", p.pp),
                      c.other("model.layers", s.model.layers)));
  c.check(interleaved && p.pp > 1 && s.batch.micro_batches % p.pp != 0,
          "batch.micro_batches",
          {"parallel.virtual_stages", "parallel.pp"},
          fmt::format("{} is no multiple of {}, as {} needs",
                      s.batch.micro_batches,
                      c.other("parallel.pp", p.pp),
                      virtual_stages));
  c.check(interleaved && s.step.schedule == Schedule::kDualPipe,
          "parallel.virtual_stages",
          {"step.schedule"},
          fmt::format(
              "{} does not go with {}", p.virtual_stages, c.other("step.schedule", "dualpipe")));
}

/// What DualPipe needs.
void check_schedule(CrossChecker& c, const Scenario& s) {
  if (s.step.kind != StepKind::kTrain || s.step.schedule != Schedule::kDualPipe) {
    return;
  }
  const ParallelSpec& p = s.parallel;
  const int batches = s.batch.micro_batches;
  c.check(s.step.overlap != Overlap::kDualPipe,
          "step.schedule",
          {"step.overlap"},
          fmt::format(
              "dualpipe runs passes in pairs, but {}; set dualpipe",
              c.other("step.overlap", overlap_words()[static_cast<std::size_t>(s.step.overlap)])));
  c.check(
      p.pp % 2 != 0,
      "step.schedule",
      {"parallel.pp"},
      fmt::format("dualpipe needs an even number of stages, but {}", c.other("parallel.pp", p.pp)));
  c.check(p.pp % 2 == 0 && (batches % 2 != 0 || batches < 2 * p.pp),
          "batch.micro_batches",
          {"step.schedule", "parallel.pp"},
          fmt::format("{} is no even number of at least {}, two for each stage, as {} needs",
                      batches,
                      2 * p.pp,
                      c.other("step.schedule", "dualpipe")));
  c.check(s.memory.zero_stage >= 2,
          "memory.zero_stage",
          {"step.schedule"},
          fmt::format("{}, but {} is simulated with 0 and 1 only",
                      s.memory.zero_stage,
                      c.other("step.schedule", "dualpipe")));
}

}  // namespace

bool step_key_has_no_effect(std::string_view path, const Scenario& scenario) {
  const StepKind kind = scenario.step.kind;
  if (path == "step.layers") {
    return kind != StepKind::kMoeLayers;
  }
  if (kind == StepKind::kMoeLayers) {
    return path == "memory" ||
           std::find(kStepKeys.begin(), kStepKeys.end(), path) != kStepKeys.end();
  }
  return (kind == StepKind::kServing && (path == "batch" || path.starts_with("batch."))) ||
         (path == "memory.kv_dtype" && kind == StepKind::kTrain) ||
         (path == "step.host_layer" && kind == StepKind::kServing) ||
         (is_of_training(path) && kind != StepKind::kTrain) ||
         (path == "batch.micro_batches" && infers(kind) && scenario.parallel.pp == 1) ||
         (is_of_experts(path) && scenario.model.moe_layers == 0);
}

void check_step(CrossChecker& c, const Scenario& s) {
  const std::string kind = c.other("step.kind", kind_word(s.step.kind));
  for (const std::string_view path : kStepKeys) {
    const bool one_is_one = path == "batch.micro_batches" && infers(s.step.kind);
    c.check(c.given(path) && step_key_has_no_effect(path, s) && !one_is_one,
            path,
            {"step.kind"},
            fmt::format("has no effect with {}", kind));
  }
  if (s.step.kind == StepKind::kMoeLayers) {
    c.check(s.model.moe_layers == 0 && c.given("model.moe_layers"),
            "model.moe_layers",
            {"step.kind"},
            fmt::format("0, but {} needs some", kind));
    return;
  }
  check_ranks(c, s);
  if (s.step.kind != StepKind::kServing) {
    check_sequences(c, s);
  }
  c.check(infers(s.step.kind) && s.parallel.pp == 1 && s.batch.micro_batches > 1,
          "batch.micro_batches",
          {"parallel.pp", "step.kind"},
          fmt::format("{} are of pipelines, but {} and {}",
                      s.batch.micro_batches,
                      kind,
                      c.other("parallel.pp", s.parallel.pp)));
  check_overlap(c, s);
  check_virtual_stages(c, s);
  check_schedule(c, s);
}

}  // namespace moesim
