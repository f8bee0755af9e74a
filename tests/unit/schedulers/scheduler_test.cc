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

TEST(MakeScheduler, NamesEveryOptionOfMedianThatMakesNoSense) {
  EXPECT_EQ(Complaints({.type = "median"}), Fields{});
  EXPECT_EQ(Complaints({.type = "median", .max_t = -5}), Fields{"scheduler.max_t"});
  EXPECT_EQ(Complaints({.type = "median", .max_t = 5, .grace_period = 6}),
            Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "median", .grace_period = 0}), Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "median", .grace_period = 2.5}), Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "median", .grace_period = 2.5, .compat_ray = true}), Fields{});
  EXPECT_EQ(Complaints({.type = "median", .grace_period = 0, .compat_ray = true}), Fields{});
  EXPECT_EQ(Complaints({.type = "median", .grace_period = -1, .compat_ray = true}),
            Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "median", .grace_period = kNan}), Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "median", .grace_period = kInf, .compat_ray = true}),
            Fields{"scheduler.grace_period"});
  EXPECT_EQ(Complaints({.type = "median", .min_samples_required = 0}),
            Fields{"scheduler.min_samples_required"});
  EXPECT_EQ(Complaints({.type = "median", .reduction_factor = 0, .brackets = -3}), Fields{})
      << "it has no rungs";
  EXPECT_EQ(
      Complaints({.type = "median", .max_t = -1, .grace_period = -1, .min_samples_required = -2}),
      (Fields{"scheduler.max_t", "scheduler.grace_period", "scheduler.min_samples_required"}));
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

TEST(Explain, SaysTheMedianAndHowManyItIsOf) {
  Verdict v{.action = Action::kStop,
            .reason = Reason::kBelowMedian,
            .milestone = 7,
            .recorded = true,
            .value = 0.61,
            .cutoff = 0.48,
            .has_cutoff = true,
            .peers = 5};
  EXPECT_EQ(Explain(v, "loss", Goal::kMin),
            "loss was never as good as 0.48, the median of 5 others at step 7 (0.61 now, min)");
  v.action = Action::kContinue;
  v.reason = Reason::kAboveMedian;
  EXPECT_EQ(Explain(v, "loss", Goal::kMin),
            "loss has been as good as 0.48 or better, the median of 5 others at step 7 (0.61 now, min)");
  v.action = Action::kStop;
  v.reason = Reason::kBelowMedian;
  v.has_cutoff = false;
  EXPECT_EQ(Explain(v, "acc", Goal::kMax),
            "not a number is the median of 5 others at step 7, for which compat: ray stops a trial "
            "(0.61 now, max)");
}

TEST(IsDecision, IsWhatWasJudgedNotWhatWasRecordedOnly) {
  EXPECT_FALSE(IsDecision({}));
  EXPECT_FALSE(IsDecision({.reason = Reason::kNoMetric}));
  EXPECT_FALSE(IsDecision({.milestone = 3, .recorded = true}));
  EXPECT_TRUE(IsDecision({.reason = Reason::kFirstAtRung, .recorded = true}));
  EXPECT_TRUE(IsDecision({.reason = Reason::kAboveMedian, .recorded = true}));
  EXPECT_TRUE(IsDecision({.action = Action::kStop}));
  EXPECT_TRUE(IsDecision({.action = Action::kStop, .reason = Reason::kReachedMax}));
}

TEST(Explain, HasAWordForEveryReason) {
  for (int i = 0; i <= static_cast<int>(Reason::kAboveMedian); ++i) {
    const Verdict v{.reason = static_cast<Reason>(i)};
    EXPECT_FALSE(Explain(v, "loss", Goal::kMin).empty()) << i;
    EXPECT_STRNE(ReasonName(v.reason), "unknown") << i;
  }
}

}  // namespace
}  // namespace tunesmith
