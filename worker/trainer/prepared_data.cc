#include "worker/trainer/prepared_data.h"

#include <utility>

namespace tunesmith::trainer {
namespace {

constexpr int64_t kRowsAtOnce = 2048;
constexpr double kDeviationMin = 1e-6;  // a constant column stays near 0 instead of becoming NaN

Part ToTensors(Samples samples, int64_t features, torch::Device device, torch::Device label_device) {
  const int64_t rows = samples.size();
  const bool bytes = !samples.pixels.empty();
  // from_blob borrows; to() or clone() copies before `samples` ends.
  torch::Tensor x = bytes ? torch::from_blob(samples.pixels.data(), {rows, features}, torch::kByte)
                          : torch::from_blob(samples.values.data(), {rows, features}, torch::kFloat);
  torch::Tensor y = torch::from_blob(samples.labels.data(), {rows}, torch::kLong);
  return {x.to(device, x.scalar_type(), false, /*copy=*/true),
          y.to(label_device, y.scalar_type(), false, /*copy=*/true)};
}

}  // namespace

PreparedData::PreparedData(Dataset data, const std::string& model, torch::Device device, torch::Device label_device) {
  const bool image = data.shape.channels > 0 &&
                     (!data.train.pixels.empty() || data.name == "digits" || model == "lenet");
  groups_ = image ? data.shape.channels : data.features;
  train_ = ToTensors(std::move(data.train), data.features, device, label_device);
  test_ = ToTensors(std::move(data.test), data.features, device, label_device);
  MeasureGroups();
  if (train_.rows.scalar_type() == torch::kFloat) {
    train_.rows = Standardised(train_.rows);
    test_.rows = Standardised(test_.rows);
  }
}

void PreparedData::MeasureGroups() {
  const auto number = torch::TensorOptions(torch::kDouble).device(train_.rows.device());
  torch::Tensor sum = torch::zeros({groups_}, number);
  torch::Tensor squares = torch::zeros({groups_}, number);
  for (const torch::Tensor& chunk : train_.rows.split(kRowsAtOnce)) {
    const torch::Tensor x = chunk.reshape({chunk.size(0), groups_, -1}).to(torch::kDouble);
    sum += x.sum(at::IntArrayRef{0, 2});
    squares += x.square().sum(at::IntArrayRef{0, 2});
  }
  const double count = static_cast<double>(train_.rows.numel()) / static_cast<double>(groups_);
  const torch::Tensor mean = sum / count;
  const torch::Tensor deviation = (squares / count - mean.square()).clamp_min(0).sqrt();
  mean_ = mean.to(torch::kFloat).reshape({1, groups_, 1});
  deviation_ = deviation.clamp_min(kDeviationMin).to(torch::kFloat).reshape({1, groups_, 1});
}

torch::Tensor PreparedData::Standardised(const torch::Tensor& rows) const {
  const torch::Tensor x = rows.reshape({rows.size(0), groups_, -1}).to(torch::kFloat);
  return ((x - mean_) / deviation_).reshape(rows.sizes());
}

torch::Tensor PreparedData::Ready(const torch::Tensor& rows) const {
  return rows.scalar_type() == torch::kFloat ? rows : Standardised(rows);
}

}  // namespace tunesmith::trainer
