#include "bench/search/functions.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

#include "common/check.h"

namespace tunesmith::bench {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const Value kInactive = std::monostate();

Parameter Real(const std::string& name, double lo, double hi) {
  return RangeParameter(name, Distribution::kUniform, lo, hi);
}
Parameter Log(const std::string& name, double lo, double hi) {
  return RangeParameter(name, Distribution::kLogUniform, lo, hi);
}
// Both ends inclusive.
Parameter Integer(const std::string& name, int lo, int hi) {
  return RangeParameter(name, Distribution::kRandInt, lo, hi + 1);
}
Parameter LogInteger(const std::string& name, int lo, int hi) {
  return RangeParameter(name, Distribution::kLogRandInt, lo, hi + 1);
}
Parameter Choice(const std::string& name, const std::vector<std::string>& words) {
  Parameter p;
  p.name = name;
  p.distribution = Distribution::kChoice;
  p.options.assign(words.begin(), words.end());
  return p;
}
Parameter If(const std::string& parent, Condition::Op op, const Value& value, Parameter p) {
  Condition c;
  c.on = parent;
  c.op = op;
  c.values = {value};
  p.when.push_back(std::move(c));
  return p;
}
Parameter If(const std::string& parent, const std::string& word, Parameter p) {
  return If(parent, Condition::Op::kIn, word, std::move(p));
}

// name[0], name[1], ...
std::vector<Parameter> Reals(size_t n, double lo, double hi) {
  std::vector<Parameter> parameters;
  for (size_t i = 0; i < n; ++i) parameters.push_back(Real("x" + std::to_string(i), lo, hi));
  return parameters;
}

double X(const Point& point, size_t i) { return ValueNumber(point[i]); }
const std::string& Word(const Point& point, size_t i) { return std::get<std::string>(point[i]); }
double Square(double x) { return x * x; }
// How far x is from `best` in factors of ten.
double Decades(double x, double best) { return std::log10(x / best); }

Task MakeTask(const std::string& family, const std::string& name, std::vector<Parameter> parameters,
              Point best, double optimum, double (*loss)(const Point&)) {
  Problems problems;
  auto space = Space::Create(std::move(parameters), &problems);
  TS_CHECK(space.has_value(), name.c_str());
  Task task;
  task.name = name;
  task.family = family;
  task.space = *std::move(space);
  task.loss = loss;
  task.best = std::move(best);
  task.optimum = optimum;
  return task;
}

// --- numbers only

double Branin(const Point& point) {
  const double x = X(point, 0), y = X(point, 1);
  const double valley = y - 5.1 / (4 * kPi * kPi) * x * x + 5 / kPi * x - 6;
  return valley * valley + 10 * (1 - 1 / (8 * kPi)) * std::cos(x) + 10;
}

double Hartmann6(const Point& point) {
  constexpr double kHeight[4] = {1.0, 1.2, 3.0, 3.2};
  constexpr double kSteep[4][6] = {{10, 3, 17, 3.5, 1.7, 8},
                                   {0.05, 10, 17, 0.1, 8, 14},
                                   {3, 3.5, 1.7, 10, 17, 8},
                                   {17, 8, 0.05, 10, 0.1, 14}};
  constexpr double kCentre[4][6] = {{0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886},
                                    {0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991},
                                    {0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650},
                                    {0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381}};
  double sum = 0;
  for (size_t k = 0; k < 4; ++k) {
    double distance = 0;
    for (size_t i = 0; i < 6; ++i) distance += kSteep[k][i] * Square(X(point, i) - kCentre[k][i]);
    sum -= kHeight[k] * std::exp(-distance);
  }
  return sum;
}

// Two of the five on a log scale. The logarithm keeps the far walls from hiding the valley.
double Rosenbrock5(const Point& point) {
  double z[5];
  for (size_t i = 0; i < 5; ++i) z[i] = i < 2 ? std::log10(X(point, i)) : X(point, i);
  double sum = 0;
  for (size_t i = 0; i + 1 < 5; ++i) sum += 100 * Square(z[i + 1] - z[i] * z[i]) + Square(1 - z[i]);
  return std::log1p(sum);
}

double Ackley10(const Point& point) {
  double squares = 0, waves = 0;
  for (size_t i = 0; i < 10; ++i) {
    squares += Square(X(point, i)) / 10;
    waves += std::cos(2 * kPi * X(point, i)) / 10;
  }
  return -20 * std::exp(-0.2 * std::sqrt(squares)) - std::exp(waves) + 20 + std::exp(1.0);
}

double Levy4(const Point& point) {
  const auto w = [&](size_t i) { return 1 + (X(point, i) - 1) / 4; };
  double sum = Square(std::sin(kPi * w(0)));
  for (size_t i = 0; i < 3; ++i) {
    sum += Square(w(i) - 1) * (1 + 10 * Square(std::sin(kPi * w(i) + 1)));
  }
  return sum + Square(w(3) - 1) * (1 + Square(std::sin(2 * kPi * w(3))));
}

// A narrow valley across all axes: what a model without correlations cannot follow.
double Diagonal6(const Point& point) {
  double mean = 0, spread = 0;
  for (size_t i = 0; i < 6; ++i) mean += (X(point, i) - 0.3) / 6;
  for (size_t i = 0; i < 6; ++i) spread += Square(X(point, i) - 0.3 - mean);
  return std::sqrt(Square(mean) + 25 * spread);
}

// Three of twenty matter.
double Sparse20(const Point& point) {
  return Square(X(point, 3) - 0.2) + Square(X(point, 11) - 0.9) +
         2 * Square(X(point, 17) - 0.5 * X(point, 3) - 0.3);
}

// The best point is a corner: the ends of a log range, of integers and of a real range.
double Corner5(const Point& point) {
  return Decades(X(point, 0), 1e-5) + (64 - X(point, 1)) / 16 + Decades(1024, X(point, 2)) +
         (1 - X(point, 3)) + 0.5 * X(point, 4);
}

// --- with categories and integers

// Integers: every fourth one is a local minimum.
double Rastrigin5(const Point& point) {
  double sum = 0;
  for (size_t i = 0; i < 5; ++i) {
    const double x = X(point, i) / 4;
    sum += x * x + 10 * (1 - std::cos(2 * kPi * x));
  }
  return sum;
}

// Six categories of five words each: every word has its cost, and two neighbours that do not fit
// another one.
double Words6(const Point& point) {
  double sum = 0;
  int previous = 2;
  for (size_t i = 0; i < 6; ++i) {
    const int word = Word(point, i)[0] - 'a';
    const int cost = (word * 3 + static_cast<int>(i) * 2 + 1) % 5;  // 0 for one word of each
    sum += cost;
    if (i > 0 && (word + previous) % 3 == 0 && cost > 0) sum += 2;
    previous = word;
  }
  return sum;
}

// A network's settings: the right learning rate depends on the optimiser and the batch.
double Network(const Point& point) {
  const std::string& optimiser = Word(point, 0);
  const double right_rate = optimiser == "adam" ? 1e-3 : optimiser == "sgd" ? 5e-2 : 3e-4;
  const double start = optimiser == "adam" ? 0 : optimiser == "sgd" ? 0.02 : 0.08;
  const double batch = std::log2(X(point, 2) / 64);
  return start + 0.1 * Square(Decades(X(point, 1), right_rate) - 0.15 * batch) +
         0.01 * Square(batch) + 0.02 * std::fabs(X(point, 3) - 4) +
         0.05 * Square(std::log2(X(point, 4) / 256)) / 4 + 0.3 * Square(X(point, 5) - 0.2) +
         (Word(point, 6) == "relu" ? 0.03 : 0);
}

// --- with conditions

// A choice of model, each with its own settings.
double Models(const Point& point) {
  const std::string& model = Word(point, 0);
  if (model == "linear") return 0.25 + 0.02 * Square(Decades(X(point, 1), 1e-2));
  if (model == "svm") {
    const double cost = 0.03 * Square(Decades(X(point, 2), 10));
    if (Word(point, 3) == "rbf") return 0.12 + cost + 0.05 * Square(Decades(X(point, 4), 0.05));
    return 0.16 + cost + 0.02 * Square(X(point, 5) - 3);
  }
  // Fewer trees need a higher rate.
  const double trees = Decades(X(point, 7), 400);
  return 0.1 + 0.08 * Square(Decades(X(point, 6), 0.05) + trees) + 0.02 * Square(trees) +
         0.01 * std::fabs(X(point, 8) - 6) + 0.1 * Square(X(point, 9) - 0.8);
}

// As many layers as said, each with a width of its own and all but the last with a dropout.
double Layers(const Point& point) {
  const auto layers = static_cast<size_t>(X(point, 0));
  double sum = 0.2 * std::fabs(static_cast<double>(layers) - 3);
  for (size_t i = 0; i < layers; ++i) {
    const double right_width = 256.0 / static_cast<double>(1U << i);
    sum += 0.1 * Square(std::log2(X(point, 1 + i) / right_width)) / static_cast<double>(layers);
    if (i > 0) sum += 0.5 * Square(X(point, 5 + i) - 0.1 * static_cast<double>(i));
  }
  return sum;
}

// Two choices deep; the branch that looks good at first is not the one with the optimum.
double Branches(const Point& point) {
  if (Word(point, 0) == "left") return 0.3 + Square(X(point, 1) - 0.3);
  if (Word(point, 2) == "up")
    return 0.2 + 3 * Square(X(point, 3) - 0.8) + std::fabs(X(point, 5) - 0.5);
  return 6 * Square(X(point, 4) - 0.65) + std::fabs(X(point, 5) - 0.25);
}

// --- awkward ones

double Bowl4(const Point& point) {
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) sum += Square(X(point, i) - 0.2 * static_cast<double>(i + 1));
  return sum;
}

