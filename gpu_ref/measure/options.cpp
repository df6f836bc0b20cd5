// SPDX-License-Identifier: Apache-2.0
// The stand-alone program's own reading of its command line.
#include <charconv>
#include <limits>
#include <map>
#include <optional>

#include "gpu_ref/measure/measurement.hpp"
#include "gpu_ref/measure/mistake.hpp"

namespace moesim::measure {
namespace {

constexpr double kDefaultBudget = 480;

template <typename Number>
Number number_of(std::string_view option, std::string_view text, Number least) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= least)) {
    throw KitMistake(std::string(option) + ": expected a number from " +
                     std::to_string(static_cast<int>(least)) + ", found \"" + std::string(text) +
                     "\"");
  }
  return value;
}

bool take_flag(std::string_view word, MeasureOptions& options) {
  static const std::map<std::string_view, bool MeasureOptions::*> kFlags = {
      {"--full", &MeasureOptions::full},
      {"--fresh", &MeasureOptions::fresh},
      {"--list", &MeasureOptions::list},
      {"--quiet", &MeasureOptions::quiet},
      {"-q", &MeasureOptions::quiet},
      {"--help", &MeasureOptions::help},
      {"-h", &MeasureOptions::help},
      {"--version", &MeasureOptions::version}};
  const auto found = kFlags.find(word);
  if (found == kFlags.end()) {
    return false;
  }
  options.*(found->second) = true;
  return true;
}

bool take_value(std::string_view word, std::string_view value, MeasureOptions& options) {
  if (word == "--out") {
    options.file = value;
  } else if (word == "--trace") {
    options.trace = value;
  } else if (word == "--only") {
    options.only = split_list(value);
  } else if (word == "--budget") {
    options.budget_s = number_of<double>(word, value, 1);
  } else if (word == "--gpu") {
    options.gpu = number_of<int>(word, value, 0);
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    if (end > 0) {
      words.emplace_back(text.substr(0, end));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

MeasureOptions parse_options(std::span<const std::string_view> words) {
  MeasureOptions options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (take_flag(words[i], options)) {
      continue;
    }
    MeasureOptions unused;
    const bool last = i + 1 == words.size();
    if (last && words[i].starts_with("--") && take_value(words[i], "1", unused)) {
      throw KitMistake(std::string(words[i]) + ": needs a value");
    }
    if (last || !take_value(words[i], words[i + 1], options)) {
      throw KitMistake("unknown option " + std::string(words[i]) + "; --help lists them");
    }
    ++i;
  }
  return options;
}

double budget_of(const MeasureOptions& options) {
  if (options.budget_s > 0) {
    return options.budget_s;
  }
  return options.full ? std::numeric_limits<double>::infinity() : kDefaultBudget;
}

std::string_view usage() {
  return R"(usage: moesim-measure [OPTIONS]
Measures the GPU: copy rate, GEMM ceilings, launch cost, the operations of a MoE layer, the whole
layer, and NCCL over all GPUs present. Appends one JSON line a case to a raw file; started again,
it goes on where it ended. Schema: docs/measurement.md. `moesim calibrate` reads the file.

  --out FILE        raw file (measurement.jsonl)
  --full            the whole grid, hours; without it a selection for one H200 in under 8 minutes
  --budget SECONDS  begin no case that would end later (480; none with --full)
  --only KINDS      device, copy, gemm, launch, gate, permute, combine, quantise, activation,
                    grouped_gemm, layer, collective; separated by commas
  --trace FILE      expert_load.csv of `moesim trace info --out`, replayed as a skew
  --gpu N           index of the GPU (0)
  --fresh           refuse an existing file instead of going on with it
  --list            print the cases and their expected time, measure nothing
  -q, --quiet       no progress
  --version         version and commit
  -h, --help        this text

Several nodes: start one process a GPU with srun or mpirun; the first one measures and writes, all
take part in the collectives.
Exit codes: 0 done, 1 environment, 2 user's mistake, 130 interrupted (what was measured stays).
)";
}

}  // namespace moesim::measure
