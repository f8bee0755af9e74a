// Who runs where.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class PlacementTest : public CoreTest {
 protected:
  std::vector<std::string> DevicesOf(SweepId id, uint32_t number) const {
    return TrialOf(id, number).attempts.back().devices;
  }
};

SweepSpec GpuSpecOf(const std::string& name, int64_t trials, double gpus) {
  SweepSpec spec = SpecOf(name, trials);
  spec.resources.gpus = gpus;
  return spec;
}

TEST_F(PlacementTest, ATrialTakesItsCpus) {
  SweepSpec spec = SpecOf("digits", 10);
  spec.resources.cpus = 3;
  Connect("w", 8);
  EXPECT_EQ(Running(Create(spec)), 2u);
}

TEST_F(PlacementTest, AWorkerThatIsTooSmallIsNamedAsTheReason) {
  SweepSpec spec = SpecOf("digits", 10);
  spec.resources.cpus = 3;
  Connect("w", 2);
  const SweepId id = Create(spec);
  EXPECT_EQ(Running(id), 0u);
  EXPECT_EQ(controller_->WaitingReason(SweepOf(id)), "waiting for 3 CPUs on one worker: the most that one has is 2");
}

TEST_F(PlacementTest, EachDeviceIsLeasedToOneTrial) {
  Connect("w", 16, 2);
  const SweepId id = Create(GpuSpecOf("digits", 10, 1));
  ASSERT_EQ(Running(id), 2u);
  EXPECT_EQ(DevicesOf(id, 0), std::vector<std::string>{"w-gpu0"});
  EXPECT_EQ(DevicesOf(id, 1), std::vector<std::string>{"w-gpu1"});
}

TEST_F(PlacementTest, ADeviceIsLeasedAgainOnceItsTrialIsGone) {
  const SessionId worker = Connect("w", 16, 1);
  const SweepId id = Create(GpuSpecOf("digits", 3, 1));
  Finish(worker, RefOf(id, 0), 0.5);
  EXPECT_EQ(DevicesOf(id, 1), std::vector<std::string>{"w-gpu0"});
}

TEST_F(PlacementTest, AGangOfDevicesIsPlacedWholeOrNotAtAll) {
  Connect("a", 16, 3);
  Connect("b", 16, 1);
  const SweepId id = Create(GpuSpecOf("digits", 10, 2));
  EXPECT_EQ(Running(id), 1u) << "one device is left on each worker: too few for another trial";
  EXPECT_EQ(DevicesOf(id, 0), (std::vector<std::string>{"a-gpu0", "a-gpu1"}));
}

TEST_F(PlacementTest, FractionsShareADeviceAndFillOneBeforeTheNext) {
  Connect("w", 16, 2);
  SweepSpec spec = GpuSpecOf("digits", 10, 0.5);
  spec.budget.max_parallel = 2;
  const SweepId id = Create(spec);
  EXPECT_EQ(DevicesOf(id, 0), std::vector<std::string>{"w-gpu0"});
  EXPECT_EQ(DevicesOf(id, 1), std::vector<std::string>{"w-gpu0"});
  const SweepId whole = Create(GpuSpecOf("whole", 1, 1));
  EXPECT_EQ(DevicesOf(whole, 0), std::vector<std::string>{"w-gpu1"});
}

TEST_F(PlacementTest, SharesThatAreNotExactInBinaryFillADeviceExactly) {
  for (const double share : {0.1, 0.2, 1.0 / 3, 0.7}) {
    const std::string name = "w" + std::to_string(share);
    const SessionId worker = Connect(name, 64, 1);
    const SweepId id = Create(GpuSpecOf("digits", 200, share));
    const auto fit = static_cast<size_t>(1 / share + 1e-9);
    EXPECT_EQ(Running(id), fit) << share;
    // Taken and given back again and again, nothing is lost to rounding.
    for (uint32_t i = 0; i < 50; ++i) {
      const uint32_t number = *SweepOf(id).live.begin();
      Finish(worker, RefOf(id, number), 0.5);
      ASSERT_EQ(Running(id), fit) << share;
    }
    Control(id, Operation::kStop);
    for (const uint32_t number : std::set<uint32_t>(SweepOf(id).live)) Ended(worker, RefOf(id, number), ExitCode(0));
    EXPECT_EQ(controller_->live_workers().at(state().FindWorker(name)).device_used[0], 0.0);
    Post(WorkerDisconnected{worker});
  }
}

TEST_F(PlacementTest, WithoutAnyGpuASweepWaitsAndSaysSo) {
  Connect("w", 16);
  const SweepId id = Create(GpuSpecOf("digits", 10, 1));
  EXPECT_EQ(Running(id), 0u);
  EXPECT_EQ(controller_->WaitingReason(SweepOf(id)),
            "waiting for 1 GPU(s) on one worker: the most that one has is 0 (resources.gpus_optional: true runs on the "
            "CPU where there is none)");
}

