// SPDX-License-Identifier: Apache-2.0
// The problems handed to cuBLAS, carried out on the CPU as BLAS defines them.
#include "gpu_ref/ops/gemm_problems.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "gpu_ref/oracle/matrix.hpp"
#include "tests/gpu_ref/support.hpp"

namespace moesim::gpu_ref {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// C = op(A) op(B) of the reference BLAS, column-major.
void carry_out(const GemmProblem& p,
               const std::vector<double>& a,
               const std::vector<double>& b,
               std::vector<double>& c) {
  const auto at = [](std::int64_t begin, std::int64_t row, std::int64_t column, int leading) {
    return static_cast<std::size_t>(begin + row + column * leading);
  };
  for (int i = 0; i < p.m; ++i) {
    for (int j = 0; j < p.n; ++j) {
      double sum = 0;
      for (int l = 0; l < p.k; ++l) {
        sum += a.at(p.transpose_a ? at(p.a_begin, l, i, p.lda) : at(p.a_begin, i, l, p.lda)) *
               b.at(p.transpose_b ? at(p.b_begin, j, l, p.ldb) : at(p.b_begin, l, j, p.ldb));
      }
      c.at(at(p.c_begin, i, j, p.ldc)) = sum;
    }
  }
}

std::vector<double> random_values(std::size_t count, const std::string& name) {
  return to_double(testing::random_floats(count, name));
}

oracle::Matrix matrix(std::vector<double> values, std::int64_t columns) {
  oracle::Matrix out(static_cast<std::int64_t>(values.size()) / columns, columns);
  out.values = std::move(values);
  return out;
}

class GroupedProblems : public ::testing::Test {
 protected:
  static constexpr int kOuter = 16;
  static constexpr int kInner = 24;
  std::vector<std::int64_t> begin = {0, 0, 5, 6, 6, 13, 13};
  std::vector<double> w = random_values(6 * kOuter * kInner, "w");
  std::vector<double> x = random_values(13 * kInner, "x");
  std::vector<double> y = random_values(13 * kOuter, "y");

  std::vector<double> run(GemmPass pass,
                          const std::vector<double>& a,
                          const std::vector<double>& b,
                          std::size_t size) const {
    std::vector<double> c(size, 0.0);
    for (const GemmProblem& problem : grouped_problems(pass, {begin, kOuter, kInner})) {
      carry_out(problem, a, b, c);
    }
    return c;
  }
  oracle::Matrix weight(std::int64_t e) const {
    return oracle::rows_of(matrix(w, kInner), e * kOuter, (e + 1) * kOuter);
  }
  oracle::Matrix rows(const std::vector<double>& of, std::int64_t columns, std::size_t e) const {
    return oracle::rows_of(matrix(of, columns), begin[e], begin[e + 1]);
  }
};

TEST_F(GroupedProblems, AreTheRowMajorProductsOfEveryExpert) {
  const std::vector<double> forward = run(GemmPass::kForward, w, x, y.size());
  const std::vector<double> d_x = run(GemmPass::kInputGradient, w, y, x.size());
  const std::vector<double> d_w = run(GemmPass::kWeightGradient, x, y, w.size());
  const testing::Tolerance exact{1e-12, 0, 1e-12};
  for (std::size_t e = 0; e + 1 < begin.size(); ++e) {
    const auto group = static_cast<std::int64_t>(e);
    const oracle::Matrix we = weight(group);
    const oracle::Matrix xe = rows(x, kInner, e);
    const oracle::Matrix ye = rows(y, kOuter, e);
    EXPECT_TRUE(testing::are_close(
        rows(forward, kOuter, e).values, oracle::product_with_transposed(xe, we).values, exact));
    EXPECT_TRUE(
        testing::are_close(rows(d_x, kInner, e).values, oracle::product(ye, we).values, exact));
    const oracle::Matrix dwe =
        oracle::rows_of(matrix(d_w, kInner), group * kOuter, (group + 1) * kOuter);
    EXPECT_TRUE(
        testing::are_close(dwe.values, oracle::product(oracle::transposed(ye), xe).values, exact));
  }
}

TEST_F(GroupedProblems, LeaveOutExpertsWithoutRows) {
  EXPECT_EQ(grouped_problems(GemmPass::kForward, {begin, kOuter, kInner}).size(), 3U);
  EXPECT_THAT(empty_groups(begin), ElementsAre(0, 3, 5));
  const std::vector<std::int64_t> none = {0, 0, 0};
  EXPECT_THAT(grouped_problems(GemmPass::kWeightGradient, {none, kOuter, kInner}), IsEmpty());
}

/// Two experts of 3 and 2 rows, outer 8, inner 16, by hand.
TEST(GroupedProblem, OfTheSecondExpertByHand) {
  const std::vector<std::int64_t> begin = {0, 3, 5};
  const GroupedShape shape{begin, 8, 16};
  EXPECT_EQ(grouped_problems(GemmPass::kForward, shape)[1],
            (GemmProblem{true, false, 8, 2, 16, 16, 16, 8, 128, 48, 24}));
  EXPECT_EQ(grouped_problems(GemmPass::kInputGradient, shape)[1],
            (GemmProblem{false, false, 16, 2, 8, 16, 8, 16, 128, 24, 48}));
  EXPECT_EQ(grouped_problems(GemmPass::kWeightGradient, shape)[1],
            (GemmProblem{false, true, 16, 8, 2, 16, 8, 16, 48, 24, 128}));
}

TEST(GroupedProblem, RefusesWhatBlasCannotDo) {
  const std::vector<std::int64_t> begin = {0, 3};
  EXPECT_THROW((void)grouped_problems(GemmPass::kForward, {begin, 12, 16}), std::invalid_argument);
  EXPECT_THROW((void)grouped_problems(GemmPass::kForward, {begin, 16, 0}), std::invalid_argument);
  const std::vector<std::int64_t> long_group = {0, std::int64_t{1} << 31U};
  EXPECT_THROW((void)grouped_problems(GemmPass::kForward, {long_group, 8, 8}),
               std::invalid_argument);
  const std::vector<std::int64_t> counts = {2, 0, 5};
  EXPECT_THAT(begins_of_counts(counts), ElementsAre(0, 2, 2, 7));
}

}  // namespace
}  // namespace moesim::gpu_ref
