#include "bench/search/lcbench.h"

#include <cmath>
#include <cstdint>
#include <fstream>
#include <unordered_map>
#include <utility>

namespace tunesmith::bench {
namespace {

struct Tensor {
  std::vector<int32_t> sizes;
  std::vector<float> values;
};

struct Code {
  const char* name;  // on OpenML
  int task;
  double median, optimum;  // found by search_bench --reference
};
constexpr Code kTasks[] = {
    {"3945", 34, -89.89136505, -99.6579361},    {"7593", 35, -56.44421005, -91.69718933},
    {"126026", 2, -93.0165863, -99.74731445},   {"167168", 10, -44.34989929, -89.42621613},
    {"167190", 14, -73.19932556, -93.98638916}, {"168868", 21, -97.22206879, -99.75644684},
    {"189866", 27, -61.66259003, -94.69643402}, {"189873", 28, -0.6907469034, -99.24176788},
    {"189906", 30, -52.26881409, -95.05075073},
};
constexpr int kFirstEpoch = 2, kLastEpoch = 52;  // epoch 1 is the untrained network

}  // namespace

// The file is a computation graph: a header of four int32 (id of the first graph input, number of
// constants, number of nodes, id of the result), then the constants (int32 id, rank, size, then
// int32 dimensions, float32 values and an int32 flag), then the nodes. The graph is always the
// same, so only the constants are read, by their ids.
class LcbenchReader {
 public:
  bool Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    int32_t header[4];
    if (!Read(&in, header, sizeof header) || header[1] != 114 || header[2] != 144) return false;
    for (int32_t i = 0; i < header[1]; ++i) {
      int32_t head[3];
      if (!Read(&in, head, sizeof head) || head[1] < 0 || head[1] > 2 || head[2] < 0 ||
          head[2] > 1'000'000)
        return false;
      Tensor& tensor = tensors_[head[0]];
      tensor.sizes.resize(static_cast<size_t>(head[1]));
      tensor.values.resize(static_cast<size_t>(head[2]));
      int32_t integral = 0;
      if (!Read(&in, tensor.sizes.data(), 4 * tensor.sizes.size()) ||
          !Read(&in, tensor.values.data(), 4 * tensor.values.size()) || !Read(&in, &integral, 4)) {
        return false;
      }
    }
    return true;
  }

  // False when a constant is missing or has another size than the network needs.
  bool Fill(LcbenchNetwork* n) {
    constexpr size_t kWidth = LcbenchNetwork::kWidth, kHidden = LcbenchNetwork::kHidden;
    n->embedding_ = Values(2, size_t{36} * LcbenchNetwork::kEmbedding);
    n->first_ = MakeLinear(3, LcbenchNetwork::kEmbedding + LcbenchNetwork::kInputs, kWidth);
    for (size_t block = 0; block < LcbenchNetwork::kBlocks; ++block) {
      const int id = 5 + 8 * static_cast<int>(block);
      n->norms_[block] = MakeNorm(id, kWidth);
      n->wide_[block] = MakeLinear(id + 4, kWidth, 2 * kHidden);
      n->narrow_[block] = MakeLinear(id + 6, kHidden, kWidth);
    }
    n->norms_[LcbenchNetwork::kBlocks] = MakeNorm(29, kWidth);
    n->last_ = MakeLinear(33, kWidth, 6);
    n->features_ = {{{true, Scalar(41), Scalar(45), Scalar(47)},
                     {false, 0, Scalar(54), Scalar(56)},
                     {true, Scalar(63), Scalar(67), Scalar(69)},
                     {false, 0, Scalar(76), Scalar(78)},
                     {true, Scalar(85), Scalar(89), Scalar(91)},
                     {false, 0, Scalar(98), Scalar(100)},
                     {false, 0, Scalar(107), Scalar(109)},
                     {false, 0, Scalar(116), Scalar(118)}}};
    n->seconds_scale_ = Scalar(192);
    n->seconds_shift_ = Scalar(194);
    n->accuracy_scale_ = Scalar(201);
    n->accuracy_shift_ = Scalar(203);
    return good_;
  }

 private:
  static bool Read(std::ifstream* in, void* out, size_t bytes) {
    in->read(static_cast<char*>(out), static_cast<std::streamsize>(bytes));
    return in->gcount() == static_cast<std::streamsize>(bytes);
  }
  std::vector<float> Values(int id, size_t size) {
    std::vector<float> values = tensors_[id].values;
    good_ = good_ && values.size() == size;
    values.resize(size);
    return values;
  }
  float Scalar(int id) { return Values(id, 1)[0]; }
  LcbenchNetwork::Linear MakeLinear(int id, size_t inputs, size_t outputs) {
    const std::vector<float> rows = Values(id, inputs * outputs);
    LcbenchNetwork::Linear linear{inputs, outputs, std::vector<float>(rows.size()),
                                  Values(id + 1, outputs)};
    for (size_t o = 0; o < outputs; ++o) {
      for (size_t i = 0; i < inputs; ++i) linear.weight[i * outputs + o] = rows[o * inputs + i];
    }
    return linear;
  }
  LcbenchNetwork::Scaling MakeNorm(int id, size_t size) {
    constexpr float kEpsilon = 1e-5F;
    const std::vector<float> gain = Values(id, size), bias = Values(id + 1, size),
                             mean = Values(id + 2, size), variance = Values(id + 3, size);
    LcbenchNetwork::Scaling norm;
    for (size_t i = 0; i < size; ++i) {
      norm.factor.push_back(gain[i] / std::sqrt(variance[i] + kEpsilon));
      norm.offset.push_back(bias[i] - mean[i] * norm.factor.back());
    }
    return norm;
  }

