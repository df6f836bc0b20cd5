// SPDX-License-Identifier: Apache-2.0
// TensorRT-LLM's expert statistic: meta_info.json, and for every "<iteration>_<layer>" a count per
// expert in rank<r>.safetensors or the experts of each token in rank<r>_raw.safetensors.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/safetensors.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Key = std::pair<std::int64_t, std::int64_t>;        // iteration, layer
using Counts = std::map<Key, std::vector<std::int64_t>>;  // or ids

constexpr std::int64_t kMostCount = 0xffff'ffff;
constexpr std::size_t kMostHeader = std::size_t{100} << 20U;

constexpr std::int64_t kMostTokens = 0x7fff'ffff;
constexpr std::string_view kRaw = "_raw.safetensors";

/// Where the tokens of all ranks are gathered.
struct RawIds {
  std::vector<std::int64_t>& all;
  std::size_t top_k;
};

bool is_raw(const fs::path& path) {
  return path.filename().string().ends_with(kRaw);
}

struct Meta {
  int experts = 0;
  int top_k = 0;
};

int whole_of(const fs::path& path, const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number_integer() || *found < 1 || *found > kMostExperts) {
    refuse(path, fmt::format("{}: expected a whole number from 1 to {}", name, kMostExperts));
  }
  return found->get<int>();
}

Meta read_meta(const fs::path& path) {
  const Json json = Json::parse(read_text(path, kMostHeader), nullptr, false);
  if (!json.is_object()) {
    refuse(path, "not a JSON object");
  }
  return {.experts = whole_of(path, json, "num_experts"),
          .top_k = whole_of(path, json, "num_experts_per_token")};
}

/// "12_3" as iteration 12, layer 3.
Key parsed_key(const fs::path& path, const std::string& name) {
  Key key;
  const char* const end = name.data() + name.size();
  const auto first = std::from_chars(name.data(), end, key.first);
  const bool split = first.ec == std::errc() && first.ptr != end && *first.ptr == '_';
  const auto second = std::from_chars(split ? first.ptr + 1 : end, end, key.second);
  if (!split || second.ec != std::errc() || second.ptr != end || key.first < 0 || key.second < 0 ||
      key.second > 1'000'000) {
    refuse(path, fmt::format("tensor \"{}\"; expected names \"<iteration>_<layer>\"", name));
  }
  return key;
}

Counts read_counts_of(const fs::path& path, int experts) {
  const SafetensorsFile file(path);
  Counts counts;
  for (const Tensor& tensor : file.tensors()) {
    if (tensor.dtype != "I64" || tensor.shape != std::vector<std::int64_t>{experts}) {
      refuse(path,
             fmt::format("tensor \"{}\": expected I64 counts of shape [{}], the experts of "
                         "meta_info.json",
                         tensor.name,
                         experts));
    }
    const auto bytes = file.bytes(tensor, static_cast<std::size_t>(experts) * sizeof(std::int64_t));
    std::vector<std::int64_t>& row = counts[parsed_key(path, tensor.name)];
    for (std::size_t e = 0; e < static_cast<std::size_t>(experts); ++e) {
      row.push_back(number_at<std::int64_t>(bytes.data(), e));
      if (row.back() < 0 || row.back() > kMostCount) {
        refuse(
            path,
            fmt::format(
                "tensor \"{}\": count {}; expected 0 to {}", tensor.name, row.back(), kMostCount));
      }
    }
  }
  return counts;
}

/// Experts of a rank's tokens, [token, slot], by iteration and layer.
Counts read_ids_of(const fs::path& path, int top_k) {
  const SafetensorsFile file(path);
  Counts ids;
  for (const Tensor& tensor : file.tensors()) {
    const bool narrow = tensor.dtype == "I32";
    if ((!narrow && tensor.dtype != "I64") || tensor.shape.size() != 2 ||
        tensor.shape[1] != top_k || tensor.shape[0] > kMostTokens) {
      refuse(path,
             fmt::format("tensor \"{}\": expected I32 or I64 experts of shape [tokens, {}], "
                         "num_experts_per_token of meta_info.json",
                         tensor.name,
                         top_k));
    }
    const std::size_t numbers =
        static_cast<std::size_t>(tensor.shape[0]) * static_cast<std::size_t>(top_k);
    const auto bytes = file.bytes(tensor, numbers * (narrow ? 4 : 8));
    std::vector<std::int64_t>& row = ids[parsed_key(path, tensor.name)];
    row.reserve(numbers);
    for (std::size_t i = 0; i < numbers; ++i) {
      row.push_back(narrow ? number_at<std::int32_t>(bytes.data(), i)
                           : number_at<std::int64_t>(bytes.data(), i));
    }
  }
  return ids;
}

/// Adds what a rank logged, unless it repeats an earlier rank.
void add_rank(const fs::path& path, Counts logged, std::vector<Counts>& ranks, Dump& dump) {
  if (std::find(ranks.begin(), ranks.end(), logged) != ranks.end()) {
    dump.dropped.push_back(
        fmt::format("{}: it repeats another rank's {}, as tensor-parallel ranks log them",
                    path.filename().string(),
                    is_raw(path) ? "tokens" : "counts"));
    return;
  }
  ranks.push_back(std::move(logged));
}

