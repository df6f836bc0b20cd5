// SPDX-License-Identifier: Apache-2.0
// The readers behind import_trace: each turns one form into a pack whose arrays lie in memory or in
// nameless files. Not for other modules.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/moe/traces/import.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::traces {

/// Bytes of text between two tellings of the pace.
inline constexpr std::size_t kReadBetween = std::size_t{1} << 18U;

/// Of assignments in one cell, on import.
inline constexpr std::int64_t kMostCount = 0xffff'ffff;

/// A dump that was read. `pack.topk` may still hold padding and any integer type.
struct Dump {
  RoutePack pack;
  std::string form;
  std::vector<std::int64_t> model_layers;  ///< layer numbers of the model, where the dump has them
  std::vector<std::string> dropped;
};

/// A header with what the options say.
[[nodiscard]] PackHeader header_of(const ImportOptions& options);

/// The option's value, or a UserError that says which option is missing.
[[nodiscard]] int required(const std::filesystem::path& input,
                           const std::optional<int>& option,
                           std::string_view name,
                           std::string_view why);

/// Throws if the option is given and differs from what the file says.
void check_agrees(const std::filesystem::path& input,
                  const std::optional<int>& option,
                  std::string_view name,
                  std::int64_t found);

[[nodiscard]] Dump read_ids(const std::filesystem::path& input,
                            NpyArray array,
                            const ImportOptions& options);
[[nodiscard]] Dump read_counts(const std::filesystem::path& input,
                               const NpyArray& array,
                               const ImportOptions& options);
[[nodiscard]] Dump read_counts_table(const std::filesystem::path& input,
                                     const ImportOptions& options);
[[nodiscard]] Dump read_json_lines(const std::filesystem::path& input,
                                   const ImportOptions& options);

/// Files of one recording, in order of their ranks; messages name `input`.
[[nodiscard]] Dump read_records(const std::filesystem::path& input,
                                const std::vector<std::filesystem::path>& files,
                                const ImportOptions& options);
[[nodiscard]] Dump read_expert_statistic(const std::filesystem::path& folder,
                                         const ImportOptions& options);
[[nodiscard]] Dump read_mindie(const std::filesystem::path& folder, const ImportOptions& options);
[[nodiscard]] Dump read_imatrix(const std::filesystem::path& input, const ImportOptions& options);

/// Files of a folder whose names begin and end so, by the number between, then by name.
[[nodiscard]] std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder,
                                                          std::string_view begin,
                                                          std::string_view end);

using TakeRow = std::function<void(std::span<const std::int64_t>)>;
/// Gives the counts of one step (and source rank) and layer after the other, each by expert; the
/// same every time it is called.
using CountRows = std::function<void(const TakeRow&)>;

/// Makes the dump a counts pack of the smallest of u1, u2 and u4 that holds every count, and of
/// 3 axes [step, layer, expert] or 4 [step, source rank, layer, expert]; its header has top_k.
/// Nothing but a row is held.
/// Throws UserError for a count that is negative or above 2^32 - 1.
void set_counts(const std::filesystem::path& input,
                Dump& dump,
                std::vector<std::int64_t> shape,
                const CountRows& rows,
                const ImportOptions& options);

/// The rows of counts that are all here, one after the other.
[[nodiscard]] CountRows rows_of(const std::vector<std::int64_t>& counts, std::int64_t experts);

/// Leaves only some tokens and layers. Every kept token lies in a sequence; sequences left without
/// tokens go. What stays is copied, by way of options.scratch if it is large.
void keep_rows(RoutePack& pack,
               const std::vector<bool>& keep_token,
               const std::vector<bool>& keep_layer,
               const ImportOptions& options);

}  // namespace moesim::traces