// Steps with nothing to tell between two of them, as accuracies on small test sets.
double Steps4(const Point& point) { return std::floor(12 * std::sqrt(Bowl4(point))) / 12; }

// Fails in a third of the space; the best points lie near the edge.
double Failing4(const Point& point) {
  return X(point, 0) + 0.5 * X(point, 1) > 0.95 ? kNaN : Bowl4(point) - X(point, 0);
}

// Infinite in a tenth and enormous in a good part of the space, as diverging networks.
double Diverging4(const Point& point) {
  const double rate = Decades(X(point, 0), 1e-2);  // -3 to 1
  if (rate > 0.6) return std::numeric_limits<double>::infinity();
  return Square(rate) + (rate > 0.1 ? std::pow(10, 20 * rate) : 0) + Square(X(point, 1) - 0.7) +
         Square(X(point, 2) - 0.4) + std::fabs(X(point, 3) - 0.9);
}

void AddNumeric(std::vector<Task>* tasks) {
  const auto add = [&](auto&&... args) { tasks->push_back(MakeTask("numeric", args...)); };
  add("branin", std::vector{Real("x", -5, 10), Real("y", 0, 15)}, Point{kPi, 2.275},
      0.397887357729738, Branin);
  add("hartmann6", Reals(6, 0, 1),
      Point{0.20168952, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730054},
      -3.322368011415, Hartmann6);
  add("rosenbrock5",
      std::vector{Log("x0", 1e-2, 1e2), Log("x1", 1e-2, 1e2), Real("x2", -2, 2), Real("x3", -2, 2),
                  Real("x4", -2, 2)},
      Point{10.0, 10.0, 1.0, 1.0, 1.0}, 0.0, Rosenbrock5);
  add("ackley10", Reals(10, -10, 20), Point(10, 0.0), 0.0, Ackley10);
  add("levy4", Reals(4, -10, 10), Point(4, 1.0), 0.0, Levy4);
  add("diagonal6", Reals(6, -1, 1), Point(6, 0.3), 0.0, Diagonal6);
  Point sparse(20, 0.5);
  sparse[3] = 0.2;
  sparse[11] = 0.9;
  sparse[17] = 0.4;
  add("sparse20", Reals(20, 0, 1), sparse, 0.0, Sparse20);
}

