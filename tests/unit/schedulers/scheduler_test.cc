#include "schedulers/scheduler.h"

#include <gtest/gtest.h>

#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

// The fields that MakeScheduler complains about.
std::vector<std::string> Complaints(const SchedulerOptions& options) {
  Problems problems;
  const auto scheduler = MakeScheduler(options, &problems);
  EXPECT_EQ(scheduler == nullptr, !problems.empty());
  std::vector<std::string> fields;
  for (const Problem& p : problems) {
    EXPECT_FALSE(p.message.empty());
    EXPECT_FALSE(p.hint.empty()) << p.message;
    fields.push_back(p.field);
  }
  return fields;
}

using Fields = std::vector<std::string>;

TEST(MakeScheduler, NamesEveryOptionThatMakesNoSense) {
  EXPECT_EQ(Complaints({.type = "asha"}), Fields{});
  EXPECT_EQ(Complaints({.type = "asha", .max_t = -5}), Fields{"scheduler.max_t"});
  EXPECT_EQ(Complaints({.type = "asha", .max_t = 5, .grace_period = 6}),
            Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "asha", .grace_period = 0}), Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "asha", .grace_period = 2.5}), Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "asha", .grace_period = 2.5, .compat_ray = true}), Fields{});
  EXPECT_EQ(Complaints({.type = "asha", .grace_period = kNan}), Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "asha", .reduction_factor = 1}),
            Fields{"scheduler.reduction_factor"});
  EXPECT_EQ(Complaints({.type = "asha", .reduction_factor = kNan}),
            Fields{"scheduler.reduction_factor"});
  EXPECT_EQ(Complaints({.type = "asha", .reduction_factor = kInf}),
            Fields{"scheduler.reduction_factor"});
  EXPECT_EQ(Complaints({.type = "asha", .reduction_factor = 1.0000001}),
            Fields{"scheduler.reduction_factor"});
  EXPECT_EQ(Complaints({.type = "asha", .reduction_factor = 1.5}), Fields{});
  EXPECT_EQ(Complaints({.type = "asha", .brackets = 0}), Fields{"scheduler.brackets"});
  EXPECT_EQ(Complaints({.type = "asha", .brackets = 5}), Fields{"scheduler.brackets"}) << "4 rungs";
  EXPECT_EQ(Complaints({.type = "asha", .brackets = 4}), Fields{});
  EXPECT_EQ(Complaints({.type = "asha", .brackets = 5, .compat_ray = true}), Fields{});
  EXPECT_EQ(Complaints({.type = "asha", .brackets = 2'000'000'000, .compat_ray = true}),
            Fields{"scheduler.brackets"});
  EXPECT_EQ(
      Complaints(
          {.type = "asha", .max_t = -1, .grace_period = -1, .reduction_factor = 0, .brackets = -3}),
      (Fields{"scheduler.max_t", "scheduler.grace_period", "scheduler.reduction_factor",
              "scheduler.brackets"}));
}

TEST(MakeScheduler, ProposesTheClosestType) {
  Problems problems;
  EXPECT_EQ(MakeScheduler({.type = "ahsa"}, &problems), nullptr);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].field, "scheduler.type");
  EXPECT_EQ(problems[0].message, "unknown scheduler \"ahsa\"");
  EXPECT_EQ(problems[0].hint, "did you mean asha?");
}

TEST(Explain, SaysTheValueTheCutoffTheRungAndTheRank) {
  const Verdict v{.action = Action::kStop,
                  .reason = Reason::kBelowCutoff,
                  .milestone = 3,
                  .recorded = true,
                  .value = 0.61,
                  .cutoff = 0.48,
                  .has_cutoff = true,
                  .rank = 7,
                  .peers = 9};
  EXPECT_EQ(Explain(v, "loss", Goal::kMin),
            "0.61 is worse than the cutoff 0.48 at rung 3 (rank 7 of 9, loss min)");
}

TEST(Explain, NeverShowsTwoDifferentNumbersAlike) {
  const Verdict v{.action = Action::kStop,
                  .reason = Reason::kBelowCutoff,
                  .milestone = 3,
                  .value = 0.48000001,
                  .cutoff = 0.48,
                  .has_cutoff = true,
                  .rank = 2,
                  .peers = 2};
  EXPECT_EQ(Explain(v, "loss", Goal::kMin),
            "0.48000001 is worse than the cutoff 0.48 at rung 3 (rank 2 of 2, loss min)");
}

TEST(Explain, HasAWordForEveryReason) {
  for (int i = 0; i <= static_cast<int>(Reason::kReachedMax); ++i) {
    const Verdict v{.reason = static_cast<Reason>(i)};
    EXPECT_FALSE(Explain(v, "loss", Goal::kMin).empty()) << i;
    EXPECT_STRNE(ReasonName(v.reason), "unknown") << i;
  }
}

}  // namespace
}  // namespace tunesmith
