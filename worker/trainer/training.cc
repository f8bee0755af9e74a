#include "worker/trainer/training.h"

#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <mutex>
#include <numeric>
#include <sstream>
#include <utility>

#include "common/rng.h"
#include "common/text.h"
#include "worker/trainer/checkpoint_files.h"
#include "worker/trainer/models.h"

namespace tunesmith::trainer {
namespace {

namespace nn = torch::nn;
namespace optim = torch::optim;

constexpr uint64_t kShuffleStream = 0x5348554646;  // label of the generator that orders an epoch
constexpr int64_t kEvaluateRows = 2048;            // rows a forward pass on held-out data
constexpr size_t kCheckpointsKept = 2;             // the newest, and one to fall back to
constexpr double kDeviationMin = 1e-6;  // a constant column stays near 0 instead of becoming NaN

struct Part {
  torch::Tensor rows;    // (rows, features), float or byte
  torch::Tensor labels;  // (rows), int64
};

struct Scores {
  double loss = 0;
  double accuracy = 0;
  double train_loss = 0;
};

Part ToTensors(Samples samples, int64_t features, torch::Device device) {
  const int64_t rows = samples.size();
  const bool bytes = !samples.pixels.empty();
  // from_blob borrows; to() or clone() copies before `samples` ends.
  torch::Tensor x = bytes
                        ? torch::from_blob(samples.pixels.data(), {rows, features}, torch::kByte)
                        : torch::from_blob(samples.values.data(), {rows, features}, torch::kFloat);
  torch::Tensor y = torch::from_blob(samples.labels.data(), {rows}, torch::kLong);
  return {x.to(device, x.scalar_type(), false, /*copy=*/true),
          y.to(device, y.scalar_type(), false, /*copy=*/true)};
}

class Training {
 public:
  Training(const TrainerOptions& options, Trial& trial) : options_(options), trial_(trial) {}

  Status Run(Dataset data) {
    TS_RETURN_IF_ERROR(ChooseDevice());
    torch::manual_seed(static_cast<uint64_t>(options_.seed));
    auto model = MakeModel(options_, data);
    if (!model.ok()) return model.status();
    model_ = *model;
    model_->to(device_);
    model_text_ = ModelText(options_, data);
    MakeOptimizer();
    Say(data.name + ": " + std::to_string(data.train.size()) + " rows to train on, " +
        std::to_string(data.test.size()) + " held out; " + model_text_ + "; " +
        OptimizerText(options_) + " batch_size=" + std::to_string(options_.batch_size));
    TakeData(std::move(data));
    loss_sum_ = torch::zeros({}, torch::TensorOptions(torch::kDouble).device(device_));
    TS_RETURN_IF_ERROR(Resume());
    while (progress_.epoch < options_.epochs) {
      if (!TrainEpoch()) {
        Leave();
        return OkStatus();
      }
      FinishEpoch();
    }
    return OkStatus();
  }

 private:
  // A line for the log, and for people who look at the trial.
  void Say(const std::string& text) {
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
    trial_.Note(text);
  }

  Status ChooseDevice() {
    const bool cuda = torch::cuda::is_available();
    if (options_.device == "cuda" && !cuda) {
      return FailedPrecondition(
          "device is cuda, but this program finds no GPU (none is visible, or its LibTorch is "
          "built "
          "without CUDA); use device auto or cpu");
    }
    if (cuda && options_.device != "cpu") {
      device_ = torch::Device(torch::kCUDA, 0);
      Say("running on cuda");
      return OkStatus();
    }
    const int threads = trial_.cpus();
    at::set_num_threads(threads);
    at::set_num_interop_threads(1);
    Say("running on cpu, " + std::to_string(threads) + (threads == 1 ? " thread" : " threads"));
    return OkStatus();
  }

