// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/calibration_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>

#include "sim/moe/traces/csv.hpp"

namespace moesim::calibrate {
namespace {

/// Who uses a kernel unless the scenario says otherwise: the first kernel of a list that was
/// fitted.
struct Preference {
  std::string_view key;
  std::vector<std::string_view> kernels;
};
const std::vector<Preference>& preferences() {
  static const std::vector<Preference> kList = {
      {"experts",
       {"deepgemm_masked",
        "deepgemm_contiguous",
        "trtllm_cutlass",
        "deepgemm",
        "cublas_fp8",
        "cublas_bf16"}},
      {"experts_bf16", {"cublas_bf16"}},
      {"pairwise", {"nvlink_one_sided", "deepep_normal", "nvlink_two_sided", "nccl"}},
      {"hierarchical", {"deepep_normal"}},
      {"low_latency", {"deepep_low_latency"}},
      {"low_latency_without_scale_up", {"deepep_low_latency_rdma"}},
      {"nccl", {"nccl"}},
      {"all_gather", {"nccl"}},
      {"one_sided", {"nvlink_one_sided"}},
      {"two_sided", {"nvlink_two_sided"}},
      {"two_dimensional", {"nccl"}}};
  return kList;
}

std::string_view table_of(KernelFamily family) {
  return family == KernelFamily::kExperts ? "experts" : "communication";
}

std::string defaults_toml(std::span<const KernelFit> fits) {
  std::string text;
  for (const Preference& preference : preferences()) {
    for (const std::string_view kernel : preference.kernels) {
      const bool fitted = std::any_of(
          fits.begin(), fits.end(), [&](const KernelFit& fit) { return fit.kernel == kernel; });
      if (fitted) {
        text += fmt::format("{} = \"{}\"\n", preference.key, kernel);
        break;
      }
    }
  }
  return "[default]\n" + text;
}

std::string constants_toml(const KernelFit& kernel) {
  std::string text;
  CostConstants constants = kernel.fit.constants;
  for (const Constant& constant : kernel.fit.moved) {
    text += fmt::format("{} = {}\n", constant.key, constant.write(constant.value(constants)));
  }
  if (kernel.family == KernelFamily::kExperts) {
    text += fmt::format(
        "tile_rows = {}\ntile_columns = {}\n", constants.tile_rows, constants.tile_columns);
    text += constants.expert_gather ? "" : "expert_gather = false\n";
    text += constants.expert_return ? "expert_return = true\n" : "";
  }
  if (kernel.family == KernelFamily::kCommunication && kernel.kernel != "nccl") {
    text += "combine_sums = true\n";
  }
  return text;
}

std::string errors_toml(std::string_view which, const FitErrors& errors) {
  return fmt::format(
      "{0}_points = {1}\n{0}_median = {2:.4f}\n{0}_p90 = {3:.4f}\n{0}_bias = {4:.4f}\n",
      which,
      errors.points,
      errors.median,
      errors.p90,
      errors.bias);
}

std::string range_toml(std::string_view what, Covered covered) {
  return fmt::format("{0}_min = {1}\n{0}_max = {2}\n", what, covered.min, covered.max);
}

std::string fit_toml(const KernelFit& kernel) {
  const bool experts = kernel.family == KernelFamily::kExperts;
  const FitRecord& record = kernel.record;
  return fmt::format("source = \"{}\"\n", record.source) + errors_toml("fitted", record.fitted) +
         errors_toml("left_out", record.left_out) +
         fmt::format(
             "spread_p10 = {:.4f}\nspread_p90 = {:.4f}\n", record.spread_p10, record.spread_p90) +
         range_toml(experts ? "rows" : "bytes", record.rows) +
         range_toml(experts ? "slots" : "ranks", record.slots) +
         range_toml("hidden", record.hidden) +
         range_toml(experts ? "width" : "domains", record.width) +
         (record.weight_dtypes.empty() ? ""
                                       : fmt::format("weight_dtypes = [\"{}\"]\n",
                                                     fmt::join(record.weight_dtypes, "\", \"")));
}

std::string csv_row(const Judged& judged, std::string_view set, Seconds predicted) {
  const Point& point = *judged.point;
  return fmt::format("{},{},{},{},{:.6g},{:.6g},{:.4f}\n",
                     point.kernel,
                     traces::csv_cell(point.place),
                     traces::csv_cell(point.label),
                     traces::csv_cell(set),
                     point.measured.value,
                     predicted.value,
                     predicted / point.measured - 1);
}

nlohmann::ordered_json errors_json(const FitErrors& errors) {
  return {{"points", errors.points},
          {"median_ratio", errors.median},
          {"p90_ratio", errors.p90},
          {"bias_ratio", errors.bias}};
}

}  // namespace

std::string calibration_toml(const FileHead& head, std::span<const KernelFit> fits) {
  std::string text = fmt::format(
      "# SPDX-License-Identifier: Apache-2.0\n"
      "# Written by: {}\n"
      "# Format and how to make it again: docs/calibration.md. Errors and spreads are ratios.\n\n"
      "source = \"fitted to measurements of {}\"\n"
      "# of what no table below gives\n"
      "evidence = \"assumed\"\n\n",
      head.command,
      head.hardware);
  text += defaults_toml(fits);
  for (const KernelFit& kernel : fits) {
    const std::string table = fmt::format("{}.{}", table_of(kernel.family), kernel.kernel);
    text += fmt::format(
        "\n[{}]\n{}\n[{}.fit]\n{}", table, constants_toml(kernel), table, fit_toml(kernel));
  }
  return text;
}

std::string points_csv(std::span<const KernelFit> fits) {
  std::string csv = "kernel,place,label,set,measured_s,predicted_s,error_ratio\n";
  for (const KernelFit& kernel : fits) {
    for (const Judged& judged : kernel.points) {
      csv += csv_row(judged, "fitted", judged.fitted);
      for (const auto& [fold, predicted] : judged.left_out) {
        csv += csv_row(judged, "left out: " + fold, predicted);
      }
    }
  }
  return csv;
}

std::string calibration_json(const FileHead& head, std::span<const KernelFit> fits) {
  nlohmann::ordered_json kernels = nlohmann::ordered_json::array();
  for (const KernelFit& kernel : fits) {
    nlohmann::ordered_json constants = nlohmann::ordered_json::object();
    CostConstants values = kernel.fit.constants;
    for (const Constant& constant : kernel.fit.moved) {
      constants[std::string(constant.key)] = constant.value(values);
    }
    kernels.push_back({{"kernel", kernel.kernel},
                       {"family", table_of(kernel.family)},
                       {"constants_si", constants},
                       {"fitted", errors_json(kernel.record.fitted)},
                       {"left_out", errors_json(kernel.record.left_out)},
                       {"folds", kernel.folds},
                       {"spread_p10_ratio", kernel.record.spread_p10},
                       {"spread_p90_ratio", kernel.record.spread_p90}});
  }
  const nlohmann::ordered_json json = {
      {"format", "moesim-calibration"}, {"hardware", head.hardware}, {"kernels", kernels}};
  return json.dump(2) + "\n";
}

}  // namespace moesim::calibrate
