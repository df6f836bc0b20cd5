// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/mapped_file.hpp"
#include "sim/moe/traces/pack_sound.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/spool.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kProbe = 4096;

/// The first bytes of a file, unpacked if it is packed.
std::string first_bytes(const fs::path& input) {
  const MappedFile file(input);
  const std::span<const std::byte> content = file.content();
  std::vector<std::byte> plain;
  std::span<const std::byte> start = content.first(std::min(kProbe, content.size()));
  if (is_gzip(content)) {
    plain = gunzip(input, content, kProbe);
    start = plain;
  }
  return {reinterpret_cast<const char*>(start.data()), start.size()};
}

bool holds_counts(const fs::path& input, const NpyArray& array, const ImportOptions& options) {
  if (array.axes() >= 4 || options.kind == ArrayKind::kCounts) {
    return true;
  }
  if (options.kind == ArrayKind::kIds || array.axes() != 3) {
    return false;
  }
  const int experts = required(
      input, options.experts, "experts", "to tell expert ids from counts and to check ids");
  return array.shape()[2] == experts;
}

Dump read_array(const fs::path& input, const ImportOptions& options) {
  NpyArray array = read_npy(input, options.scratch, options.pace);
  if (!is_integer(array.type())) {
    refuse(input,
           fmt::format("numbers are {}; expected whole expert ids or counts (means of loads cannot "
                       "be replayed)",
                       descr(array.type())));
  }
  if (array.axes() < 3 || array.axes() > 5 || array.count() == 0) {
    refuse(input,
           fmt::format("shape {}; expected [token, layer, slot], [step, layer, expert], [step, "
                       "source rank, layer, expert] or [step, source rank, layer, microbatch, "
                       "expert], none of them 0",
                       shape_text(array.shape())));
  }
  return holds_counts(input, array, options) ? read_counts(input, array, options)
                                             : read_ids(input, std::move(array), options);
}

Dump read_folder(const fs::path& folder, const ImportOptions& options) {
  if (fs::exists(folder / "meta_info.json")) {
    return read_expert_statistic(folder, options);
  }
  const std::vector<fs::path> megatron = files_of(folder, "router_trace_rank", ".jsonl");
  if (!megatron.empty()) {
    return read_records(folder, megatron, options);
  }
  if (!files_of(folder, "prefill_", ".csv").empty() ||
      !files_of(folder, "decode_", ".csv").empty()) {
    return read_mindie(folder, options);
  }
  refuse(folder,
         "no known form of routing dump; expected meta_info.json with rank<r>.safetensors, "
         "router_trace_rank<r>.jsonl, or prefill_<rank>.csv and decode_<rank>.csv");
}

/// Whether JSON lines hold one record for a layer.
bool holds_records(std::string_view start) {
  const std::string_view line = start.substr(0, start.find('\n'));
  return line.find("\"top_indices\"") != std::string_view::npos ||
         line.find("\"topk_experts\"") != std::string_view::npos ||
         line.find("\"topk\"") != std::string_view::npos;
}

Dump read_dump(const fs::path& input, const ImportOptions& options) {
  if (fs::is_directory(input)) {
    return read_folder(input, options);
  }
  const std::string start = first_bytes(input);
  if (start.starts_with("GGUF")) {
    return read_imatrix(input, options);
  }
  if (start.starts_with("\x93NUMPY")) {
    return read_array(input, options);
  }
  const std::size_t first = start.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && start[first] == '{') {
    if (holds_records(start)) {
      return read_records(input, {input}, options);
    }
    return read_json_lines(input, options);
  }
  const std::string header = start.substr(0, start.find('\n'));
  if (header.find("expert") != std::string::npos && header.find("count") != std::string::npos) {
    return read_counts_table(input, options);
  }
  refuse(
      input,
      "no known form of routing dump; expected .npy, JSON lines, or CSV with the columns domain, "
      "layer, expert and count (each also .gz)");
}

/// Equal rows at the start go, all of them.
void drop_warmup(Dump& dump, const ImportOptions& options) {
  RoutePack& pack = dump.pack;
  const NpyArray& array = pack.topk ? *pack.topk : *pack.counts;
  const std::int64_t equal = equal_rows_at_start(array, options.pace);
  if (equal < kWarmupRows) {
    return;
  }
  if (pack.topk) {
    std::vector<bool> keep(pack.topk->size(0), true);
    std::fill(keep.begin(), keep.begin() + equal, false);
    keep_rows(pack, keep, std::vector<bool>(pack.topk->size(1), true), options);
    dump.dropped.push_back(fmt::format("{} equal rows at the start", equal));
    return;
  }
  std::vector<std::int64_t> shape = array.shape();
  shape[0] -= equal;
  const std::size_t bytes = array.data().size() / array.size(0) * static_cast<std::size_t>(equal);
  Spool rest(options.scratch);
  rest.append(array.data().subspan(bytes));
  pack.counts = rest.take(array.type(), shape);
  dump.dropped.push_back(fmt::format("{} equal steps at the start", equal));
}

void drop_padding(Dump& dump, const ImportOptions& options) {
  RoutePack& pack = dump.pack;
  if (!pack.topk) {
    return;
  }
  const IdScan scan = scan_ids(*pack.topk, pack.header.experts, options.pace);
  std::vector<bool> keep_layer(pack.topk->size(1), true);
  std::int64_t layers = 0;
  for (std::size_t layer = 0; layer < keep_layer.size(); ++layer) {
    if (scan.is_padding_layer(layer)) {
      keep_layer[layer] = false;
      ++layers;
    }
  }
  const std::int64_t tokens = scan.padded_tokens();
  if (layers == 0 && tokens == 0) {
    return;
  }
  std::vector<bool> keep_token = scan.padded_token;
  keep_token.resize(pack.topk->size(0));
  keep_token.flip();
  const auto leading = std::find(keep_layer.begin(), keep_layer.end(), true) - keep_layer.begin();
  pack.header.first_moe_layer += static_cast<int>(leading);
  keep_rows(pack, keep_token, keep_layer, options);
  dump.dropped.push_back(fmt::format("{} layers and {} tokens of padding", layers, tokens));
}

