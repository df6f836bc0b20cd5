// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/runner.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>

#include "gpu_ref/measure/mistake.hpp"
#include "gpu_ref/measure/raw_file.hpp"

namespace moesim::measure {
namespace {

std::string format_number(const char* form, double value) {
  std::array<char, 64> text{};
  const int length = std::snprintf(text.data(), text.size(), form, value);
  return std::string(text.data(), static_cast<std::size_t>(std::max(length, 0)));
}

std::string outcome_text(const RawRecord& record) {
  if (!record.skipped.empty()) {
    return "skipped: " + record.skipped;
  }
  if (record.timing.samples_s.empty()) {
    return "noted";
  }
  const SampleSummary summary = summarise_samples(record.timing.samples_s);
  const std::string noise = std::isfinite(summary.noise_ratio)
                                ? format_number(" +-%.1f %%", summary.noise_ratio * 100)
                                : "";
  return format_number("%.2f us", summary.median * 1e6) + noise;
}

RawContents checked_contents(const RunnerOptions& options, const DeviceIdentity& device) {
  if (options.fresh && std::filesystem::exists(options.file)) {
    throw KitMistake(options.file + ": exists; name another file or leave --fresh out");
  }
  RawContents contents = read_raw(options.file);
  for (const std::string& gpu : contents.gpus) {
    if (gpu != device.name) {
      throw KitMistake(options.file + ": holds measurements of \"" + gpu + "\", this GPU is \"" +
                       device.name + "\"; name another file");
    }
  }
  return contents;
}

/// Real time over expected time of the cases so far: how much slower this device is.
class Pace {
 public:
  void add(double expected, double real) {
    expected_ += expected;
    real_ += real;
  }
  [[nodiscard]] double corrected(double expected) const {
    return expected_ > 0 ? expected * std::max(1.0, real_ / expected_) : expected;
  }

 private:
  double expected_ = 0;
  double real_ = 0;
};

class Sweep {
 public:
  Sweep(Bench& bench, const WallClock& clock, const RunnerOptions& options)
      : bench_(bench), clock_(clock), options_(options), start_(clock.seconds()) {}

  RunnerResult run(const std::vector<Case>& cases) {
    const DeviceIdentity device = bench_.identity();
    const RawContents contents = checked_contents(options_, device);
    std::unique_ptr<RawFile> file;
    if (options_.writes) {
      file = std::make_unique<RawFile>(options_.file, contents.torn_bytes);
    }
    for (const Case& c : cases) {
      const int next = bench_.agree(decide(c, contents));
      if (next == kStop) {
        result_.interrupted = true;
        break;
      }
      if (next != kMeasure) {
        ++(next == kAlready ? result_.already : result_.left_out);
        continue;
      }
      const RawRecord record = measure(c, device);
      if (file) {
        file->append(to_line(record));
      }
      report(record, static_cast<int>(cases.size()));
    }
    return result_;
  }

 private:
  enum Decision : std::uint8_t { kMeasure, kAlready, kNoTime, kStop };

  [[nodiscard]] int decide(const Case& c, const RawContents& contents) const {
    if (contents.cases.contains(key_of(c))) {
      return kAlready;
    }
    if (options_.interrupted != nullptr && options_.interrupted->load()) {
      return kStop;
    }
    // A case without time leaves room for a shorter one further on.
    return elapsed() + pace_.corrected(c.estimate_s) > options_.budget_s ? kNoTime : kMeasure;
  }

  [[nodiscard]] double elapsed() const { return clock_.seconds() - start_; }

  RawRecord measure(const Case& c, const DeviceIdentity& device) {
    const double begin = clock_.seconds();
    RawRecord record;
    record.kind = kind_of(c);
    record.key = key_of(c);
    record.input = input_json(c.input);
    record.l2 = c.l2;
    record.work = work_of(c.input);
    record.device = device;
    record.before = bench_.clocks();
    try {
      record.timing = bench_.measure(c, options_.rule);
    } catch (const CaseSkipped& reason) {
      record.skipped = reason.what();
    }
    record.after = bench_.clocks();
    record.origin = {options_.version, options_.commit, clock_.utc_text()};
    pace_.add(c.estimate_s, clock_.seconds() - begin);
    ++(record.skipped.empty() ? result_.measured : result_.skipped);
    return record;
  }

  void report(const RawRecord& record, int total) {
    if (options_.on_progress) {
      options_.on_progress({.done = result_.already + result_.measured + result_.skipped,
                            .total = total,
                            .elapsed_s = elapsed(),
                            .key = record.key,
                            .outcome = outcome_text(record)});
    }
  }

  Bench& bench_;
  const WallClock& clock_;
  const RunnerOptions& options_;
  double start_;
  Pace pace_;
  RunnerResult result_;
};

}  // namespace

WallClock system_clock() {
  return {.seconds =
              [] {
                const auto now = std::chrono::steady_clock::now().time_since_epoch();
                return std::chrono::duration<double>(now).count();
              },
          .utc_text =
              [] {
                const std::time_t now = std::time(nullptr);
                std::tm parts{};
                ::gmtime_r(&now, &parts);
                std::array<char, 32> text{};
                const std::size_t length =
                    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
                return std::string(text.data(), length);
              }};
}

RunnerResult run_sweep(const std::vector<Case>& cases,
                       Bench& bench,
                       const WallClock& clock,
                       const RunnerOptions& options) {
  return Sweep(bench, clock, options).run(cases);
}

}  // namespace moesim::measure