/// Appends a rank's tokens of one iteration as [token, layer, slot]; returns how many.
std::int64_t append_tokens(const fs::path& folder,
                           const Counts& ids,
                           std::int64_t iteration,
                           const std::vector<std::int64_t>& layers,
                           const RawIds& to) {
  std::vector<const std::vector<std::int64_t>*> by_layer;
  for (const std::int64_t layer : layers) {
    const auto found = ids.find({iteration, layer});
    if (found == ids.end() || found->second.size() != ids.at({iteration, layers[0]}).size()) {
      refuse(folder,
             fmt::format("iteration {}: layer {} has not the tokens of layer {}",
                         iteration,
                         layer,
                         layers[0]));
    }
    by_layer.push_back(&found->second);
  }
  for (std::size_t at = 0; at < by_layer[0]->size(); at += to.top_k) {
    for (const std::vector<std::int64_t>* layer : by_layer) {
      const auto first = layer->begin() + static_cast<std::ptrdiff_t>(at);
      to.all.insert(to.all.end(), first, first + static_cast<std::ptrdiff_t>(to.top_k));
    }
  }
  return static_cast<std::int64_t>(by_layer[0]->size() / to.top_k);
}

Dump read_raw(const fs::path& folder,
              const std::vector<fs::path>& files,
              const Meta& meta,
              const ImportOptions& options) {
  Dump dump;
  dump.form = "TensorRT-LLM experts of tokens";
  std::vector<Counts> ranks;
  std::set<std::int64_t> layers;
  for (const fs::path& path : files) {
    add_rank(path, read_ids_of(path, meta.top_k), ranks, dump);
  }
  for (const Counts& ids : ranks) {
    for (const auto& [key, row] : ids) {
      layers.insert(key.second);
    }
  }
  dump.model_layers.assign(layers.begin(), layers.end());
  std::vector<std::int64_t> all;
  std::int64_t tokens = 0;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    std::optional<std::int64_t> last;
    for (const auto& [key, row] : ranks[rank]) {
      if (std::exchange(last, key.first) == key.first) {
        continue;
      }
      const std::int64_t rows =
          append_tokens(folder,
                        ranks[rank],
                        key.first,
                        dump.model_layers,
                        {.all = all, .top_k = static_cast<std::size_t>(meta.top_k)});
      if (rows > 0) {
        dump.pack.sequences.push_back(
            {.row_start = tokens,
             .rows = rows,
             .domain = options.domain,
             .source = fmt::format("iteration {}, rank {}", key.first, rank)});
      }
      tokens += rows;
    }
  }
  if (tokens == 0) {
    refuse(folder, "no rank<r>_raw.safetensors with tokens");
  }
  PackHeader& header = dump.pack.header;
  header = header_of(options);
  header.experts = meta.experts;
  header.top_k = meta.top_k;
  header.layers = static_cast<int>(layers.size());
  header.first_moe_layer = static_cast<int>(dump.model_layers.front());
  dump.pack.topk = make_array(NumberType::kI8, {tokens, header.layers, meta.top_k}, all);
  return dump;
}

}  // namespace

Dump read_expert_statistic(const fs::path& folder, const ImportOptions& options) {
  const Meta meta = read_meta(folder / "meta_info.json");
  check_agrees(folder, options.experts, "experts", meta.experts);
  check_agrees(folder, options.top_k, "top_k", meta.top_k);
  std::vector<fs::path> files = files_of(folder, "rank", ".safetensors");
  std::erase_if(files, is_raw);
  const std::vector<fs::path> raw = files_of(folder, "rank", kRaw);
  if (options.kind == ArrayKind::kIds ||
      (files.empty() && options.kind == ArrayKind::kAuto && !raw.empty())) {
    return read_raw(folder, raw, meta, options);
  }
  Dump dump;
  dump.form = "TensorRT-LLM expert statistic";
  std::vector<Counts> ranks;
  for (const fs::path& path : files) {
    add_rank(path, read_counts_of(path, meta.experts), ranks, dump);
  }
  if (!raw.empty()) {
    dump.dropped.push_back(
        "the experts of single tokens in rank<r>_raw.safetensors; --kind ids reads them");
  }
  Counts sum;
  std::set<std::int64_t> iterations;
  std::set<std::int64_t> layers;
  for (const Counts& counts : ranks) {
    for (const auto& [key, row] : counts) {
      std::vector<std::int64_t>& total = sum[key];
      total.resize(row.size());
      for (std::size_t e = 0; e < row.size(); ++e) {
        total[e] += row[e];
      }
      iterations.insert(key.first);
      layers.insert(key.second);
    }
  }
  if (sum.empty()) {
    refuse(folder, "no rank<r>.safetensors with counts");
  }
  if (sum.size() != iterations.size() * layers.size()) {
    refuse(folder, "some layers lack some iterations");
  }
  std::vector<std::int64_t> all;  // by iteration, then layer: the order of the map
  for (const auto& [key, row] : sum) {
    all.insert(all.end(), row.begin(), row.end());
  }
  dump.model_layers.assign(layers.begin(), layers.end());
  dump.pack.header = header_of(options);
  set_counts(folder,
             dump,
             {static_cast<std::int64_t>(iterations.size()),
              static_cast<std::int64_t>(layers.size()),
              meta.experts},
             all,
             meta.top_k);
  return dump;
}

}  // namespace moesim::traces