  void MakeOptimizer() {
    const auto parameters = model_->parameters();
    if (options_.optimizer == "sgd") {
      optimizer_ =
          std::make_unique<optim::SGD>(parameters, optim::SGDOptions(options_.lr)
                                                       .momentum(options_.momentum)
                                                       .weight_decay(options_.weight_decay));
    } else if (options_.optimizer == "adamw") {
      optimizer_ = std::make_unique<optim::AdamW>(
          parameters, optim::AdamWOptions(options_.lr).weight_decay(options_.weight_decay));
    } else {
      optimizer_ = std::make_unique<optim::Adam>(
          parameters, optim::AdamOptions(options_.lr).weight_decay(options_.weight_decay));
    }
  }

  // Moves the data to the device. Columns of a table are standardised each by itself, images by
  // channel, both by statistics of the rows to train on. Bytes stay bytes until a batch needs them:
  // a quarter of the memory.
  void TakeData(Dataset data) {
    const bool image =
        data.shape.channels > 0 &&
        (!data.train.pixels.empty() || data.name == "digits" || options_.model == "lenet");
    groups_ = image ? data.shape.channels : data.features;
    train_ = ToTensors(std::move(data.train), data.features, device_);
    test_ = ToTensors(std::move(data.test), data.features, device_);
    MeasureGroups();
    if (train_.rows.scalar_type() == torch::kFloat) {
      train_.rows = Standardised(train_.rows);
      test_.rows = Standardised(test_.rows);
    }
  }

