// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/record.hpp"

namespace moesim::measure {
namespace {

JsonLine clocks_json(const Clocks& clocks) {
  JsonLine json;
  json.add("sm_hz", clocks.sm_hz)
      .add("memory_hz", clocks.memory_hz)
      .add("temperature_c", clocks.temperature_c)
      .add("power_w", clocks.power_w);
  return json;
}

JsonLine device_json(const RawRecord& record) {
  JsonLine json;
  json.add("name", record.device.name)
      .add("driver", record.device.driver)
      .add("cuda_runtime", record.device.cuda_runtime)
      .add("sm_count", record.device.sm_count)
      .add("power_limit_w", record.device.power_limit_w)
      .add("before", clocks_json(record.before))
      .add("after", clocks_json(record.after));
  return json;
}

JsonLine time_json(const Timing& timing) {
  const SampleSummary summary = summarise_samples(timing.samples_s);
  JsonLine json;
  json.add("median_s", summary.median)
      .add("p10_s", summary.p10)
      .add("p90_s", summary.p90)
      .add("noise_ratio", summary.noise_ratio)
      .add("samples", static_cast<std::int64_t>(timing.samples_s.size()))
      .add("warmup", timing.warmup)
      .add("repeats", timing.repeats)
      .add("stop", to_text(timing.stop))
      .add("samples_s", timing.samples_s);
  return json;
}

}  // namespace

std::string_view to_text(L2State state) {
  switch (state) {
    case L2State::kCold:
      return "cold";
    case L2State::kWarm:
      return "warm";
    case L2State::kNone:
      break;
  }
  return "none";
}

std::string to_line(const RawRecord& record) {
  JsonLine work;
  work.add("flops", record.work.flops).add("bytes", record.work.bytes);
  JsonLine origin;
  origin.add("version", record.origin.version).add("commit", record.origin.commit);
  JsonLine line;
  line.add("format", kRawFormat)
      .add("schema", kRawSchema)
      .add("kind", record.kind)
      .add("case", record.key)
      .add("input", record.input)
      .add("l2", to_text(record.l2));
  if (!record.timing.samples_s.empty()) {
    line.add("time", time_json(record.timing));
  }
  if (!record.skipped.empty()) {
    line.add("skipped", record.skipped);
  }
  line.add("work", work)
      .add("extra", record.timing.extra)
      .add("device", device_json(record))
      .add("moesim", origin)
      .add("measured_at", record.origin.measured_at);
  return line.text();
}

}  // namespace moesim::measure