TEST_F(PlacementTest, OptionalGpusAreUsedWhereThereAreAnyElseTheCpu) {
  SweepSpec spec = GpuSpecOf("digits", 10, 1);
  spec.resources.gpus_optional = true;
  Connect("cpu", 1);
  const SweepId on_cpu = Create(spec);
  ASSERT_EQ(Running(on_cpu), 1u);
  EXPECT_TRUE(DevicesOf(on_cpu, 0).empty());
  EXPECT_EQ(TrialOf(on_cpu, 0).attempts[0].gpus, 0);
  Connect("gpu", 4, 1);
  ASSERT_EQ(Running(on_cpu), 2u);
  EXPECT_EQ(DevicesOf(on_cpu, 1), std::vector<std::string>{"gpu-gpu0"});
}

TEST_F(PlacementTest, WhenTheLastGpuLeavesOptionalSweepsGoOnOnTheCpu) {
  SweepSpec spec = GpuSpecOf("digits", 10, 1);
  spec.resources.gpus_optional = true;
  spec.resources.cpus = 4;
  const SessionId gpu = Connect("gpu", 1, 1);  // has a GPU, but too few CPUs for it
  Connect("cpu", 4);
  const SweepId id = Create(spec);
  ASSERT_EQ(Running(id), 0u);
  Post(WorkerDisconnected{gpu});
  EXPECT_EQ(Running(id), 1u) << "nobody is left to wait for";
}

TEST_F(PlacementTest, AtMostMaxParallelTrialsRun) {
  SweepSpec spec = SpecOf("digits", 10);
  spec.budget.max_parallel = 2;
  const SessionId worker = Connect("w", 8);
  const SweepId id = Create(spec);
  EXPECT_EQ(Running(id), 2u);
  Finish(worker, RefOf(id, 0), 0.5);
  EXPECT_EQ(Running(id), 2u);
  EXPECT_EQ(SweepOf(id).trials.size(), 3u) << "no point is asked for before it can be used";
}

TEST_F(PlacementTest, TwoSweepsShareThePlacesFairly) {
  const SessionId worker = Connect("w", 4);
  const SweepId first = Create(SpecOf("first", 100));
  EXPECT_EQ(Running(first), 4u);
  const SweepId second = Create(SpecOf("second", 100));
  EXPECT_EQ(Running(second), 0u) << "what runs is not taken away";
  for (int i = 0; i < 4; ++i) {
    const bool from_first = Running(first) > 0 && Running(first) >= Running(second);
    const SweepId id = from_first ? first : second;
    Finish(worker, RefOf(id, *SweepOf(id).live.begin()), 0.5);
  }
  EXPECT_EQ(Running(first), 2u);
  EXPECT_EQ(Running(second), 2u);
}

TEST_F(PlacementTest, ASweepWithoutWorkLeavesItsShareToTheOther) {
  SweepSpec small = SpecOf("small", 10);
  small.budget.max_parallel = 1;
  Connect("w", 4);
  const SweepId a = Create(small);
  const SweepId b = Create(SpecOf("large", 100));
  EXPECT_EQ(Running(a), 1u);
  EXPECT_EQ(Running(b), 3u);
}

TEST_F(PlacementTest, PointsAreAskedForOnlyAsPlacesAreFree) {
  HoldSuggestions();
  Connect("w", 3);
  const SweepId id = Create(SpecOf("digits", 100));
  EXPECT_EQ(held_suggestions().size(), 3u);
  GiveSuggestion();
  EXPECT_EQ(held_suggestions().size(), 2u);
  Connect("w2", 2);
  EXPECT_EQ(held_suggestions().size(), 4u) << "2 awaited, 2 more places";
  EXPECT_EQ(held_suggestions().back().trial, 4u) << "numbered without a gap";
  EXPECT_EQ(Running(id), 1u);
}

TEST_F(PlacementTest, OccupiedPlacesAreCountedAnewWhenADaemonComesBack) {
  const SessionId worker = Connect("w", 4, 2);
  const SweepId id = Create(GpuSpecOf("digits", 2, 1));
  const AttemptRef a = RefOf(id, 0);
  const AttemptRef b = RefOf(id, 1);
  Post(WorkerDisconnected{worker});
  Connect("w", 4, 2, "boot-1", {a, b});
  const LiveWorker& live = controller_->live_workers().begin()->second;
  EXPECT_EQ(live.cpus_used, 2);
  EXPECT_EQ(live.device_used, (std::vector<double>{1, 1}));
}

}  // namespace
}  // namespace tunesmith