void AddMixed(std::vector<Task>* tasks) {
  const auto add = [&](auto&&... args) { tasks->push_back(MakeTask("mixed", args...)); };
  std::vector<Parameter> integers, words;
  for (int i = 0; i < 5; ++i) integers.push_back(Integer("x" + std::to_string(i), -16, 24));
  add("rastrigin5", integers, Point(5, int64_t{0}), 0.0, Rastrigin5);
  for (int i = 0; i < 6; ++i) {
    words.push_back(Choice("word" + std::to_string(i), {"a", "b", "c", "d", "e"}));
  }
  Point best;
  for (const char* word : {"d", "e", "a", "b", "c", "d"}) best.emplace_back(std::string(word));
  add("words6", words, best, 0.0, Words6);
  add("network",
      std::vector{Choice("optimiser", {"sgd", "adam", "rmsprop"}), Log("learning_rate", 1e-5, 1),
                  LogInteger("batch_size", 8, 1024), Integer("layers", 1, 8),
                  LogInteger("units", 16, 2048), Real("dropout", 0, 0.7),
                  Choice("activation", {"relu", "gelu"})},
      Point{std::string("adam"), 1e-3, int64_t{64}, int64_t{4}, int64_t{256}, 0.2,
            std::string("gelu")},
      0.0, Network);
  add("corner5",
      std::vector{Log("rate", 1e-5, 1), Integer("depth", 1, 64), LogInteger("units", 16, 1024),
                  Integer("flag", 0, 1), Real("share", 0, 1)},
      Point{1e-5, int64_t{64}, int64_t{1024}, int64_t{1}, 0.0}, 0.0, Corner5);
}

