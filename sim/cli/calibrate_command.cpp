// SPDX-License-Identifier: Apache-2.0
// `moesim calibrate`: measurements -> a calibration file with its errors.
#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "sim/calibrate/calibration_file.hpp"
#include "sim/calibrate/read_files.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/table.hpp"
#include "sim/scenario/load_parts.hpp"

namespace moesim::cli {
namespace {

struct CalibrateOptions {
  std::vector<std::filesystem::path> files;
  std::string cluster;
  std::vector<std::string> kernels;
  std::filesystem::path output;
  std::filesystem::path out;
  bool json = false;
};

std::string percent(double ratio) {
  return fmt::format("{:.1f}", ratio * 100);
}

std::vector<std::string> error_cells(const FitErrors& errors) {
  return errors.points == 0 ? std::vector<std::string>{"0", "-", "-", "-"}
                            : std::vector<std::string>{fmt::format("{}", errors.points),
                                                       percent(errors.median),
                                                       percent(errors.p90),
                                                       percent(errors.bias)};
}

/// One line a kernel: errors in % on fitted and on left-out points.
std::string error_table(const std::vector<calibrate::KernelFit>& fits) {
  std::vector<std::vector<std::string>> rows;
  for (const calibrate::KernelFit& fit : fits) {
    rows.push_back({fit.kernel});
    for (const FitErrors& errors : {fit.record.fitted, fit.record.left_out}) {
      const std::vector<std::string> cells = error_cells(errors);
      rows.back().insert(rows.back().end(), cells.begin(), cells.end());
    }
  }
  return "error of predictions in %: on the fitted points, and left out of a refit\n" +
         table({"kernel", "fitted", "median", "P90", "bias", "left out", "median", "P90", "bias"},
               rows);
}

std::string constants_text(const std::vector<calibrate::KernelFit>& fits) {
  std::string text = "\n";
  for (const calibrate::KernelFit& fit : fits) {
    CostConstants values = fit.fit.constants;
    std::string line = fit.kernel + ":";
    for (const calibrate::Constant& constant : fit.fit.moved) {
      std::string value = constant.write(constant.value(values));
      std::erase(value, '"');
      line += fmt::format(" {} {},", constant.key, value);
    }
    if (fit.family == calibrate::KernelFamily::kExperts) {
      line += fmt::format(" tile {} x {},", values.tile_rows, values.tile_columns);
    }
    line.pop_back();
    text += wrapped(line);
  }
  return text;
}

std::string command_line(const CalibrateOptions& options) {
  std::string line = "moesim calibrate";
  for (const std::filesystem::path& file : options.files) {
    line += " " + file.filename().string();
  }
  line += " --cluster " + options.cluster;
  for (const std::string& kernel : options.kernels) {
    line += " --kernel " + kernel;
  }
  return line + " -o " + options.output.filename().string();
}

void run(const CalibrateOptions& options) {
  calibrate::Hardware hardware(load_cluster(options.cluster));
  calibrate::Reading reading = calibrate::read_files(options.files, hardware);
  const auto by_kernel = calibrate::points_by_kernel(reading, options.kernels);
  for (const auto& [reason, rows] : reading.skipped) {
    if (rows > 0) {
      print_error(fmt::format("note: {} rows passed over: {}\n", rows, reason));
    }
  }
  const CostConstants base = load_assumed_constants();
  const std::vector<calibrate::KernelFit> fits = calibrate::calibrate(by_kernel, base);
  const calibrate::FileHead head{hardware.spec().gpu.name, command_line(options)};
  if (!options.output.empty()) {
    write_file_atomically(options.output, calibrate::calibration_toml(head, fits));
  }
  if (!options.out.empty()) {
    write_file_atomically(options.out / "points.csv", calibrate::points_csv(fits));
    write_file_atomically(options.out / "errors.json", calibrate::calibration_json(head, fits));
  }
  print(options.json ? calibrate::calibration_json(head, fits)
                     : error_table(fits) + constants_text(fits));
}

}  // namespace

void add_calibrate_command(CLI::App& app) {
  auto options = std::make_shared<CalibrateOptions>();
  CLI::App* command = app.add_subcommand(
      "calibrate", "Fit the cost models to measurements; errors on fitted and left-out points");
  command
      ->add_option(
          "files",
          options->files,
          "measurements: raw files of `moesim measure`, logs of nccl-tests and of DeepEP's "
          "tests, published CSV tables (docs/calibration.md)")
      ->required()
      ->type_name("FILES");
  command
      ->add_option("--cluster",
                   options->cluster,
                   "hardware they were taken on: a preset of scenarios/clusters, or a path")
      ->required()
      ->type_name("NAME");
  command->add_option("--kernel", options->kernels, "fit this kernel only; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("-o,--output", options->output, "write the calibration file (TOML) here")
      ->type_name("CAL.toml");
  command->add_option("--out", options->out, "write points.csv and errors.json into this folder")
      ->type_name("DIR");
  command->add_flag(
      "--json", options->json, "one JSON document on standard output, all else on standard error");
  command->footer(
      "Example: moesim calibrate aic_deepep_normal.csv --cluster h100-hgx -o h100.toml");
  command->callback([options] { run(*options); });
}

}  // namespace moesim::cli
