// What fits where, and what is nearest to it.
#include "server/core/fit.h"

#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

LiveWorker WorkerOf(int32_t cpus, const std::vector<int64_t>& gib) {
  LiveWorker worker;
  worker.info.cpus = cpus;
  for (size_t i = 0; i < gib.size(); ++i) {
    worker.info.devices.push_back({"gpu" + std::to_string(i), "card", static_cast<int32_t>(i), gib[i] * kGiB});
  }
  worker.device_used.assign(gib.size(), 0);
  return worker;
}

using Devices = std::vector<size_t>;

Devices DevicesOn(const LiveWorker& worker, const Request& request) {
  const auto fit = FitOn(worker, request);
  return fit ? fit->devices : Devices{99};
}

TEST(FitTest, WholeDevicesAreTheSmallestWithMemoryEnough) {
  const LiveWorker worker = WorkerOf(8, {80, 24, 40, 24});
  EXPECT_EQ(DevicesOn(worker, {.gpus = 1}), (Devices{1}));
  EXPECT_EQ(DevicesOn(worker, {.gpus = 2}), (Devices{1, 3}));
  EXPECT_EQ(DevicesOn(worker, {.gpus = 1, .gpu_memory_bytes = 25 * kGiB}), (Devices{2}));
  EXPECT_EQ(DevicesOn(worker, {.gpus = 2, .gpu_memory_bytes = 40 * kGiB}), (Devices{2, 0}));
  EXPECT_EQ(DevicesOn(worker, {.gpus = 3, .gpu_memory_bytes = 40 * kGiB}), (Devices{99}));
  EXPECT_EQ(MissOn(worker, {.gpus = 3, .gpu_memory_bytes = 40 * kGiB}),
            "3 GPUs with 40 GiB are asked for, 2 of its 4 can have as much, the largest has 80 GiB");
}

TEST(FitTest, OnlyReadyDevicesAreLeased) {
  LiveWorker worker = WorkerOf(8, {80, 24, 24});
  worker.info.devices[1].state = DeviceState::kQuarantined;
  worker.info.devices[1].state_reason = "20.0 GiB are in use";
  EXPECT_EQ(DevicesOn(worker, {.gpus = 1}), (Devices{2}));
  EXPECT_EQ(DevicesOn(worker, {.gpus = 0.5}), (Devices{2}));
  EXPECT_EQ(PlacesOn(worker, {.gpus = 1}), 2);
  EXPECT_EQ(PlacesOn(worker, {.gpus = 0.25}), 8);
  EXPECT_EQ(MissOn(worker, {.gpus = 3}),
            "3 GPUs are asked for, 2 of its 3 are free; its GPU 1 is quarantined: 20.0 GiB are in use");
  EXPECT_FALSE(CouldFitOn(worker, {.gpus = 3}));
  worker.info.devices[1].state = DeviceState::kReturning;
  EXPECT_TRUE(CouldFitOn(worker, {.gpus = 3})) << "it is only waited for";
  EXPECT_EQ(DevicesOn(worker, {.gpus = 3}), (Devices{99}));
  EXPECT_EQ(HeldDevicesText(worker), "its GPU 1 is not handed over yet: 20.0 GiB are in use");
}

TEST(FitTest, FractionsFillTheFullestDeviceOrSpreadOverTheEmptiest) {
  LiveWorker worker = WorkerOf(8, {24, 24, 80});
  worker.device_used = {0, 0.5, 0.25};
  EXPECT_EQ(DevicesOn(worker, {.gpus = 0.5}), (Devices{1}));
  EXPECT_EQ(DevicesOn(worker, {.gpus = 0.75}), (Devices{2}));
  EXPECT_EQ(DevicesOn(worker, {.gpus = 0.5, .gpu_memory_bytes = 30 * kGiB}), (Devices{2}));
  EXPECT_EQ(DevicesOn(worker, {.gpus = 0.5, .placement = Placement::kSpread}), (Devices{0}));
  EXPECT_EQ(MissOn(worker, {.gpus = 0.8, .gpu_memory_bytes = 30 * kGiB}),
            "0.8 of a GPU with 30 GiB is asked for, the most that one has free is 0.75");
}