void AddConditional(std::vector<Task>* tasks) {
  const auto add = [&](auto&&... args) { tasks->push_back(MakeTask("conditional", args...)); };
  add("models",
      std::vector{Choice("model", {"linear", "svm", "boosting"}),
                  If("model", "linear", Log("alpha", 1e-6, 1e2)),
                  If("model", "svm", Log("c", 1e-3, 1e4)),
                  If("model", "svm", Choice("kernel", {"rbf", "poly"})),
                  If("kernel", "rbf", Log("gamma", 1e-4, 1e1)),
                  If("kernel", "poly", Integer("degree", 2, 6)),
                  If("model", "boosting", Log("learning_rate", 1e-3, 1)),
                  If("model", "boosting", LogInteger("trees", 10, 2000)),
                  If("model", "boosting", Integer("depth", 1, 14)),
                  If("model", "boosting", Real("subsample", 0.3, 1))},
      Point{std::string("boosting"), kInactive, kInactive, kInactive, kInactive, kInactive, 0.05,
            int64_t{400}, int64_t{6}, 0.8},
      0.1, Models);
  std::vector<Parameter> layers = {Integer("layers", 1, 5)};
  for (int i = 0; i < 5; ++i) {
    layers.push_back(If("layers", Condition::Op::kGreater, int64_t{i},
                        LogInteger("width" + std::to_string(i), 8, 1024)));
  }
  for (int i = 1; i < 5; ++i) {
    layers.push_back(If("layers", Condition::Op::kGreater, int64_t{i},
                        Real("dropout" + std::to_string(i), 0, 0.8)));
  }
  add("layers", layers,
      Point{int64_t{3}, int64_t{256}, int64_t{128}, int64_t{64}, kInactive, kInactive, 0.1, 0.2,
            kInactive, kInactive},
      0.0, Layers);
  add("branches",
      std::vector{Choice("a", {"left", "right"}), If("a", "left", Real("x", 0, 1)),
                  If("a", "right", Choice("b", {"up", "down"})), If("b", "up", Real("y", 0, 1)),
                  If("b", "down", Real("z", 0, 1)), If("a", "right", Real("shared", 0, 1))},
      Point{std::string("right"), kInactive, std::string("down"), kInactive, 0.65, 0.25}, 0.0,
      Branches);
}

void AddAwkward(std::vector<Task>* tasks) {
  const auto add = [&](auto&&... args) { tasks->push_back(MakeTask("awkward", args...)); };
  const Point centre = {0.2, 0.4, 0.6, 0.8};
  add("noisy4", Reals(4, 0, 1), centre, 0.0, Bowl4);
  tasks->back().noise = 0.1;
  add("steps4", Reals(4, 0, 1), centre, 0.0, Steps4);
  add("failing4", Reals(4, 0, 1), Point{0.7, 0.4, 0.6, 0.8}, -0.45, Failing4);
  add("diverging4",
      std::vector{Log("rate", 1e-5, 1e-1), Real("x", 0, 1), Real("y", 0, 1), Real("z", 0, 1)},
      Point{1e-2, 0.7, 0.4, 0.9}, 0.0, Diverging4);
}

}  // namespace

std::vector<Task> Functions() {
  std::vector<Task> tasks;
  AddNumeric(&tasks);
  AddMixed(&tasks);
  AddConditional(&tasks);
  AddAwkward(&tasks);
  for (Task& task : tasks) Calibrate(10'001, true, &task);
  return tasks;
}

}  // namespace tunesmith::bench