  void MeasureGroups() {
    const auto number = torch::TensorOptions(torch::kDouble).device(device_);
    torch::Tensor sum = torch::zeros({groups_}, number);
    torch::Tensor squares = torch::zeros({groups_}, number);
    for (const torch::Tensor& chunk : train_.rows.split(kEvaluateRows)) {
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

  torch::Tensor Standardised(const torch::Tensor& rows) const {
    const torch::Tensor x = rows.reshape({rows.size(0), groups_, -1}).to(torch::kFloat);
    return ((x - mean_) / deviation_).reshape(rows.sizes());
  }

  torch::Tensor Ready(const torch::Tensor& rows) const {
    return rows.scalar_type() == torch::kFloat ? rows : Standardised(rows);
  }

  // The rows of epoch `epoch` (from 1) in their order: a function of the seed and the epoch alone,
  // so that a resumed run needs no memory of it.
  torch::Tensor Order(int64_t epoch) const {
    std::vector<int64_t> order(static_cast<size_t>(train_.rows.size(0)));
    std::iota(order.begin(), order.end(), 0);
    Rng rng = Rng::ForLabels(
        {static_cast<uint64_t>(options_.seed), kShuffleStream, static_cast<uint64_t>(epoch)});
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
    return torch::tensor(order, torch::kLong).to(device_);
  }

  // Trains the rest of the current epoch. False: asked to leave in the midst of it.
  bool TrainEpoch() {
    model_->train();
    const std::vector<torch::Tensor> batches =
        Order(progress_.epoch + 1).split(options_.batch_size);
    while (progress_.batch < static_cast<int64_t>(batches.size())) {
      if (trial_.ShouldStop()) return false;
      const torch::Tensor& rows = batches[static_cast<size_t>(progress_.batch)];
      optimizer_->zero_grad();
      const torch::Tensor logits = model_->forward(Ready(train_.rows.index_select(0, rows)));
      const torch::Tensor loss =
          nn::functional::cross_entropy(logits, train_.labels.index_select(0, rows));
      loss.backward();
      optimizer_->step();
      loss_sum_ += loss.detach().to(torch::kDouble) * rows.size(0);
      ++progress_.batch;
    }
    return true;
  }

  void Evaluate() {
    torch::NoGradGuard no_grad;
    model_->eval();
    double loss = 0;
    int64_t right = 0;
    const int64_t rows = test_.rows.size(0);
    for (int64_t at = 0; at < rows; at += kEvaluateRows) {
      const int64_t end = std::min(rows, at + kEvaluateRows);
      const torch::Tensor labels = test_.labels.slice(0, at, end);
      const torch::Tensor logits = model_->forward(Ready(test_.rows.slice(0, at, end)));
      loss += nn::functional::cross_entropy(
                  logits, labels, nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum))
                  .item<double>();
      right += logits.argmax(1).eq(labels).sum().item<int64_t>();
    }
    scores_ = {loss / static_cast<double>(rows),
               static_cast<double>(right) / static_cast<double>(rows),
               loss_sum_.item<double>() / static_cast<double>(train_.rows.size(0))};
  }

  void FinishEpoch() {
    Evaluate();
    loss_sum_.zero_();
    progress_ = {progress_.epoch + 1, 0};
    const bool last = progress_.epoch == options_.epochs;
    const bool due =
        options_.checkpoint_every > 0 && (last || progress_.epoch % options_.checkpoint_every == 0);
    Report(due && SaveCheckpoint() ? CheckpointName(progress_) : "");
  }

  void Report(const std::string& checkpoint) {
    trial_.Report(progress_.epoch,
                  {{"loss", scores_.loss},
                   {"accuracy", scores_.accuracy},
                   {"train_loss", scores_.train_loss}},
                  checkpoint);
    if (trial_.attached()) {
      // Not in the form of a report: the daemon may look for those in the log too.
      std::printf("epoch %lld of %lld: loss %.4f, accuracy %.4f\n",
                  static_cast<long long>(progress_.epoch), static_cast<long long>(options_.epochs),
                  scores_.loss, scores_.accuracy);
      std::fflush(stdout);
    }
  }

  void Leave() {
    const std::string reason = trial_.StopReason();
    if (progress_ > Progress{} && progress_ != saved_) SaveCheckpoint();
    Say("leaving after epoch " + std::to_string(progress_.epoch) +
        (reason.empty() ? "" : ": " + reason));
  }

  // False when there is nowhere to write, or writing failed (which is said, and training goes on).
  bool SaveCheckpoint() {
    const std::string directory = trial_.checkpoint_dir();
    if (directory.empty()) return false;
    torch::serialize::OutputArchive archive;
    torch::serialize::OutputArchive model(archive.compilation_unit());
    torch::serialize::OutputArchive optimizer(archive.compilation_unit());
    model_->save(model);
    optimizer_->save(optimizer);
    archive.write("model", model);
    archive.write("optimizer", optimizer);
    archive.write("model_text", c10::IValue(model_text_));
    archive.write("optimizer_name", c10::IValue(options_.optimizer));
    archive.write("optimizer_text", c10::IValue(OptimizerText(options_)));
    archive.write("epoch", c10::IValue(progress_.epoch));
    archive.write("batch", c10::IValue(progress_.batch));
    archive.write("loss_sum", loss_sum_);
    archive.write("scores", torch::tensor({scores_.loss, scores_.accuracy, scores_.train_loss},
                                          torch::kDouble));
    archive.write("cpu_generator", GeneratorState(torch::kCPU));
    if (device_.is_cuda()) archive.write("cuda_generator", GeneratorState(device_));
    std::ostringstream stream;
    archive.save_to(stream);
    const Status written = WriteCheckpoint(directory, progress_, stream.str());
    if (!written.ok()) {
      Say("no checkpoint: " + Message(written));
      return false;
    }
    saved_ = progress_;
    PruneCheckpoints(directory, kCheckpointsKept);
    return true;
  }

  static torch::Tensor GeneratorState(torch::Device device) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    std::lock_guard<std::mutex> lock(generator.mutex());
    return generator.get_state();
  }

  static void SetGeneratorState(torch::Device device, const torch::Tensor& state) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(state);
  }

