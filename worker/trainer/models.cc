#include "worker/trainer/models.h"

#include <algorithm>

namespace tunesmith::trainer {
namespace {

namespace nn = torch::nn;

void AddActivation(const std::string& name, nn::Sequential* model) {
  if (name == "tanh") {
    (*model)->push_back(nn::Tanh());
  } else if (name == "gelu") {
    (*model)->push_back(nn::GELU());
  } else {
    (*model)->push_back(nn::ReLU());
  }
}

// Hidden layers of `options.hidden` and the layer of logits.
void AddFullyConnected(const TrainerOptions& options, int64_t inputs, int64_t classes,
                       nn::Sequential* model) {
  for (int64_t width : options.hidden) {
    (*model)->push_back(nn::Linear(inputs, width));
    AddActivation(options.activation, model);
    (*model)->push_back(nn::Dropout(
        options.dropout));  // also at 0, so that names of parameters do not depend on it
    inputs = width;
  }
  (*model)->push_back(nn::Linear(inputs, classes));
}

// LeNet-5 (LeCun et al. 1998, section II.B) with max pooling. 28x28 is padded to its 32x32; images
// smaller than 20 pixels get 3x3 kernels, which keep the size, since 5x5 would leave nothing of an
// 8x8 digit.
void AddConvolutions(const TrainerOptions& options, const ImageShape& shape, int64_t* features,
                     nn::Sequential* model) {
  const int64_t side = std::min(shape.height, shape.width);
  const int64_t kernel = side < 20 ? 3 : 5;
  const int64_t paddings[2] = {side < 20 ? 1 : side < 32 ? 2 : 0, side < 20 ? 1 : 0};
  int64_t channels = shape.channels;
  int64_t height = shape.height;
  int64_t width = shape.width;
  for (size_t i = 0; i < 2; ++i) {
    const int64_t out = options.channels[i];
    (*model)->push_back(nn::Conv2d(nn::Conv2dOptions(channels, out, kernel).padding(paddings[i])));
    AddActivation(options.activation, model);
    (*model)->push_back(nn::MaxPool2d(2));
    channels = out;
    height = (height + 2 * paddings[i] - kernel + 1) / 2;
    width = (width + 2 * paddings[i] - kernel + 1) / 2;
  }
  (*model)->push_back(nn::Flatten());
  *features = channels * height * width;
}

}  // namespace

StatusOr<nn::Sequential> MakeModel(const TrainerOptions& options, const Dataset& data) {
  nn::Sequential model;
  int64_t inputs = data.features;
  if (options.model == "lenet") {
    const ImageShape& shape = data.shape;
    if (shape.channels == 0 || std::min(shape.height, shape.width) < 4) {
      return InvalidArgument("lenet needs images of at least 4x4 pixels; the rows of " + data.name +
                             " have " + std::to_string(data.features) +
                             " numbers, which is no such square: use model mlp");
    }
    model->push_back(nn::Unflatten(
        nn::UnflattenOptions(1, std::vector<int64_t>{shape.channels, shape.height, shape.width})));
    AddConvolutions(options, shape, &inputs, &model);
  }
  AddFullyConnected(options, inputs, data.classes, &model);
  return model;
}

std::string ModelText(const TrainerOptions& options, const Dataset& data) {
  std::string text = options.model + " " + std::to_string(data.features);
  if (options.model == "lenet") {
    for (int64_t channels : options.channels) text += "-c" + std::to_string(channels);
  }
  for (int64_t width : options.hidden) text += "-" + std::to_string(width);
  return text + "-" + std::to_string(data.classes) + " " + options.activation;
}

}  // namespace tunesmith::trainer
