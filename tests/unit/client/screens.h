// Sweeps to draw in tests, and the files that hold how they look.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "client/table.h"
#include "common/rng.h"

namespace tunesmith {

// Compares with tests/golden/<name>.txt. TUNESMITH_REWRITE_GOLDEN=1 writes the files instead: look
// at the difference before committing it.
inline void ExpectGolden(const std::string& name, const std::vector<std::string>& lines) {
  const std::string path = std::string(TUNESMITH_GOLDEN_DIR) + "/" + name + ".txt";
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  const char* rewrite = std::getenv("TUNESMITH_REWRITE_GOLDEN");
  if (rewrite != nullptr && std::string(rewrite) == "1") {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  ASSERT_TRUE(file) << path << " is missing; TUNESMITH_REWRITE_GOLDEN=1 writes it";
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(text, golden.str()) << path << "; TUNESMITH_REWRITE_GOLDEN=1 rewrites it";
}

// A falling curve from 2.3 to `end`.
inline std::vector<double> Curve(int points, double end) {
  std::vector<double> curve;
  for (int i = 1; i <= points; ++i) curve.push_back(end + (2.3 - end) / (i * i));
  return curve;
}

inline std::vector<double> RisingCurve(int points, double end) {
  std::vector<double> curve;
  for (int i = 1; i <= points; ++i) curve.push_back(end - (end - 0.1) / (i + 1) / (i + 1) * 2);
  return curve;
}

// 200 trials on two machines, in the middle.
inline SweepView CifarSweep() {
  SweepView v;
  v.name = "cifar-resnet";
  v.state = "ACTIVE";
  v.elapsed_ms = 761'000;
  v.controller = "lab-01:7070";
  v.done = 103;
  v.total = 200;
  v.eta_ms = 552'000;
  v.counts = {{RowState::kRunning, 4},
              {RowState::kWaiting, 2},
              {RowState::kCompleted, 9},
              {RowState::kStopped, 91},
              {RowState::kFailed, 3}};
  v.metric = "val_acc";
  v.goal = ViewGoal::kMax;
  v.best = BestView{93,
                    0.94321,
                    {{"lr", 3.12e-3},
                     {"wd", 5e-4},
                     {"opt", std::string("sgd")},
                     {"momentum", 0.91},
                     {"depth", int64_t{4}}}};
  for (int i = 0; i < 103; ++i) v.best_so_far.push_back(0.9432 - 0.6 / (1 + i));
  v.searcher = "tpe";
  v.scheduler = "asha 1..27 by 3";
  v.rung_metric = "loss";
  v.rung_goal = ViewGoal::kMin;
  v.rungs = {{0, 9, 16, 7, 0.6102}, {0, 3, 41, 25, 0.8123}, {0, 1, 112, 71, 1.4312}};
  v.workers = {{"lab-01",
                "",
                3,
                4,
                {{"0", true, 0.97, ""},
                 {"1", true, 0.95, ""},
                 {"2", true, 0.61, ""},
                 {"3", false, {}, "held"}}},
               {"lab-02", "draining", 1, 2, {{"0", true, 0.99, ""}, {"1", false, {}, ""}}}};
  v.metric_columns = {"loss", "val_acc"};
  v.param_columns = {"lr", "wd", "opt", "momentum", "depth"};
  const auto params = [](double lr, double wd, const char* opt, ViewValue momentum, int64_t depth) {
    return std::vector<ViewValue>{lr, wd, std::string(opt), momentum, depth};
  };
  const ViewValue none;
  v.rows = {
      {93,
       RowState::kCompleted,
       "",
       27,
       27,
       {0.2104, 0.94321},
       params(3.12e-3, 5e-4, "sgd", 0.91, 4),
       RisingCurve(27, 0.9432),
       "lab-01:0",
       252'000,
       ""},
      {112,
       RowState::kRunning,
       "",
       11,
       27,
       {0.2511, 0.9388},
       params(2.7e-3, 4.4e-4, "sgd", 0.9, 4),
       RisingCurve(11, 0.9388),
       "lab-01:1",
       110'000,
       ""},
      {115,
       RowState::kRunning,
       "",
       4,
       27,
       {0.4023, 0.9021},
       params(8.8e-3, 1e-4, "adam", none, 3),
       RisingCurve(4, 0.9021),
       "lab-02:0",
       41'000,
       ""},
      {116,
       RowState::kRunning,
       "",
       1,
       27,
       {std::nullopt, NAN},
       params(9.7e-2, 1e-5, "sgd", 0.5, 6),
       {NAN},
       "lab-01:0",
       9'700,
       ""},
      {114,
       RowState::kRunning,
       "",
       0,
       27,
       {std::nullopt, std::nullopt},
       params(1.1e-3, 1e-3, "adam", none, 5),
       {},
       "lab-01:2",
       1'200,
       ""},
      {117,
       RowState::kWaiting,
       "retry 2/3",
       0,
       27,
       {std::nullopt, std::nullopt},
       params(1.9e-2, 2.1e-3, "sgd", 0.99, 5),
       {},
       "",
       {},
       "CUDA out of memory on lab-02:0"},
      {118,
       RowState::kWaiting,
       "",
       0,
       27,
       {std::nullopt, std::nullopt},
       params(4e-3, 6.1e-4, "sgd", 0.8, 5),
       {},
       "",
       {},
       "lab-01:3 is held to resume #101"},
      {88,
       RowState::kCompleted,
       "",
       27,
       27,
       {0.2301, 0.9405},
       params(2.2e-3, 3e-4, "sgd", 0.93, 4),
       RisingCurve(27, 0.9405),
       "lab-01:1",
       260'000,
       ""},
      {57,
       RowState::kStopped,
       "",
       9,
       27,
       {0.71, 0.7712},
       params(6.1e-5, 3e-4, "adam", none, 2),
       RisingCurve(9, 0.7712),
       "lab-02:1",
       80'000,
       ""},
      {21,
       RowState::kFailed,
       "",
       3,
       27,
       {12.4, 0.1},
       params(9.9e-2, 9e-3, "sgd", 0.99, 8),
       RisingCurve(3, 0.1),
       "lab-02:1",
       31'000,
       "exit code 1: RuntimeError: shape mismatch"},
  };
  v.hints = {"q detach", "s stop", "p pause", "l logs", "? help"};
  return v;
}

// Ten trials on one machine without a GPU, minimised, the first reports in.
inline SweepView DigitsSweep() {
  SweepView v;
  v.name = "digits";
  v.state = "ACTIVE";
  v.elapsed_ms = 8'400;
  v.done = 2;
  v.total = 10;
  v.counts = {{RowState::kRunning, 2},
              {RowState::kWaiting, 1},
              {RowState::kCompleted, 1},
              {RowState::kStopped, 1}};
  v.metric = "accuracy";
  v.goal = ViewGoal::kMax;
  v.best =
      BestView{0,
               0.8611,
               {{"NUM_EPOCH", int64_t{9}}, {"LearningRate", 0.00091}, {"BatchSize", int64_t{32}}}};
  v.best_so_far = {0.8611, 0.8611};
  v.searcher = "tpe";
  v.scheduler = "asha 1..9 by 2";
  v.rung_metric = "loss";
  v.rungs = {{0, 8, 1, 0, 0.51}, {0, 4, 2, 1, 0.83}, {0, 2, 3, 0, 1.2}, {0, 1, 4, 0, 1.9}};
  v.workers = {{"local", "", 2, 2, {}}};
  v.metric_columns = {"accuracy", "loss"};
  v.param_columns = {"NUM_EPOCH", "LearningRate", "BatchSize"};
  const auto params = [](int64_t epochs, double rate, int64_t batch) {
    return std::vector<ViewValue>{epochs, rate, batch};
  };
  v.rows = {{0,
             RowState::kCompleted,
             "",
             9,
             9,
             {0.8611, 0.5022},
             params(9, 0.00091, 32),
             RisingCurve(9, 0.8611),
             "",
             2'310,
             ""},
            {1,
             RowState::kStopped,
             "",
             4,
             4,
             {0.4402, 1.9},
             params(4, 0.00012, 128),
             RisingCurve(4, 0.4402),
             "",
             900,
             ""},
            {2,
             RowState::kRunning,
             "",
             5,
             7,
             {0.7701, 0.83},
             params(7, 0.00055, 32),
             RisingCurve(5, 0.7701),
             "",
             1'700,
             ""},
            {3,
             RowState::kRunning,
             "",
             1,
             8,
             {0.31, 2.1},
             params(8, 0.0003, 64),
             RisingCurve(1, 0.31),
             "",
             300,
             ""},
            {4, RowState::kWaiting, "", 0, 5, {}, params(5, 0.0007, 64), {}, "", {}, ""}};
  return v;
}

}  // namespace tunesmith
