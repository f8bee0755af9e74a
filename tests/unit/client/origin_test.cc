#include "client/api/origin.h"

#include <gtest/gtest.h>

#include <limits>

#include "client/api/live_sweep.h"
#include "tests/unit/client/messages.h"

namespace tunesmith {
namespace {

v1::Trial Chosen(v1::Trial::State state, v1::Origin::Judge judge, uint32_t rank, uint32_t of) {
  v1::Trial trial = MakeTrial(3, state, 9, 0.978);
  trial.mutable_origin()->set_kind(v1::Origin::MODEL);
  trial.mutable_origin()->set_judge(judge);
  trial.mutable_origin()->set_rank(rank);
  trial.mutable_origin()->set_of(of);
  return trial;
}

TEST(Origin, TellsWhatTheModelPredictedAndWhatBecameOfIt) {
  const v1::Sweep sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  v1::Trial trial = Chosen(v1::Trial::RUNNING, v1::Origin::GP, 1, 112);
  trial.mutable_origin()->set_predicted(0.9812345);
  const std::string chosen =
      "chosen by the Gaussian process as best of 112 candidates; it predicted loss 0.9812";
  EXPECT_EQ(OriginText(sweep, trial), chosen);
  trial.set_state(v1::Trial::COMPLETED);
  EXPECT_EQ(OriginText(sweep, trial), chosen + ", and the trial reached 0.978");
  trial.set_state(v1::Trial::STOPPED);
  EXPECT_EQ(OriginText(sweep, trial),
            chosen + ", and the trial had reached 0.978 when it ended early");
  trial.clear_last_metrics();
  EXPECT_EQ(OriginText(sweep, trial), chosen);
}

TEST(Origin, NamesTheRankWhereBetterOnesWereTried) {
  const v1::Sweep sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  EXPECT_EQ(OriginText(sweep, Chosen(v1::Trial::PENDING, v1::Origin::TPE, 3, 24)),
            "chosen by the Parzen estimator (TPE) as number 3 of 24 candidates");
  EXPECT_EQ(OriginText(sweep, Chosen(v1::Trial::PENDING, v1::Origin::FOREST, 1, 1)),
            "chosen by the forest of trees");
}

TEST(Origin, HasAWordAndASentenceForEveryKind) {
  const v1::Sweep sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  for (int kind = v1::Origin::Kind_MIN; kind <= v1::Origin::Kind_MAX; ++kind) {
    v1::Trial trial = MakeTrial(3, v1::Trial::PENDING);
    trial.mutable_origin()->set_kind(static_cast<v1::Origin::Kind>(kind));
    trial.mutable_origin()->set_repeat_of(1);
    EXPECT_EQ(OriginWord(trial).empty(), kind == v1::Origin::KIND_UNSPECIFIED) << kind;
    EXPECT_FALSE(OriginText(sweep, trial).empty()) << kind;
    if (kind == v1::Origin::REPEAT) {
      EXPECT_EQ(OriginText(sweep, trial), "repeats trial 1");
    }
  }
  for (int judge = v1::Origin::TPE; judge <= v1::Origin::Judge_MAX; ++judge) {
    const v1::Trial trial =
        Chosen(v1::Trial::PENDING, static_cast<v1::Origin::Judge>(judge), 1, 24);
    EXPECT_NE(OriginWord(trial), "model") << judge;
    EXPECT_EQ(OriginText(sweep, trial).find("the model"), std::string::npos) << judge;
  }
}

TEST(Origin, IsNotMadeUpForTrialsOfAnOlderController) {
  const v1::Sweep sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  v1::Trial trial = MakeTrial(3, v1::Trial::PENDING);
  EXPECT_EQ(OriginWord(trial), "");
  EXPECT_EQ(OriginJson(trial), "null");
  EXPECT_EQ(OriginText(sweep, trial), "from the searcher");
  trial.set_from_user(true);
  EXPECT_EQ(OriginText(sweep, trial), "one of the sweep's own points");
}

TEST(Origin, IsExactInJson) {
  v1::Trial trial = Chosen(v1::Trial::COMPLETED, v1::Origin::GP, 1, 112);
  trial.mutable_origin()->set_predicted(std::numeric_limits<double>::infinity());
  EXPECT_EQ(OriginJson(trial),
            R"({"kind":"model","judge":"gp","predicted":"inf","rank":1,"of":112,"repeat_of":null})");
  trial.mutable_origin()->Clear();
  trial.mutable_origin()->set_kind(v1::Origin::REPEAT);
  trial.mutable_origin()->set_repeat_of(0);
  EXPECT_EQ(OriginJson(trial),
            R"({"kind":"repeat","judge":null,"predicted":null,"rank":0,"of":0,"repeat_of":0})");
}

TEST(Origin, IsOnTheScreen) {
  v1::WatchSweepResponse snapshot;
  snapshot.set_snapshot(true);
  snapshot.set_snapshot_complete(true);
  *snapshot.mutable_sweep() = MakeSweep("digits", v1::Sweep::ACTIVE);
  *snapshot.add_trials() = Chosen(v1::Trial::COMPLETED, v1::Origin::GP, 1, 112);
  LiveSweep live;
  live.Apply(snapshot, 2'000'000);
  const SweepView view = live.View({.now_ms = 2'000'000});
  ASSERT_EQ(view.rows.size(), 1u);
  EXPECT_EQ(view.rows[0].from, "gp");
}

}  // namespace
}  // namespace tunesmith
