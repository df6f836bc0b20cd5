// SPDX-License-Identifier: Apache-2.0
// Results of scenarios in one SQLite file: which study has which points, and what each gave. Any
// number of processes may write to it, and any of them may be killed at any moment.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/study/scalar.hpp"

namespace moesim {

/// A number or word of a report by its dotted path.
struct Metric {
  std::string path;
  Scalar value;
};

/// What became of a point.
struct Evaluation {
  bool refused = false;         ///< it cannot run
  std::string text;             ///< the JSON report, or why it was refused
  std::vector<Metric> metrics;  ///< taken out of the report
};

enum class PointState { kWaiting, kRunning, kDone, kRefused };
/// "waiting", "running", "done", "refused"
[[nodiscard]] std::string_view to_text(PointState state);

/// A point of a study as it is entered.
struct PointEntry {
  std::string key;      ///< of its result; "": refused before it had one
  std::string message;  ///< then why
  std::vector<std::pair<std::string, Scalar>> settings;  ///< key, value
};

/// A point of a study as it is found.
struct PointRecord {
  int number = 0;  ///< from 0
  std::string key;
  PointState state = PointState::kWaiting;
  std::string message;
  std::vector<std::pair<std::string, Scalar>> settings;
  std::vector<Metric> metrics;    ///< those that were kept
  std::optional<double> seconds;  ///< wall time of its simulation
};

struct StudyRecord {
  std::string name;
  std::vector<std::string> keys;     ///< what its points differ in
  std::vector<std::string> metrics;  ///< what to show of the reports
};

/// Whether a process got the right to simulate a point.
enum class Claim {
  kTaken,    ///< by us
  kHeld,     ///< another process simulates it
  kDecided,  ///< it has its result
};

class StoreFile;

/// Safe to use from any thread. Throws EnvironmentError when the file cannot be read or written,
/// UserError when it is no store or a later moesim's.
class ResultStore {
 public:
  enum class Mode { kRead, kWrite };  ///< kWrite makes a file that is not there
  ResultStore(const std::filesystem::path& file, Mode mode);
  ~ResultStore();

  /// Enters the study and its points in the place of those of the same name; results stay.
  void enter(const StudyRecord& study, const std::vector<PointEntry>& points);
  [[nodiscard]] std::vector<StudyRecord> studies() const;
  /// In order. With the texts of `metrics` (all that were kept of these points).
  [[nodiscard]] std::vector<PointRecord> points(const std::string& study) const;
  [[nodiscard]] std::optional<std::string> report(const std::string& key) const;

  /// For `lease` from now, unless the owner ends sooner; then anybody may take it over.
  Claim claim(const std::string& key, const std::string& owner, std::chrono::seconds lease);
  /// Prolongs all of the owner's claims.
  void renew(const std::string& owner, std::chrono::seconds lease);
  void give_back(const std::string& key, const std::string& owner);
  /// The first result of a key stays: another one could only be equal.
  void finish(const std::string& key, const Evaluation& result, double seconds);
  /// Forgets the results of these keys that nobody is working on.
  void forget(const std::vector<std::string>& keys);
  /// Adds the results of another store. @return how many were new
  int take_over(const std::filesystem::path& other);

 private:
  std::unique_ptr<StoreFile> file_;
};

}  // namespace moesim
