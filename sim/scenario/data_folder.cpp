// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/data_folder.hpp"

#include <dlfcn.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

/// Names of the entries that `wanted` keeps, sorted.
template <typename Wanted>
std::vector<std::string> entry_names(const fs::path& folder, Wanted wanted) {
  std::vector<std::string> names;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed)) {
    if (wanted(entry)) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The prefix that this code is installed under, if it is: that of PREFIX/bin/moesim, or of
/// PREFIX/lib/python3/dist-packages/moesim/_core.so.
fs::path install_prefix() {
  Dl_info info{};
  std::error_code failed;
  const bool known = ::dladdr(reinterpret_cast<const void*>(&data_folder), &info) != 0;
  const fs::path loaded = known && info.dli_fname != nullptr ? info.dli_fname : "";
  const bool is_module = loaded.extension() == ".so";
  fs::path folder = is_module ? fs::absolute(loaded, failed).parent_path()
                              : fs::read_symlink("/proc/self/exe", failed).parent_path();
  for (int level = is_module ? 4 : 1; level > 0; --level) {
    folder = folder.parent_path();
  }
  return folder;
}

}  // namespace

fs::path data_folder() {
  std::error_code failed;
  const char* stated = std::getenv("MOESIM_DATA");
  if (stated != nullptr && *stated != '\0') {
    if (!fs::is_directory(stated, failed)) {
      throw EnvironmentError(fmt::format("MOESIM_DATA: {} is not a folder", stated));
    }
    return stated;
  }
  // A program that links the installed libraries lies anywhere.
  for (const fs::path& folder : {install_prefix() / "share/moesim/scenarios",
                                 fs::path(MOESIM_SCENARIO_FOLDER),
                                 fs::path(MOESIM_INSTALLED_FOLDER)}) {
    if (fs::is_directory(folder, failed)) {
      return folder;
    }
  }
  return MOESIM_SCENARIO_FOLDER;
}

bool is_path(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.ends_with(".toml");
}

fs::path beside(const fs::path& stating_file, std::string_view text) {
  return (stating_file.parent_path() / text).lexically_normal();
}

std::vector<std::string> preset_names(const fs::path& folder) {
  std::vector<std::string> names = entry_names(folder, [](const fs::directory_entry& entry) {
    std::error_code failed;
    return entry.is_regular_file(failed) && entry.path().extension() == ".toml";
  });
  for (std::string& name : names) {
    name.erase(name.size() - std::string_view(".toml").size());
  }
  return names;
}

std::vector<std::string> folder_names(const fs::path& folder) {
  return entry_names(folder, [](const fs::directory_entry& entry) {
    std::error_code failed;
    return entry.is_directory(failed);
  });
}

}  // namespace moesim