void require_range(
    const fs::path& input, std::string_view name, int value, int most, std::string_view why) {
  if (value < 1 || value > most) {
    refuse(input, fmt::format("{} is {}; expected 1 to {}{}", name, value, most, why));
  }
}

void check_header(const fs::path& input, const PackHeader& header) {
  require_range(input, "experts", header.experts, kMostExperts, "");
  require_range(input, "top_k", header.top_k, header.experts, ", the number of experts");
}

void require_something(const fs::path& input, const RoutePack& pack) {
  const NpyArray& array = pack.topk ? *pack.topk : *pack.counts;
  if (array.count() == 0) {
    refuse(input, "nothing is left of it after dropping what the options say");
  }
}

bool forbids_import(Topic topic, const ImportOptions& options) {
  return is_error(topic) && !(options.keep_equal_layers && topic == Topic::kEqualLayers);
}

std::vector<std::string> warnings_or_throw(const fs::path& input,
                                           const std::vector<Finding>& findings,
                                           const ImportOptions& options) {
  std::vector<Diagnostic> mistakes;
  std::vector<std::string> warnings;
  for (const Finding& finding : findings) {
    if (forbids_import(finding.topic, options)) {
      mistakes.push_back(mistake(input, finding.message));
    } else {
      warnings.push_back(finding.message);
    }
  }
  if (!mistakes.empty()) {
    throw UserError(std::move(mistakes));
  }
  return warnings;
}

/// A JSON string of plain text.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += byte < 0x20 ? fmt::format("\\u{:04x}", byte) : std::string(1, c);
  }
  return out + "\"";
}

std::string provenance(const fs::path& input, const Dump& dump) {
  std::vector<std::string> dropped;
  for (const std::string& sentence : dump.dropped) {
    dropped.push_back(quoted(sentence));
  }
  std::string json = fmt::format("{{\"imported_from\": {}, \"import_form\": {}, \"dropped\": [{}]",
                                 quoted(input.filename().string()),
                                 quoted(dump.form),
                                 fmt::join(dropped, ", "));
  if (!dump.model_layers.empty()) {
    json += fmt::format(", \"model_layers\": [{}]", fmt::join(dump.model_layers, ", "));
  }
  return json + "}";
}

}  // namespace

std::vector<fs::path> files_of(const fs::path& folder,
                               std::string_view begin,
                               std::string_view end) {
  std::vector<std::pair<std::string, fs::path>> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.size() > begin.size() + end.size() && name.starts_with(begin) && name.ends_with(end)) {
      const std::string middle = name.substr(begin.size(), name.size() - begin.size() - end.size());
      found.emplace_back(middle, entry.path());
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.size(), a.first) < std::pair(b.first.size(), b.first);
  });
  std::vector<fs::path> files;
  files.reserve(found.size());
  for (auto& [middle, path] : found) {
    files.push_back(std::move(path));
  }
  return files;
}

PackHeader header_of(const ImportOptions& options) {
  PackHeader header;
  header.model = options.model;
  header.first_moe_layer = options.first_moe_layer;
  header.slot_order = options.slot_order;
  header.phase = options.phase;
  header.source = options.source;
  header.licence = options.licence;
  header.seed = options.seed;
  return header;
}

int required(const fs::path& input,
             const std::optional<int>& option,
             std::string_view name,
             std::string_view why) {
  if (!option) {
    refuse(input, fmt::format("{} is needed {}", name, why));
  }
  return *option;
}

void check_agrees(const fs::path& input,
                  const std::optional<int>& option,
                  std::string_view name,
                  std::int64_t found) {
  if (option && *option != found) {
    refuse(input, fmt::format("{} is {} in the file, {} was given", name, found, *option));
  }
}

ImportReport import_trace(const fs::path& input,
                          const fs::path& pack,
                          const ImportOptions& chosen) {
  ImportOptions options = chosen;
  const fs::path beside =
      pack.has_filename() ? pack.parent_path() : pack.parent_path().parent_path();
  options.scratch = beside.empty() ? "." : beside;
  Dump dump = read_dump(input, options);
  check_header(input, dump.pack.header);
  if (options.drop_warmup) {
    drop_warmup(dump, options);
  }
  if (options.drop_padding) {
    drop_padding(dump, options);
  }
  require_something(input, dump.pack);
  Checked checked = check_pack(dump.pack, options.pace);
  std::vector<std::string> warnings = warnings_or_throw(input, checked.findings, options);
  if (dump.pack.counts) {
    require_sound_counts(input, dump.pack, options.pace);
  }
  if (dump.pack.weights) {
    require_sound_weights(
        options.weights.empty() ? input : options.weights, *dump.pack.weights, options.pace);
  }
  dump.pack.folder = pack;
  write_pack(dump.pack,
             provenance(input, dump),
             options.overwrite,
             options.plain ? PackArrays::kPlain : PackArrays::kGzip,
             options.pace);
  return {.form = dump.form,
          .tokens = dump.pack.tokens(),
          .steps = dump.pack.steps(),
          .dropped = dump.dropped,
          .warnings = std::move(warnings),
          .checked = std::move(checked)};
}

}  // namespace moesim::traces
