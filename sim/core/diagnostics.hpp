// SPDX-License-Identifier: Apache-2.0
// The user's mistakes: collected, shown with their source line, thrown once.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace moesim {

/// A place in a text file; line and column count from 1, 0 = unknown (the whole file).
struct SourcePlace {
  std::string file;
  int line = 0;
  int column = 0;
};

/// One mistake. Rendered as
///   file:line:col: error: key: message
///      18 | bandwidth = "450 Gb/s"
///         |             ^ hint
/// and without a source line as
///   file: error: key: message; hint
struct Diagnostic {
  SourcePlace place;
  std::string key;          ///< full dotted key path, may be empty
  std::string message;      ///< what was found and what was expected; lower case, no full stop
  std::string source_line;  ///< the text of that line, may be empty
  std::string hint;         ///< what was expected, after the caret; may be empty
};

[[nodiscard]] std::string to_text(const Diagnostic& diagnostic);

/// The user's mistakes of one load, all of them. Exit code 2.
class UserError : public std::runtime_error {
 public:
  explicit UserError(std::vector<Diagnostic> diagnostics);
  /// One mistake without a place: "error: message".
  explicit UserError(std::string message);
  [[nodiscard]] const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }

 private:
  std::vector<Diagnostic> diagnostics_;
};

/// The environment failed us (a file, a device, a child process). Exit code 1.
class EnvironmentError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace moesim
