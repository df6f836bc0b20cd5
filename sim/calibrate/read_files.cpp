// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/read_files.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "sim/calibrate/deepep_log.hpp"
#include "sim/calibrate/nccl_log.hpp"
#include "sim/calibrate/raw_file.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/text.hpp"

namespace moesim::calibrate {

Reading read_files(std::span<const std::filesystem::path> files, Hardware& hardware) {
  Reading reading;
  for (const std::filesystem::path& file : files) {
    const std::string text = read_file(file);
    if (is_raw_file(text)) {
      read_raw_file(file, text, hardware, reading);
    } else if (is_nccl_log(text)) {
      read_nccl_log(file, text, hardware, reading);
    } else if (is_deepep_log(text)) {
      read_deepep_log(file, text, hardware, reading);
    } else {
      read_published_csv(file, text, hardware, reading);
    }
  }
  return reading;
}

std::vector<std::vector<Point>> points_by_kernel(const Reading& reading,
                                                 const std::vector<std::string>& only) {
  std::vector<std::string> names;
  std::vector<std::vector<Point>> by_kernel;
  for (const Point& point : reading.points) {
    const auto found = std::find(names.begin(), names.end(), point.kernel);
    if (found == names.end()) {
      names.push_back(point.kernel);
      by_kernel.push_back({point});
    } else {
      by_kernel[static_cast<std::size_t>(found - names.begin())].push_back(point);
    }
  }
  if (names.empty()) {
    throw UserError("no measurement of this hardware in the files");
  }
  std::vector<std::vector<Point>> chosen;
  for (const std::string& kernel : only) {
    const auto found = std::find(names.begin(), names.end(), kernel);
    if (found == names.end()) {
      const std::vector<std::string_view> views(names.begin(), names.end());
      throw UserError(
          fmt::format("--kernel {}: not in the files; found: {}", kernel, word_list(views)));
    }
    chosen.push_back(by_kernel[static_cast<std::size_t>(found - names.begin())]);
  }
  return only.empty() ? by_kernel : chosen;
}

}  // namespace moesim::calibrate
