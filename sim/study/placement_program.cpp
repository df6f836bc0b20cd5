// SPDX-License-Identifier: Apache-2.0
#include "sim/study/placement_program.hpp"

#include <ClpSimplex.hpp>
#include <CoinPackedMatrix.hpp>
#include <CoinPackedVector.hpp>

#include <cstddef>
#include <stdexcept>

namespace moesim {
namespace {

constexpr double kMicroseconds = 1e6;  // the program's unit: its numbers are then near 1

/// Rows and columns as CLP wants them. Columns: x[e, d] by e then d, then remote, arriving, in, out
/// and experts by d, then T.
class Tableau {
 public:
  explicit Tableau(const PlacementProgram& program)
      : p_(program), experts_(program.rows.size()), domains_(program.ranks.size()) {}

  double solve() {
    add_shares();
    for (std::size_t d = 0; d < domains_; ++d) {
      add_domain(d);
    }
    add_total(kRemote, p_.least_remote);
    add_total(kArriving, p_.least_arriving);
    add_mean_experts();
    ClpSimplex simplex;
    simplex.setLogLevel(0);
    const std::vector<double> lower(columns(), 0.0);
    std::vector<double> upper(columns(), COIN_DBL_MAX);
    std::vector<double> objective(columns(), 0.0);
    objective[time()] = 1.0;
    simplex.loadProblem(matrix_,
                        lower.data(),
                        upper.data(),
                        objective.data(),
                        row_lower_.data(),
                        row_upper_.data());
    simplex.dual();
    if (!simplex.isProvenOptimal()) {
      throw std::runtime_error("CLP: no optimum of the placement program");
    }
    return simplex.objectiveValue() / kMicroseconds;
  }

 private:
  [[nodiscard]] std::size_t share(std::size_t e, std::size_t d) const { return e * domains_ + d; }
  enum Part : std::size_t { kRemote, kArriving, kIn, kOut, kExperts, kParts };
  [[nodiscard]] std::size_t of(Part part, std::size_t d) const {
    return (experts_ + part) * domains_ + d;
  }
  [[nodiscard]] std::size_t time() const { return (experts_ + kParts) * domains_; }
  [[nodiscard]] std::size_t columns() const { return time() + 1; }

  void insert(CoinPackedVector& row, std::size_t column, double value) const {
    if (value != 0.0) {
      row.insert(static_cast<int>(column), value);
    }
  }
  void append(const CoinPackedVector& row, double lower, double upper) {
    if (row_lower_.empty()) {
      matrix_.setDimensions(0, static_cast<int>(columns()));
    }
    matrix_.appendRow(row);
    row_lower_.push_back(lower);
    row_upper_.push_back(upper);
  }

  void add_shares() {
    for (std::size_t e = 0; e < experts_; ++e) {
      CoinPackedVector row;
      for (std::size_t d = 0; d < domains_; ++d) {
        insert(row, share(e, d), 1.0);
      }
      append(row, 1.0, 1.0);
    }
  }

  void add_domain(std::size_t d) {
    CoinPackedVector room;
    for (std::size_t e = 0; e < experts_; ++e) {
      insert(room, share(e, d), 1.0);
    }
    append(room, 0.0, p_.ranks[d] * p_.slots_per_rank);
    add_served(d, kRemote, p_.remote_shared_by);
    add_served(d, kArriving, p_.arriving_shared_by);
    add_multiple(of(kArriving, d), of(kRemote, d), 1.0);
    const double per_rank = kMicroseconds / p_.ranks[d];
    add_multiple(of(kIn, d), of(kRemote, d), p_.remote_copy.in * per_rank);
    add_multiple(of(kIn, d), of(kArriving, d), p_.any_copy.in * per_rank);
    add_multiple(of(kOut, d), of(kRemote, d), p_.remote_copy.out * per_rank);
    add_multiple(of(kOut, d), of(kArriving, d), p_.any_copy.out * per_rank);
    add_lines(d, p_.over_rows, p_.rows);
    add_lines(d, p_.over_slots, p_.active);
    CoinPackedVector chain;
    insert(chain, time(), 1.0);
    for (const Part part : {kIn, kExperts, kOut}) {
      insert(chain, of(part, d), -1.0);
    }
    append(chain, p_.fixed * kMicroseconds, COIN_DBL_MAX);
  }

  /// copies of d >= what others ask of its experts / shared_by
  void add_served(std::size_t d, Part copies, double shared_by) {
    CoinPackedVector row;
    insert(row, of(copies, d), 1.0);
    for (std::size_t e = 0; e < experts_; ++e) {
      insert(row, share(e, d), -p_.remote[d][e] / shared_by);
    }
    append(row, 0.0, COIN_DBL_MAX);
  }

  /// column >= factor * other
  void add_multiple(std::size_t column, std::size_t other, double factor) {
    CoinPackedVector row;
    insert(row, column, 1.0);
    insert(row, other, -factor);
    append(row, 0.0, COIN_DBL_MAX);
  }

  /// experts[d] >= intercept + slope * sum of x[e, d] * weight / ranks, for every line.
  void add_lines(std::size_t d, const std::vector<Line>& lines, const std::vector<double>& weight) {
    const double scale = kMicroseconds / p_.speed;
    for (const Line& line : lines) {
      CoinPackedVector row;
      insert(row, of(kExperts, d), 1.0);
      for (std::size_t e = 0; e < experts_; ++e) {
        insert(row, share(e, d), -line.slope * scale * weight[e] / p_.ranks[d]);
      }
      append(row, line.intercept * scale, COIN_DBL_MAX);
    }
  }

  void add_total(Part part, double least) {
    CoinPackedVector row;
    for (std::size_t d = 0; d < domains_; ++d) {
      insert(row, of(part, d), 1.0);
    }
    append(row, least, COIN_DBL_MAX);
  }

  /// sum of ranks[d] * experts[d] >= ranks * least_experts
  void add_mean_experts() {
    CoinPackedVector row;
    double ranks = 0.0;
    for (std::size_t d = 0; d < domains_; ++d) {
      insert(row, of(kExperts, d), p_.ranks[d]);
      ranks += p_.ranks[d];
    }
    append(row, ranks * p_.least_experts * kMicroseconds, COIN_DBL_MAX);
  }

  const PlacementProgram& p_;
  std::size_t experts_;
  std::size_t domains_;
  CoinPackedMatrix matrix_{false, 0.0, 0.0};
  std::vector<double> row_lower_;
  std::vector<double> row_upper_;
};

}  // namespace

double least_time(const PlacementProgram& program) {
  return Tableau(program).solve();
}

}  // namespace moesim