  Status Resume() {
    const std::string from = trial_.resume_from();
    if (from.empty()) return OkStatus();
    for (const Progress& progress : ListCheckpoints(from)) {
      const auto payload = ReadCheckpoint(from, progress);
      if (!payload.ok()) {
        Say("passing over a checkpoint: " + Message(payload.status()));
        continue;
      }
      TS_RETURN_IF_ERROR(LoadCheckpoint(*payload, CheckpointName(progress)));
      Say("resumed from " + CheckpointName(progress));
      // Said again, since nobody here can know whether it arrived: the attempt before may have been
      // killed between its checkpoint and its report, or its machine lost with the report unsent.
      if (progress.epoch > 0) Report("");
      return OkStatus();
    }
    Say("no checkpoint to resume from in " + from + "; starting from the beginning");
    return OkStatus();
  }

  Status LoadCheckpoint(const std::string& payload, const std::string& name) {
    std::istringstream stream(payload);
    torch::serialize::InputArchive archive;
    archive.load_from(stream, torch::kCPU);
    const std::string made_for = Read(archive, "model_text").toStringRef();
    if (made_for != model_text_) {
      return FailedPrecondition(name + " is of the model '" + made_for + "', this trial has '" +
                                model_text_ +
                                "'; resume with the same options, or from no checkpoint");
    }
    torch::serialize::InputArchive model;
    archive.read("model", model);
    model_->load(model);
    model_->to(device_);
    if (Read(archive, "optimizer_name").toStringRef() == options_.optimizer) {
      // Restores the state only; rate, momentum and decay are those that this trial was given.
      torch::serialize::InputArchive optimizer;
      archive.read("optimizer", optimizer);
      optimizer_->load(optimizer);
    }
    const std::string options_then = Read(archive, "optimizer_text").toStringRef();
    if (options_then != OptimizerText(options_)) {
      Say(name + " was trained with " + options_then + ", going on with " +
          OptimizerText(options_));
    }
    progress_ = {Read(archive, "epoch").toInt(), Read(archive, "batch").toInt()};
    saved_ = progress_;
    loss_sum_ = ReadTensor(archive, "loss_sum").to(device_);
    const torch::Tensor scores = ReadTensor(archive, "scores");
    scores_ = {scores[0].item<double>(), scores[1].item<double>(), scores[2].item<double>()};
    SetGeneratorState(torch::kCPU, ReadTensor(archive, "cpu_generator"));
    torch::Tensor cuda_generator;
    if (device_.is_cuda() && archive.try_read("cuda_generator", cuda_generator)) {
      SetGeneratorState(device_, cuda_generator);
    }
    return OkStatus();
  }

  static c10::IValue Read(torch::serialize::InputArchive& archive, const std::string& key) {
    c10::IValue value;
    archive.read(key, value);
    return value;
  }

  // Into a tensor of its own: reading into one that holds something resizes that, which may fail.
  static torch::Tensor ReadTensor(torch::serialize::InputArchive& archive, const std::string& key) {
    torch::Tensor tensor;
    archive.read(key, tensor);
    return tensor;
  }

  const TrainerOptions& options_;
  Trial& trial_;
  torch::Device device_{torch::kCPU};
  nn::Sequential model_{nullptr};
  std::string model_text_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  Part train_;
  Part test_;
  int64_t groups_ = 1;  // columns or channels with statistics of their own
  torch::Tensor mean_;
  torch::Tensor deviation_;
  Progress progress_;
  Progress saved_;          // of the newest checkpoint
  torch::Tensor loss_sum_;  // over the rows of this epoch so far; stays on the device
  Scores scores_;           // of the last whole epoch
};

}  // namespace

Status Train(const TrainerOptions& options, Dataset data, Trial& trial) {
  // LibTorch throws; nothing else here does. Its messages go on with a C++ stack trace that helps
  // no user.
  try {
    return Training(options, trial).Run(std::move(data));
  } catch (const c10::Error& e) {
    return Internal(std::string("LibTorch: ") + e.what_without_backtrace());
  } catch (const std::exception& e) {
    return Internal(std::string("training failed: ") + e.what());
  }
}

}  // namespace tunesmith::trainer
