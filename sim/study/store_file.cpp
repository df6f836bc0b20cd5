// SPDX-License-Identifier: Apache-2.0
// Tables: result (one row a key), metric (numbers taken out of a report), study, point. State and
// claim are columns of result, so that a claim is one UPDATE. The write-ahead log makes a commit
// whole or absent whenever the process dies.
#include "sim/study/store_file.hpp"

#include <fmt/core.h>

#include <chrono>
#include <thread>

#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

constexpr int kApplicationId = 0x6d6f6573;  // "moes"
constexpr int kSchema = 1;
constexpr int kBusyMilliseconds = 60'000;
constexpr int kNotADatabase = 26;  // SQLITE_NOTADB

constexpr const char* kTables = R"(
CREATE TABLE result(
  key TEXT PRIMARY KEY, state INTEGER NOT NULL DEFAULT 0, owner TEXT, lease INTEGER,
  report BLOB, message TEXT, seconds REAL) WITHOUT ROWID;
CREATE INDEX claimed ON result(owner) WHERE state = 1;
CREATE TABLE metric(key TEXT, path TEXT, value, PRIMARY KEY(key, path)) WITHOUT ROWID;
CREATE TABLE study(name TEXT PRIMARY KEY, keys TEXT NOT NULL, metrics TEXT NOT NULL);
CREATE TABLE point(
  study TEXT, number INTEGER, key TEXT, message TEXT, settings TEXT NOT NULL,
  PRIMARY KEY(study, number)) WITHOUT ROWID;
)";

int open_flags(ResultStore::Mode mode) {
  return mode == ResultStore::Mode::kRead ? SQLite::OPEN_READONLY
                                          : SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE;
}

}  // namespace

StoreFile::StoreFile(fs::path file, ResultStore::Mode mode) : file_(std::move(file)) {
  std::error_code failed;
  if (mode == ResultStore::Mode::kRead && !fs::is_regular_file(file_, failed)) {
    throw UserError(fmt::format("{} is no file; expected a result store, as moesim sweep makes",
                                file_.string()));
  }
  try {
    database_.emplace(file_.string(), open_flags(mode), kBusyMilliseconds);
    if (mode == ResultStore::Mode::kWrite) {
      create();
    }
    check();
  } catch (const SQLite::Exception& error) {
    refuse(error);
  }
}

void StoreFile::refuse(const SQLite::Exception& error) const {
  if (error.getErrorCode() == kNotADatabase) {
    refuse_form();
  }
  throw EnvironmentError(fmt::format("store {}: {}", file_.string(), error.what()));
}

void StoreFile::refuse_form() const {
  throw UserError(fmt::format("{} is not a moesim result store", file_.string()));
}

int StoreFile::pragma(const char* name) {
  return database_->execAndGet(fmt::format("PRAGMA {}", name)).getInt();
}

/// Asks for the whole file, and does not wait for other processes by itself.
void StoreFile::turn_log_on() {
  constexpr int kTries = 500;
  for (int i = 0; i < kTries; ++i) {
    try {
      (void)database_->execAndGet("PRAGMA journal_mode = WAL");
      return;
    } catch (const SQLite::Exception& error) {
      if (i + 1 == kTries || error.getErrorCode() == kNotADatabase) {
        throw;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
}

void StoreFile::create() {
  const auto is_empty = [&] {
    return database_->execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0;
  };
  // In this order: a file that another process makes meanwhile has its mark with its tables.
  if (!is_empty() && pragma("application_id") != kApplicationId) {
    refuse_form();
  }
  turn_log_on();
  database_->exec("PRAGMA synchronous = NORMAL");
  if (pragma("application_id") == kApplicationId) {
    return;
  }
  SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
  if (is_empty()) {  // else another process was first
    database_->exec(kTables);
    database_->exec(fmt::format("PRAGMA user_version = {}", kSchema));
    database_->exec(fmt::format("PRAGMA application_id = {}", kApplicationId));
  }
  transaction.commit();
}

void StoreFile::check() {
  if (pragma("application_id") != kApplicationId) {
    refuse_form();
  }
  const int schema = pragma("user_version");
  if (schema != kSchema) {
    throw UserError(fmt::format("{} has the form {} of another moesim; this one reads {}",
                                file_.string(),
                                schema,
                                kSchema));
  }
}

}  // namespace moesim
