// Learning curves of small networks: the LCBench surrogate of YAHPO Gym, a residual network that predicts the
// validation accuracy and the run time after any number of epochs.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "bench/search/task.h"
#include "common/problem.h"

namespace tunesmith::bench {

class LcbenchNetwork {
 public:
  // epoch, batch_size, learning_rate, momentum, weight_decay, num_layers, max_units, max_dropout in natural units.
  using Input = std::array<double, 8>;
  struct Output {
    double seconds = 0;   // from the start to that epoch
    double accuracy = 0;  // in percent, on the validation set
  };

  // nullptr and a problem if the file is not that network.
  static std::shared_ptr<const LcbenchNetwork> Load(const std::string& path, Problems* problems);

  // `task` as the surrogate numbers them, 0 to 33. Thread-safe.
  Output Evaluate(int task, const Input& input) const;

 private:
  static constexpr size_t kWidth = 128, kEmbedding = 24, kInputs = 8, kBlocks = 3, kHidden = 455;
  // Transposed, for a forward pass that adds up rows: weight[i * outputs + o].
  struct Linear {
    size_t inputs = 0, outputs = 0;
    std::vector<float> weight, bias;
    void Apply(const float* in, float* out) const;
  };
  struct Scaling {  // a batch norm, folded: x * factor + offset
    std::vector<float> factor, offset;
    void Apply(const float* in, float* out) const;
  };
  struct Feature {
    bool log = false;
    float epsilon = 0, shift = 0, scale = 1;
  };

  std::vector<float> embedding_;
  std::array<Feature, kInputs> features_;
  Linear first_, last_;
  std::array<Scaling, kBlocks + 1> norms_;
  std::array<Linear, kBlocks> wide_, narrow_;
  // Of the sigmoids that come out: scale * s + shift, and for the accuracy the exponential of it.
  float seconds_scale_ = 0, seconds_shift_ = 0, accuracy_scale_ = 0, accuracy_shift_ = 0;

  friend class LcbenchReader;
};

// The nine tasks of the file `path`, epochs 2 to 52. Loss: minus the accuracy in percent.
void LoadLcbench(const std::string& path, std::vector<Task>* tasks, Problems* problems);

}  // namespace tunesmith::bench
