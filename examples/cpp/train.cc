// Softmax regression on the handwritten digits, by stochastic gradient descent with momentum in plain C++. It reads its
// parameters, reports and saves each epoch, goes on from a checkpoint, and leaves when it is told to.
#include <tunesmith/trial.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int kPixels = 64;
constexpr int kClasses = 10;
constexpr int kInputs = kPixels + 1;  // the last one is always 1

struct Digit {
  std::array<float, kInputs> inputs;
  int label;
};

struct Digits {
  std::vector<Digit> train;
  std::vector<Digit> test;
};

// What training changes; and all that a checkpoint holds.
struct State {
  int64_t epoch = 0;
  std::array<double, kClasses * kInputs> weights = {};
  std::array<double, kClasses * kInputs> velocity = {};
};

struct Scores {
  double loss = 0;
  double accuracy = 0;
};

// 64 pixels from 0 to 16 and a label in each line. Every fifth digit is held out.
Digits ReadDigits(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error("cannot open " + path);
  Digits digits;
  char line[1024];
  for (int number = 0; gzgets(file, line, sizeof line) != nullptr; ++number) {
    Digit digit = {};
    char* at = line;
    for (int i = 0; i < kPixels; ++i) digit.inputs[i] = std::strtof(at, &at) / 16, at += *at == ',';
    digit.inputs[kPixels] = 1;
    digit.label = std::atoi(at);
    if (digit.label < 0 || digit.label >= kClasses) throw std::runtime_error(path + ": no such digit");
    (number % 5 == 0 ? digits.test : digits.train).push_back(digit);
  }
  gzclose(file);
  if (digits.train.empty()) throw std::runtime_error(path + " holds no digits");
  return digits;
}

std::array<double, kClasses> Probabilities(const State& state, const Digit& digit) {
  std::array<double, kClasses> p = {};
  for (int c = 0; c < kClasses; ++c) {
    for (int i = 0; i < kInputs; ++i) p[c] += state.weights[c * kInputs + i] * digit.inputs[i];
  }
  const double most = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& value : p) sum += value = std::exp(value - most);
  for (double& value : p) value /= sum;
  return p;
}

Scores Evaluate(const State& state, const std::vector<Digit>& digits) {
  Scores scores;
  for (const Digit& digit : digits) {
    const auto p = Probabilities(state, digit);
    scores.loss -= std::log(std::max(p[digit.label], 1e-300)) / digits.size();
    if (std::max_element(p.begin(), p.end()) - p.begin() == digit.label) scores.accuracy += 1.0 / digits.size();
  }
  return scores;
}

// SplitMix64: the order of an epoch follows from the seed and its number, so that a resumed run gives the same numbers.
uint64_t Next(uint64_t* random) {
  uint64_t x = *random += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

struct Rates {
  double lr;
  double momentum;
  double decay;
  size_t batch;
};

void TrainEpoch(const std::vector<Digit>& digits, const Rates& rates, uint64_t seed, State* state) {
  std::vector<size_t> order(digits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  uint64_t random = seed * 1'000'003 + static_cast<uint64_t>(state->epoch);
  for (size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[Next(&random) % (i + 1)]);

  for (size_t begin = 0; begin < order.size(); begin += rates.batch) {
    const size_t end = std::min(begin + rates.batch, order.size());
    std::array<double, kClasses * kInputs> gradient = {};
    for (size_t at = begin; at < end; ++at) {
      const Digit& digit = digits[order[at]];
      const auto p = Probabilities(*state, digit);
      for (int c = 0; c < kClasses; ++c) {
        const double error = (p[c] - (c == digit.label)) / (end - begin);
        for (int i = 0; i < kInputs; ++i) gradient[c * kInputs + i] += error * digit.inputs[i];
      }
    }
    for (size_t w = 0; w < gradient.size(); ++w) {
      state->velocity[w] = rates.momentum * state->velocity[w] + gradient[w] + rates.decay * state->weights[w];
      state->weights[w] -= rates.lr * state->velocity[w];
    }
  }
  ++state->epoch;
}

bool WriteState(const State& state, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&state), sizeof state);
  return file.flush().good();
}

State ReadState(const std::string& path) {
  State state;
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(&state), sizeof state);
  if (!file) throw std::runtime_error("the checkpoint " + path + " cannot be read");
  return state;
}

bool Report(tunesmith::Trial& trial, const State& state, const Scores& scores, const std::string& checkpoint) {
  return !trial.Report(state.epoch, {{"loss", scores.loss}, {"accuracy", scores.accuracy}}, checkpoint).stop;
}

}  // namespace

void Train(tunesmith::Trial& trial) {
  const tunesmith::Config& config = trial.config();
  const Rates rates = {config.Number("lr", 0.1), config.Number("momentum", 0.9), config.Number("decay", 0),
                       static_cast<size_t>(std::max<int64_t>(1, config.Integer("batch", 32)))};
  const int64_t of_scheduler = static_cast<int64_t>(trial.max_step());
  const int64_t epochs = config.Integer("epochs", of_scheduler > 0 ? of_scheduler : 10);
  const auto seed = static_cast<uint64_t>(config.Integer("seed", static_cast<int64_t>(trial.seed() >> 1)));
  const Digits digits = ReadDigits(config.Text("data", DIGITS));

  State state;
  if (!trial.resume_checkpoint().empty()) {
    state = ReadState(trial.resume_checkpoint());
    trial.Note("goes on after epoch " + std::to_string(state.epoch));
    // Once more: nobody here can know whether the report before arrived.
    if (!Report(trial, state, Evaluate(state, digits.test), "")) return;
  }
  while (state.epoch < epochs && !trial.ShouldStop()) {
    TrainEpoch(digits.train, rates, seed, &state);
    const std::string saved = trial.SaveCheckpoint(
        "epoch-" + std::to_string(state.epoch), [&](const std::string& path) { return WriteState(state, path); });
    if (!Report(trial, state, Evaluate(state, digits.test), saved)) return;
    // Newer ones are there.
    if (!saved.empty()) std::remove((trial.checkpoint_dir() + "/epoch-" + std::to_string(state.epoch - 3)).c_str());
  }
}
