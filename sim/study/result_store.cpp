// SPDX-License-Identifier: Apache-2.0
// The statements; the tables are in store_file.cpp.
#include "sim/study/result_store.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

#include "sim/core/diagnostics.hpp"
#include "sim/moe/traces/gzip.hpp"
#include "sim/study/process_name.hpp"
#include "sim/study/store_file.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLargestReport = std::size_t{1} << 31U;

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string list_text(const std::vector<std::string>& items) {
  return Json(items).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string settings_text(const PointEntry& point) {
  Json json = Json::object();
  for (const auto& [key, value] : point.settings) {
    json[key] = to_json(value);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void bind(SQLite::Statement& statement, int index, const Scalar& value) {
  if (const auto* flag = std::get_if<bool>(&value)) {
    statement.bind(index, *flag ? "true" : "false");
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    statement.bind(index, *integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    statement.bind(index, *number);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    statement.bind(index, *text);
  } else {
    statement.bind(index);
  }
}

Scalar scalar_in(const SQLite::Column& column) {
  if (column.isInteger()) {
    return column.getInt64();
  }
  if (column.isFloat()) {
    return column.getDouble();
  }
  return column.isText() ? Scalar(column.getString()) : Scalar();
}

}  // namespace

std::string_view to_text(PointState state) {
  switch (state) {
    case PointState::kWaiting:
      return "waiting";
    case PointState::kRunning:
      return "running";
    case PointState::kDone:
      return "done";
    case PointState::kRefused:
      return "refused";
  }
  return "";
}

ResultStore::ResultStore(const fs::path& file, Mode mode)
    : file_(std::make_unique<StoreFile>(file, mode)) {}

ResultStore::~ResultStore() = default;

void ResultStore::enter(const StudyRecord& study, const std::vector<PointEntry>& points) {
  file_->guarded([&](SQLite::Database& db) {
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement clear(db, "DELETE FROM point WHERE study = ?");
    clear.bind(1, study.name);
    clear.exec();
    SQLite::Statement put(db, "INSERT OR REPLACE INTO study VALUES(?, ?, ?)");
    put.bind(1, study.name);
    put.bind(2, list_text(study.keys));
    put.bind(3, list_text(study.metrics));
    put.exec();
    SQLite::Statement result(db, "INSERT OR IGNORE INTO result(key) VALUES(?)");
    SQLite::Statement point(db, "INSERT INTO point VALUES(?, ?, ?, ?, ?)");
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (!points[i].key.empty()) {
        result.bind(1, points[i].key);
        result.exec();
        result.reset();
      }
      point.bind(1, study.name);
      point.bind(2, static_cast<std::int64_t>(i));
      point.bind(3, points[i].key);
      point.bind(4, points[i].message);
      point.bind(5, settings_text(points[i]));
      point.exec();
      point.reset();
    }
    transaction.commit();
  });
}

std::vector<StudyRecord> ResultStore::studies() const {
  return file_->guarded([&](SQLite::Database& db) {
    std::vector<StudyRecord> studies;
    SQLite::Statement rows(db, "SELECT name, keys, metrics FROM study ORDER BY name");
    while (rows.executeStep()) {
      studies.push_back({.name = rows.getColumn(0).getString(),
                         .keys = Json::parse(rows.getColumn(1).getString()),
                         .metrics = Json::parse(rows.getColumn(2).getString())});
    }
    return studies;
  });
}

std::vector<PointRecord> ResultStore::points(const std::string& study) const {
  return file_->guarded([&](SQLite::Database& db) {
    std::vector<PointRecord> points;
    // One transaction, so that the points and their metrics are of the same moment.
    const SQLite::Transaction moment(db);
    SQLite::Statement rows(
        db,
        "SELECT p.number, p.key, coalesce(r.state, 3), coalesce(r.message, p.message), p.settings,"
        " r.seconds FROM point p LEFT JOIN result r ON r.key = p.key WHERE p.study = ?"
        " ORDER BY p.number");
    SQLite::Statement metrics(db, "SELECT path, value FROM metric WHERE key = ?");
    rows.bind(1, study);
    while (rows.executeStep()) {
      PointRecord point;
      point.number = rows.getColumn(0).getInt();
      point.key = rows.getColumn(1).getString();
      point.state = static_cast<PointState>(rows.getColumn(2).getInt());
      point.message = rows.getColumn(3).getString();
      const Json settings = Json::parse(rows.getColumn(4).getString());
      for (const auto& [key, value] : settings.items()) {
        point.settings.emplace_back(key, moesim::scalar_of(value));
      }
      if (!rows.getColumn(5).isNull()) {
        point.seconds = rows.getColumn(5).getDouble();
      }
      metrics.bind(1, point.key);
      while (metrics.executeStep()) {
        point.metrics.push_back(
            {metrics.getColumn(0).getString(), scalar_in(metrics.getColumn(1))});
      }
      metrics.reset();
      points.push_back(std::move(point));
    }
    return points;
  });
}

std::optional<std::string> ResultStore::report(const std::string& key) const {
  return file_->guarded([&](SQLite::Database& db) -> std::optional<std::string> {
    SQLite::Statement row(db, "SELECT report FROM result WHERE key = ?");
    row.bind(1, key);
    if (!row.executeStep() || row.getColumn(0).isNull()) {
      return std::nullopt;
    }
    const SQLite::Column packed = row.getColumn(0);
    const auto* bytes = static_cast<const std::byte*>(packed.getBlob());
    const auto size = static_cast<std::size_t>(packed.getBytes());
    const std::vector<std::byte> plain =
        traces::gunzip(file_->file(), std::span(bytes, size), kLargestReport);
    std::string text(plain.size(), '\0');
    std::transform(
        plain.begin(), plain.end(), text.begin(), [](std::byte b) { return static_cast<char>(b); });
    return text;
  });
}

Claim ResultStore::claim(const std::string& key,
                         const std::string& owner,
                         std::chrono::seconds lease) {
  return file_->guarded([&](SQLite::Database& db) {
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement row(db, "SELECT state, owner, lease FROM result WHERE key = ?");
    row.bind(1, key);
    if (!row.executeStep()) {
      throw EnvironmentError(
          fmt::format("store {}: a point is gone from it", file_->file().string()));
    }
    const auto state = static_cast<PointState>(row.getColumn(0).getInt());
    if (state == PointState::kDone || state == PointState::kRefused) {
      return Claim::kDecided;
    }
    const bool held = state == PointState::kRunning && row.getColumn(2).getInt64() >= now() &&
                      !has_ended(row.getColumn(1).getString());
    if (held) {
      return Claim::kHeld;
    }
    SQLite::Statement take(db, "UPDATE result SET state = 1, owner = ?, lease = ? WHERE key = ?");
    take.bind(1, owner);
    take.bind(2, now() + static_cast<std::int64_t>(lease.count()));
    take.bind(3, key);
    take.exec();
    row.reset();
    transaction.commit();
    return Claim::kTaken;
  });
}

void ResultStore::renew(const std::string& owner, std::chrono::seconds lease) {
  file_->guarded([&](SQLite::Database& db) {
    SQLite::Statement renew(db, "UPDATE result SET lease = ? WHERE owner = ? AND state = 1");
    renew.bind(1, now() + static_cast<std::int64_t>(lease.count()));
    renew.bind(2, owner);
    renew.exec();
  });
}

void ResultStore::give_back(const std::string& key, const std::string& owner) {
  file_->guarded([&](SQLite::Database& db) {
    SQLite::Statement back(db,
                           "UPDATE result SET state = 0, owner = NULL, lease = NULL"
                           " WHERE key = ? AND owner = ? AND state = 1");
    back.bind(1, key);
    back.bind(2, owner);
    back.exec();
  });
}

void ResultStore::finish(const std::string& key, const Evaluation& result, double seconds) {
  const std::string packed = result.refused ? std::string() : traces::gzip(result.text);
  file_->guarded([&](SQLite::Database& db) {
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement put(db,
                          "UPDATE result SET state = ?, owner = NULL, lease = NULL, report = ?,"
                          " message = ?, seconds = ? WHERE key = ? AND state < 2");
    put.bind(1, static_cast<int>(result.refused ? PointState::kRefused : PointState::kDone));
    if (result.refused) {
      put.bind(3, result.text);
    } else {
      put.bind(2, packed.data(), static_cast<int>(packed.size()));
    }
    put.bind(4, seconds);
    put.bind(5, key);
    put.exec();
    SQLite::Statement metric(db, "INSERT OR REPLACE INTO metric VALUES(?, ?, ?)");
    for (const Metric& one : result.metrics) {
      metric.bind(1, key);
      metric.bind(2, one.path);
      bind(metric, 3, one.value);
      metric.exec();
      metric.reset();
    }
    transaction.commit();
  });
}

void ResultStore::forget(const std::vector<std::string>& keys) {
  file_->guarded([&](SQLite::Database& db) {
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement metrics(db, "DELETE FROM metric WHERE key = ?");
    SQLite::Statement result(db,
                             "UPDATE result SET state = 0, report = NULL, message = NULL,"
                             " seconds = NULL WHERE key = ? AND state >= 2");
    for (const std::string& key : keys) {
      metrics.bind(1, key);
      metrics.exec();
      metrics.reset();
      result.bind(1, key);
      result.exec();
      result.reset();
    }
    transaction.commit();
  });
}

int ResultStore::take_over(const fs::path& other) {
  { const ResultStore check(other, Mode::kRead); }
  return file_->guarded([&](SQLite::Database& db) {
    SQLite::Statement attach(db, "ATTACH ? AS other");
    attach.bind(1, other.string());
    attach.exec();
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    const int taken = db.exec(
        "INSERT INTO result SELECT * FROM other.result WHERE state >= 2"
        " ON CONFLICT(key) DO UPDATE SET state = excluded.state, owner = NULL, lease = NULL,"
        " report = excluded.report, message = excluded.message, seconds = excluded.seconds"
        " WHERE result.state < 2");
    db.exec("INSERT OR IGNORE INTO metric SELECT * FROM other.metric");
    transaction.commit();
    db.exec("DETACH other");
    return taken;
  });
}

}  // namespace moesim
