#include "worker/trainer/split_model.h"

#include <stdexcept>
#include <utility>

namespace tunesmith::trainer {

SplitModel::SplitModel(torch::nn::Sequential model, std::vector<torch::Device> devices)
    : model_(std::move(model)), devices_(std::move(devices)) {
  std::vector<int64_t> sizes;  // parameters by layer
  int64_t left = 0;
  size_t heavy_left = 0;  // layers with parameters that have no device yet
  for (size_t i = 0; i < model_->size(); ++i) {
    sizes.push_back(0);
    for (const torch::Tensor& parameter : model_->ptr(i)->parameters()) sizes.back() += parameter.numel();
    left += sizes.back();
    heavy_left += sizes.back() > 0 ? 1 : 0;
  }
  if (heavy_left < devices_.size()) {
    throw std::runtime_error("the model has " + std::to_string(heavy_left) +
                             " layers with parameters, too few to split over " + std::to_string(devices_.size()) +
                             " devices; give it more hidden layers, or name fewer devices");
  }
  size_t device = 0;
  int64_t here = 0;  // parameters on `device`
  for (const int64_t size : sizes) {
    const size_t devices_after = devices_.size() - device - 1;
    if (size > 0 && here > 0 && devices_after > 0) {
      // On to the next device when this layer would take more than it leaves to a fair share, or when those that are
      // left are needed there.
      const int64_t fair = (here + left) / static_cast<int64_t>(devices_after + 1);
      if (here + size / 2 >= fair || heavy_left <= devices_after) {
        ++device;
        here = 0;
      }
    }
    device_of_.push_back(device);
    here += size;
    left -= size;
    heavy_left -= size > 0 ? 1 : 0;
  }
  Place();
}

void SplitModel::Place() {
  for (size_t i = 0; i < device_of_.size(); ++i) model_->ptr(i)->to(devices_[device_of_[i]]);
}

torch::Tensor SplitModel::Forward(torch::Tensor x) {
  size_t i = 0;
  for (auto layer = model_->begin(); layer != model_->end(); ++layer, ++i) {
    x = layer->forward(x.to(devices_[device_of_[i]]));
  }
  return x;
}

std::string SplitModel::Text() const {
  std::string text = "layers ";
  for (size_t i = 0; i < device_of_.size(); ++i) {
    const bool first = i == 0 || device_of_[i] != device_of_[i - 1];
    const bool last = i + 1 == device_of_.size() || device_of_[i] != device_of_[i + 1];
    if (first) text += (i > 0 ? ", " : "") + std::to_string(i);
    if (last) text += "-" + std::to_string(i) + " on " + devices_[device_of_[i]].str();
  }
  return text;
}

}  // namespace tunesmith::trainer
