// SPDX-License-Identifier: Apache-2.0
// `moesim trace info` and `moesim trace import`.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <map>
#include <memory>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/pace_line.hpp"
#include "sim/cli/trace_fit_command.hpp"
#include "sim/cli/trace_text.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/moe/traces/import.hpp"
#include "sim/scenario/digest.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {
namespace fs = std::filesystem;
namespace {

/// Names the part of the work that begins, at once, and how far it is when it lasts.
class Told {
 public:
  Told(const std::string& command, bool enabled)
      : stages_(command, enabled), line_(command, enabled), pace(line_.pace()) {}
  void stage(std::string_view part) { stages_.stage(part); }

 private:
  Progress stages_;
  PaceLine line_;

 public:
  const Pace pace;  ///< throws Cancelled after Ctrl-C
};

TraceInfo describe(const traces::RoutePack& pack, traces::Checked checked, Told& told) {
  TraceInfo info;
  told.stage("hashing");
  info.sha256 = sha256_hex(pack.folder, told.pace);
  told.stage("measuring skew");
  info.skew = traces::measure_skew(pack, told.pace);
  info.load = measure_load(pack, told.pace);
  info.findings = std::move(checked.findings);
  info.overlap = std::move(checked.overlap);
  return info;
}

struct Described {
  traces::RoutePack pack;
  TraceInfo info;
};

Described read_and_describe(const fs::path& folder, bool quiet) {
  watch_for_interrupt();
  Told told("trace info", !quiet);
  told.stage("checking");
  traces::RoutePack pack = traces::read_pack(folder, told.pace);
  traces::Checked checked = traces::check_pack(pack, told.pace);
  TraceInfo info = describe(pack, std::move(checked), told);
  return {std::move(pack), std::move(info)};
}

void add_info(CLI::App& trace) {
  auto pack_folder = std::make_shared<fs::path>();
  auto out = std::make_shared<fs::path>();
  auto json = std::make_shared<bool>(false);
  auto quiet = std::make_shared<bool>(false);
  CLI::App* command = trace.add_subcommand("info", "A route pack's facts, checks and skew");
  command->add_option("pack", *pack_folder, "route pack (folder; format: docs/traces.md)")
      ->required()
      ->type_name("PACK");
  command->add_flag("--json", *json, "one JSON document on standard output");
  command->add_flag("-q,--quiet", *quiet, "no progress");
  command->add_option("--out", *out, "write info.json and expert_load.csv into this folder")
      ->type_name("DIR");
  command->footer("Example: moesim trace info scenarios/traces/tinymoe-balanced");
  command->callback([=] {
    const auto [pack, info] = read_and_describe(*pack_folder, *quiet);
    if (!out->empty()) {
      write_file_atomically(*out / "info.json", trace_json(pack, info));
      write_file_atomically(*out / "expert_load.csv", trace_load_csv(info));
    }
    print(*json ? trace_json(pack, info) : trace_text(pack, info));
  });
}

struct ImportCommand {
  fs::path input;
  fs::path pack;
  bool json = false;
  bool quiet = false;
  traces::ImportOptions options;
};

void add_facts(CLI::App& command, ImportCommand& import) {
  traces::ImportOptions& options = import.options;
  command.add_option(
      "--model", options.model, "name of the model; of a counts table: only its rows are read");
  command.add_option("--experts", options.experts, "experts of a layer (needed for .npy ids)");
  command.add_option("--top-k", options.top_k, "experts of a token (needed for counts)");
  command.add_option(
      "--first-moe-layer", options.first_moe_layer, "index in the model of the first layer");
  command.add_option("--slot-order", options.slot_order, "weight_descending, unsorted or unknown")
      ->check(CLI::IsMember({"weight_descending", "unsorted", "unknown"}))
      ->capture_default_str();
  command.add_option("--phase", options.phase, "prefill, decode, full_sequence, training, ...")
      ->capture_default_str();
  command.add_option("--source", options.source, "where the dump came from");
  command.add_option("--licence", options.licence, "its licence");
}

void add_reading(CLI::App& command, ImportCommand& import) {
  static const std::map<std::string, traces::ArrayKind> kKinds = {
      {"auto", traces::ArrayKind::kAuto},
      {"ids", traces::ArrayKind::kIds},
      {"counts", traces::ArrayKind::kCounts}};
  static const std::map<std::string, traces::Microbatches> kMicrobatches = {
      {"sum", traces::Microbatches::kSum}, {"steps", traces::Microbatches::kSteps}};
  traces::ImportOptions& options = import.options;
  command
      .add_option("--index",
                  options.index,
                  "CSV of the sequences of .npy ids (row_start, rows, domain, ...)")
      ->type_name("FILE");
  command.add_option("--weights", options.weights, "gate weights of .npy ids, same shape")
      ->type_name("FILE");
  command
      .add_option("--kind",
                  options.kind,
                  "of a .npy of three axes and of TensorRT-LLM: auto, ids or counts")
      ->transform(CLI::CheckedTransformer(kKinds));
  command
      .add_option("--microbatches", options.microbatches, "of counts: sum, or steps of their own")
      ->transform(CLI::CheckedTransformer(kMicrobatches));
  command.add_option("--domain",
                     options.domain,
                     "of a counts table: only its rows; else of sequences without one");
  command.add_option("--keep-phase", options.keep_phase, "JSONL: only prefill or decode rows");
  command.add_flag("--drop-duplicates",
                   options.drop_duplicates,
                   "leave out sequences marked duplicate_of another");
  command.add_flag(
      "--drop-repetition", options.drop_repetition, "leave out sequences marked has_repetition");
  command.add_flag("--drop-warmup", options.drop_warmup, "leave out equal rows at the start");
  command.add_flag("--drop-padding", options.drop_padding, "leave out padded layers and tokens");
  command.add_flag(
      "--keep-equal-layers", options.keep_equal_layers, "accept layers that copy an earlier one");
  command.add_flag("--overwrite", options.overwrite, "replace an existing pack");
  command.add_flag("--plain", options.plain, "write .npy, mapped when read, instead of .npy.gz");
}

struct Imported {
  traces::ImportReport report;
  Described described;
  std::string sha256;  ///< of the dump
};

Imported import_and_describe(const ImportCommand& import) {
  watch_for_interrupt();
  Told told("trace import", !import.quiet);
  told.stage("reading, checking and writing");
  traces::ImportOptions options = import.options;
  options.pace = told.pace;
  traces::ImportReport report = traces::import_trace(import.input, import.pack, options);
  try {
    traces::RoutePack pack = traces::read_pack(import.pack, told.pace);
    TraceInfo info = describe(pack, report.checked, told);
    return {
        std::move(report), {std::move(pack), std::move(info)}, sha256_hex(import.input, told.pace)};
  } catch (const Cancelled&) {
    throw Interrupted(fmt::format("interrupted; {} is written and whole, its summary is missing",
                                  import.pack.string()));
  }
}

void run_import(const ImportCommand& import) {
  const auto [report, described, sha256] = import_and_describe(import);
  for (const std::string& sentence : report.dropped) {
    print_error("dropped: " + sentence + "\n");
  }
  for (const std::string& sentence : report.warnings) {
    print_error("warning: " + sentence + "\n");
  }
  print_error(fmt::format(
      "read as {}: {}\ninput sha256: {}\n", report.form, import.input.string(), sha256));
  const auto& [pack, info] = described;
  print(import.json ? trace_json(pack, info) : trace_text(pack, info));
}

void add_import(CLI::App& trace) {
  auto import = std::make_shared<ImportCommand>();
  CLI::App* command = trace.add_subcommand(
      "import",
      "Turn a routing dump into a route pack, checked: .npy[.gz] ids or counts, counts CSV, JSONL; "
      "Megatron, TensorRT-LLM, MindIE and llama.cpp dumps");
  command
      ->add_option("input", import->input, "the dump: a file, or the folder of an engine's files")
      ->required()
      ->type_name("DUMP");
  command->add_option("pack", import->pack, "the route pack to make (folder)")
      ->required()
      ->type_name("PACK");
  command->add_flag("--json", import->json, "one JSON document on standard output");
  command->add_flag("-q,--quiet", import->quiet, "no progress");
  add_facts(*command, *import);
  add_reading(*command, *import);
  command->footer(
      "Example: moesim trace import topk.npy.gz packs/gpt-oss --index index.csv --model "
      "gpt-oss-20b "
      "--experts 32 --phase decode --drop-duplicates");
  command->callback([import] { run_import(*import); });
}

}  // namespace

void add_trace_command(CLI::App& app) {
  CLI::App* trace =
      app.add_subcommand("trace", "Routing traces: info, import, fit, generate, learn");
  trace->require_subcommand(1);
  add_info(*trace);
  add_import(*trace);
  add_trace_fit(*trace);
  add_trace_generate(*trace);
  add_trace_learn(*trace);
}

}  // namespace moesim::cli