TEST(FitTest, LabelsMustBeThereWithTheirValues) {
  LiveWorker worker = WorkerOf(8, {});
  worker.info.labels = {{"zone", "a"}, {"disk", "ssd"}};
  std::map<std::string, std::string> labels = {{"zone", "a"}};
  Request request = {.labels = &labels};
  EXPECT_TRUE(FitOn(worker, request));
  labels["rack"] = "7";
  EXPECT_FALSE(FitOn(worker, request));
  EXPECT_EQ(PlacesOn(worker, request), 0);
  EXPECT_EQ(LabelsHeld(worker, request), 1u);
  EXPECT_EQ(MissOn(worker, request), "the label rack=7 is asked for, it has no rack");
  labels = {{"zone", "b"}};
  EXPECT_EQ(MissOn(worker, request), "the label zone=b is asked for, it has zone=a");
}

// Random workers and requests: what is given is right, and nothing is refused that could be given.
TEST(FitTest, EveryFitIsValidAndNoneIsMissed) {
  Rng rng = Rng::ForLabels({7});
  int fits = 0;
  for (int round = 0; round < 20'000; ++round) {
    LiveWorker worker = WorkerOf(static_cast<int32_t>(rng.IntInclusive(1, 6)), {});
    const auto devices = static_cast<size_t>(rng.Below(5));
    for (size_t i = 0; i < devices; ++i) {
      worker.info.devices.push_back({"g" + std::to_string(i), "card", static_cast<int32_t>(i),
                                     rng.IntInclusive(1, 4) * 16 * kGiB, static_cast<DeviceState>(rng.Below(3))});
      const double used[] = {0, 0, 0.25, 0.5, 1};
      worker.device_used.push_back(used[rng.Below(5)]);
    }
    worker.cpus_used = static_cast<int32_t>(rng.IntInclusive(0, worker.info.cpus));
    const double gpus[] = {0, 0.25, 0.5, 1, 2, 3};
    const Request request = {.gpus = gpus[rng.Below(6)],
                             .cpus = static_cast<int32_t>(rng.IntInclusive(1, 3)),
                             .gpu_memory_bytes = rng.IntInclusive(0, 4) * 16 * kGiB,
                             .placement = rng.Below(2) == 0 ? Placement::kPack : Placement::kSpread};
    const auto usable = [&](size_t i) {
      const bool room = worker.device_used[i] + std::min(1.0, request.gpus) <= 1 + 1e-9;
      return room && worker.info.devices[i].state == DeviceState::kReady &&
             worker.info.devices[i].memory_bytes >= request.gpu_memory_bytes;
    };
    const auto wanted = static_cast<size_t>(request.gpus <= 0 ? 0 : std::max(1.0, request.gpus));
    size_t available = 0;
    for (size_t i = 0; i < devices; ++i) available += usable(i) ? 1 : 0;
    const bool expected = worker.info.cpus - worker.cpus_used >= request.cpus && (wanted == 0 || available >= wanted);
    const auto fit = FitOn(worker, request);
    ASSERT_EQ(fit.has_value(), expected) << round;
    EXPECT_EQ(MissOn(worker, request).empty(), expected);
    EXPECT_EQ(PlacesOn(worker, request) > 0, expected) << round;
    if (!fit) continue;
    ++fits;
    ASSERT_EQ(fit->devices.size(), wanted);
    EXPECT_EQ(std::set<size_t>(fit->devices.begin(), fit->devices.end()).size(), wanted) << "no device twice";
    for (const size_t i : fit->devices) EXPECT_TRUE(usable(i));
    // As many more as PlacesOn says, taken one after the other, and then none.
    int64_t places = 0;
    const int64_t promised = PlacesOn(worker, request);
    for (auto more = fit; more; more = FitOn(worker, request), ++places) {
      worker.cpus_used += request.cpus;
      for (const size_t i : more->devices) worker.device_used[i] += std::min(1.0, request.gpus);
    }
    EXPECT_EQ(places, promised) << round;
  }
  EXPECT_GT(fits, 2'000);
}

class BestFitTest : public CoreTest {
 protected:
  SessionId ConnectWith(const std::string& name, int32_t cpus, const std::vector<int64_t>& gib,
                        std::map<std::string, std::string> labels = {}) {
    WorkerConnected connected;
    connected.session = SessionId(1000 + sessions_++);
    connected.hello.name = name;
    connected.hello.boot_id = "boot";
    connected.hello.cpus = cpus;
    connected.hello.labels = std::move(labels);
    for (size_t i = 0; i < gib.size(); ++i) {
      connected.hello.devices.push_back(
          {name + "-gpu" + std::to_string(i), "card", static_cast<int32_t>(i), gib[i] * kGiB});
    }
    Post(connected);
    return connected.session;
  }
  static SweepSpec GpuSpec(const std::string& name, double gpus, int64_t trials = 1) {
    SweepSpec spec = SpecOf(name, trials);
    spec.resources.gpus = gpus;
    return spec;
  }
  std::string WorkerOf(SweepId id, uint32_t number) const {
    const Trial* found = state().FindTrial({id, number});
    if (found == nullptr || found->attempts.empty()) return "";
    const Trial& trial = *found;
    return state().workers().at(trial.attempts.back().worker).name;
  }
  void Held(SessionId session, std::vector<DeviceInfo> held) { Post(WorkerDevices{session, std::move(held)}); }

  uint64_t sessions_ = 0;
};

TEST_F(BestFitTest, ASmallTrialDoesNotBreakUpTheLastLargeWorker) {
  ConnectWith("large", 16, {80, 80, 80, 80});
  ConnectWith("small", 16, {80, 80});
  const SweepId one = Create(GpuSpec("one", 1, 3));
  EXPECT_EQ(WorkerOf(one, 0), "small");
  EXPECT_EQ(WorkerOf(one, 1), "small");
  EXPECT_EQ(WorkerOf(one, 2), "large") << "the rest goes where there is room";
  Control(one, Operation::kStop);
  ConnectWith("large2", 16, {80, 80, 80, 80});
  const SweepId next = Create(GpuSpec("next", 1));
  EXPECT_EQ(WorkerOf(next, 0), "large") << "it is broken up already";
  const SweepId gang = Create(GpuSpec("gang", 4));
  EXPECT_EQ(WorkerOf(gang, 0), "large2");
}

TEST_F(BestFitTest, WhereMemoryIsAskedForTheSmallestThatSufficesGoesFirst) {
  ConnectWith("h100", 16, {80});
  ConnectWith("a100", 16, {40, 40});
  ConnectWith("t4", 16, {16, 16});
  SweepSpec spec = GpuSpec("digits", 1);
  spec.resources.gpu_memory_bytes = 24 * kGiB;
  EXPECT_EQ(WorkerOf(Create(spec), 0), "a100");
  spec.resources.gpu_memory_bytes = 0;
  EXPECT_EQ(WorkerOf(Create(spec), 0), "a100") << "the last one there: nothing else is broken up";
  EXPECT_EQ(WorkerOf(Create(spec), 0), "h100") << "nor here";
  spec.resources.gpu_memory_bytes = 24 * kGiB;
  const SweepId waits = Create(spec);
  EXPECT_EQ(WorkerOf(waits, 0), "");
  EXPECT_EQ(controller_->WaitingReason(SweepOf(waits)), "every place is taken by other trials");
}

TEST_F(BestFitTest, SpreadTakesTheEmptiestWorker) {
  ConnectWith("a", 8, {80, 80, 80, 80});
  ConnectWith("b", 8, {80, 80});
  SweepSpec spec = GpuSpec("digits", 1, 4);
  spec.resources.placement = Placement::kSpread;
  const SweepId id = Create(spec);
  EXPECT_EQ(WorkerOf(id, 0), "a") << "both are empty: the older one";
  EXPECT_EQ(WorkerOf(id, 1), "b") << "a quarter of the other is in use";
  EXPECT_EQ(WorkerOf(id, 2), "a") << "a quarter against a half";
  EXPECT_EQ(WorkerOf(id, 3), "b") << "a half each, and more of the CPUs of a";
}

TEST_F(BestFitTest, TrialsWithoutGpusLeaveTheGpuWorkersAlone) {
  ConnectWith("gpu", 8, {80});
  ConnectWith("cpu", 2, {});
  const SweepId id = Create(SpecOf("digits", 3));
  EXPECT_EQ(WorkerOf(id, 0), "cpu");
  EXPECT_EQ(WorkerOf(id, 1), "cpu");
  EXPECT_EQ(WorkerOf(id, 2), "gpu");
}

TEST_F(BestFitTest, LabelsAndMemoryThatNobodyHasAreNamedWithTheClosestMiss) {
  ConnectWith("a", 8, {16});
  ConnectWith("b", 8, {24}, {{"zone", "x"}, {"disk", "ssd"}});
  SweepSpec spec = GpuSpec("digits", 1);
  spec.resources.labels = {{"zone", "x"}, {"disk", "hdd"}};
  const SweepId labels = Create(spec);
  EXPECT_EQ(controller_->WaitingReason(SweepOf(labels)),
            "waiting for a worker that has all of resources.labels; of worker b: the label disk=hdd is asked for, it "
            "has disk=ssd");
  spec.resources.labels = {};
  spec.resources.gpu_memory_bytes = 40 * kGiB;
  const SweepId memory = Create(spec);
  EXPECT_EQ(controller_->WaitingReason(SweepOf(memory)),
            "waiting for 1 GPU(s) with 40 GiB on one worker: the most that one has is 0, the largest has 24 GiB "
            "(resources.gpus_optional: true runs on the CPU where there is none)");
  spec.resources.gpu_memory_bytes = 20 * kGiB;
  spec.resources.labels = {{"zone", "x"}};
  EXPECT_EQ(WorkerOf(Create(spec), 0), "b");
  spec.resources.labels = {{"zone", "y"}};
  spec.resources.gpus_optional = true;
  ConnectWith("c", 8, {}, {{"zone", "y"}});
  const SweepId on_cpu = Create(spec);
  EXPECT_EQ(WorkerOf(on_cpu, 0), "c") << "of the workers that it may use none has such a GPU";
}

TEST_F(BestFitTest, ADeviceWhoseMemoryIsNotBackIsNotLeasedUntilItIs) {
  const SessionId worker = ConnectWith("w", 8, {80, 80});
  const SweepId id = Create(GpuSpec("digits", 1, 3));
  ASSERT_EQ(Running(id), 2u);
  const AttemptRef first = RefOf(id, 0);
  Held(worker, {{"w-gpu0", "", 0, 0, DeviceState::kReturning, "9.0 GiB are in use"}});
  Finish(worker, first, 0.5);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted) << "its result counts at once";
  EXPECT_EQ(Running(id), 1u) << "only its slot waits";
  Held(worker, {{"w-gpu0", "", 0, 0, DeviceState::kQuarantined, "9.0 GiB are in use"}});
  EXPECT_EQ(Running(id), 1u);
  Finish(worker, RefOf(id, 1), 0.5);
  ASSERT_EQ(Running(id), 1u) << "other devices go on";
  EXPECT_EQ(TrialOf(id, 2).attempts[0].devices, std::vector<std::string>{"w-gpu1"});
  const SweepId other = Create(GpuSpec("other", 1));
  EXPECT_EQ(controller_->WaitingReason(SweepOf(other)),
            "every place is taken by other trials or held: of worker w its GPU 0 is quarantined: 9.0 GiB are in use");
  const SweepId both = Create(GpuSpec("both", 2));
  EXPECT_EQ(controller_->WaitingReason(SweepOf(both)),
            "waiting for one worker that has all of it; of worker w: 2 GPUs are asked for, 0 of its 2 are free; its "
            "GPU 0 is quarantined: 9.0 GiB are in use");
  Held(worker, {});
  EXPECT_EQ(WorkerOf(other, 0), "w");
}

