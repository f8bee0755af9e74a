// One model over several devices, layer after layer. Include only where LibTorch is needed anyway.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

namespace tunesmith::trainer {

// As the ToyModel of PyTorch's model parallel tutorial: consecutive layers share a device, and what a part gives is
// moved to the next part's device. Devices get about equal numbers of parameters, each at least one layer that has
// some. The model keeps its names, so that checkpoints of split and whole models are the same.
class SplitModel {
 public:
  // Moves the layers. Throws when the model has fewer layers with parameters than there are devices.
  SplitModel(torch::nn::Sequential model, std::vector<torch::Device> devices);

  // Again, after loading.
  void Place();
  // The result is on the last device.
  torch::Tensor Forward(torch::Tensor x);
  // "layers 0-2 on cpu, 3-6 on cuda:1".
  std::string Text() const;

 private:
  torch::nn::Sequential model_;
  std::vector<torch::Device> devices_;
  std::vector<size_t> device_of_;  // by layer: place in devices_
};

}  // namespace tunesmith::trainer