  std::unordered_map<int, Tensor> tensors_;
  bool good_ = true;
};

void LcbenchNetwork::Linear::Apply(const float* in, float* out) const {
  for (size_t o = 0; o < outputs; ++o) out[o] = bias[o];
  // Four rows at a time; every loop vectorises.
  for (size_t i = 0; i + 4 <= inputs; i += 4) {
    const float* row = &weight[i * outputs];
    const float a = in[i], b = in[i + 1], c = in[i + 2], d = in[i + 3];
    for (size_t o = 0; o < outputs; ++o) {
      out[o] += (row[o] * a + row[outputs + o] * b) +
                (row[2 * outputs + o] * c + row[3 * outputs + o] * d);
    }
  }
  for (size_t i = inputs / 4 * 4; i < inputs; ++i) {
    for (size_t o = 0; o < outputs; ++o) out[o] += weight[i * outputs + o] * in[i];
  }
}

void LcbenchNetwork::Scaling::Apply(const float* in, float* out) const {
  for (size_t i = 0; i < factor.size(); ++i) out[i] = in[i] * factor[i] + offset[i];
}

std::shared_ptr<const LcbenchNetwork> LcbenchNetwork::Load(const std::string& path,
                                                           Problems* problems) {
  LcbenchReader reader;
  auto network = std::make_shared<LcbenchNetwork>();
  if (reader.Read(path) && reader.Fill(network.get())) return network;
  problems->push_back(
      {path, "not the LCBench surrogate", "bench/search/README.md says where it comes from"});
  return nullptr;
}

LcbenchNetwork::Output LcbenchNetwork::Evaluate(int task, const Input& input) const {
  float in[kEmbedding + kInputs], stream[kWidth], normal[kWidth], wide[2 * kHidden], added[kWidth],
      out[6];
  for (size_t i = 0; i < kEmbedding; ++i)
    in[i] = embedding_[static_cast<size_t>(task) * kEmbedding + i];
  for (size_t i = 0; i < kInputs; ++i) {
    const Feature& f = features_[i];
    const auto x = static_cast<float>(input[i]);
    in[kEmbedding + i] = ((f.log ? std::log(x + f.epsilon) : x) - f.shift) / f.scale;
  }
  first_.Apply(in, stream);
  for (size_t block = 0; block < kBlocks; ++block) {
    norms_[block].Apply(stream, normal);
    wide_[block].Apply(normal, wide);
    for (size_t i = 0; i < kHidden; ++i)
      wide[i] = wide[kHidden + i] > 0 ? wide[i] * wide[kHidden + i] : 0;
    narrow_[block].Apply(wide, added);
    for (size_t i = 0; i < kWidth; ++i) stream[i] += added[i];
  }
  norms_[kBlocks].Apply(stream, normal);
  for (float& x : normal) x = x > 0 ? x : 0;
  last_.Apply(normal, out);
  const auto sigmoid = [](float x) { return 1 / (1 + std::exp(-x)); };
  return {.seconds = sigmoid(out[0]) * seconds_scale_ + seconds_shift_,
          .accuracy = std::exp(sigmoid(out[1]) * accuracy_scale_ + accuracy_shift_)};
}

void LoadLcbench(const std::string& path, std::vector<Task>* tasks, Problems* problems) {
  const auto network = LcbenchNetwork::Load(path, problems);
  if (network == nullptr) return;
  Problems none;
  const auto space = Space::Create({RangeParameter("batch_size", Distribution::kLogRandInt, 16, 513),
                                    RangeParameter("learning_rate", Distribution::kLogUniform, 1e-4, 1e-1),
                                    RangeParameter("momentum", Distribution::kUniform, 0.1, 0.99),
                                    RangeParameter("weight_decay", Distribution::kUniform, 1e-5, 1e-1),
                                    RangeParameter("num_layers", Distribution::kRandInt, 1, 6),
                                    RangeParameter("max_units", Distribution::kLogRandInt, 64, 1025),
                                    RangeParameter("max_dropout", Distribution::kUniform, 0, 1)},
                                   &none);
  for (const Code& code : kTasks) {
    const auto at = [network, task = code.task](const Point& point, int epoch) {
      LcbenchNetwork::Input input{static_cast<double>(epoch)};
      for (size_t i = 0; i < point.size(); ++i) input[i + 1] = ValueNumber(point[i]);
      return network->Evaluate(task, input);
    };
    Task task;
    task.name = std::string("lcbench_") + code.name;
    task.family = "lcbench";
    task.data = true;
    task.space = *space;
    task.loss_at = [at](const Point& point, int epoch) { return -at(point, epoch).accuracy; };
    task.seconds_at = [at](const Point& point, int epoch) { return at(point, epoch).seconds; };
    task.loss = [at](const Point& point) { return -at(point, kLastEpoch).accuracy; };
    task.first_epoch = kFirstEpoch;
    task.max_epochs = kLastEpoch;
    task.median = code.median;
    task.optimum = code.optimum;
    tasks->push_back(std::move(task));
  }
}

}  // namespace tunesmith::bench