TEST_F(BestFitTest, AHelloTellsWhichDevicesAreHeld) {
  ConnectWith("w", 8, {80, 80});
  WorkerConnected again;
  again.session = SessionId(2000);
  again.hello = controller_->live_workers().begin()->second.info;
  again.hello.devices[0].state = DeviceState::kQuarantined;
  Post(again);
  const SweepId id = Create(GpuSpec("digits", 1, 2));
  EXPECT_EQ(Running(id), 1u);
  EXPECT_EQ(TrialOf(id, 0).attempts[0].devices, std::vector<std::string>{"w-gpu1"});
  Held(SessionId(4711), {});
  Held(SessionId(2000), {{"no-such-gpu"}});
  EXPECT_EQ(Running(id), 2u) << "the one is ready again; nonsense is ignored";
}

TEST_F(BestFitTest, CheckpointsOnAWorkerWithAQuarantinedDeviceDoNotHoldTheTrialThere) {
  SweepSpec spec = GpuSpec("digits", 1);
  spec.retry.failed = 1;
  const SessionId home = ConnectWith("home", 8, {80});
  const SweepId id = Create(spec);
  Report(home, RefOf(id, 0), 1, 0.5);
  Held(home, {{"home-gpu0", "", 0, 0, DeviceState::kReturning, "x"}});
  Ended(home, RefOf(id, 0), ExitCode(1));
  ConnectWith("other", 8, {80});
  EXPECT_EQ(Running(id), 0u) << "its checkpoints are there, and the device is about to come back";
  Held(home, {{"home-gpu0", "", 0, 0, DeviceState::kQuarantined, "x"}});
  EXPECT_EQ(WorkerOf(id, 0), "other");
}

}  // namespace
}  // namespace tunesmith
