// SPDX-License-Identifier: Apache-2.0
// The SQLite file of a result store while it is open; used by result_store.cpp only.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

#include "sim/study/result_store.hpp"

namespace moesim {

/// One connection, one user at a time.
class StoreFile {
 public:
  /// Throws as ResultStore.
  StoreFile(std::filesystem::path file, ResultStore::Mode mode);

  /// Calls `work` alone, SQLite's errors as ours.
  template <typename Work>
  auto guarded(Work work) -> decltype(work(std::declval<SQLite::Database&>())) {
    const std::scoped_lock lock(mutex_);
    try {
      return work(*database_);
    } catch (const SQLite::Exception& error) {
      refuse(error);
    }
  }

  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

 private:
  [[noreturn]] void refuse(const SQLite::Exception& error) const;
  [[noreturn]] void refuse_form() const;
  int pragma(const char* name);
  void turn_log_on();
  void create();
  void check();

  std::mutex mutex_;
  std::filesystem::path file_;
  std::optional<SQLite::Database> database_;
};

}  // namespace moesim
