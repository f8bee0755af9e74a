#include "worker/trainer/training.h"

#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <mutex>
#include <numeric>
#include <optional>
#include <sstream>
#include <utility>

#include "common/rng.h"
#include "common/text.h"
#include "worker/trainer/checkpoint_files.h"
#include "worker/trainer/gradient_buckets.h"
#include "worker/trainer/models.h"
#include "worker/trainer/prepared_data.h"
#include "worker/trainer/ranks.h"
#include "worker/trainer/replicas.h"
#include "worker/trainer/split_model.h"

namespace tunesmith::trainer {
namespace {

namespace nn = torch::nn;
namespace optim = torch::optim;

constexpr uint64_t kShuffleStream = 0x5348554646;  // label of the generator that orders an epoch
constexpr uint64_t kRankStream = 0x52414e4b;       // and of the one that seeds the ranks above 0
constexpr int64_t kEvaluateRows = 2048;            // rows a forward pass on held-out data
constexpr size_t kCheckpointsKept = 2;             // the newest, and one to fall back to
struct Scores {
  double loss = 0;
  double accuracy = 0;
  double train_loss = 0;
};

torch::Tensor LossSum(const torch::Tensor& logits, const torch::Tensor& labels) {
  return nn::functional::cross_entropy(logits, labels,
                                       nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum));
}

class Training {
 public:
  Training(const TrainerOptions& options, const std::optional<RankPlace>& place, Trial& trial)
      : options_(options), place_(place), trial_(trial) {}

  Status Run(Dataset data) {
    TS_RETURN_IF_ERROR(ChooseDevices());
    TS_RETURN_IF_ERROR(JoinRanks());
    torch::manual_seed(static_cast<uint64_t>(options_.seed));
    auto model = MakeModel(options_, data);
    if (!model.ok()) return model.status();
    model_ = *model;
    model_text_ = ModelText(options_, data);
    PlaceModel();
    MakeOptimizer();
    const std::string what = data.name + ": " + std::to_string(data.train.size()) + " rows to train on, " +
                             std::to_string(data.test.size()) + " held out; " + model_text_ + "; " +
                             OptimizerText(options_) + " batch_size=" + std::to_string(batch_size_);
    Say(what);
    data_ = PreparedData(std::move(data), options_.model, devices_.front(), devices_.back());
    loss_sum_ = torch::zeros({}, torch::TensorOptions(torch::kDouble).device(devices_.back()));
    TS_RETURN_IF_ERROR(Resume());
    if (ranks_) StartTogether(what + " seed=" + std::to_string(options_.seed) +
                              " epochs=" + std::to_string(options_.epochs));
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
    if (!speaks_) return;
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
    trial_.Note(text);
  }

  Status ChooseDevices() {
    const bool cuda = torch::cuda::is_available();
    const int gpus = cuda ? static_cast<int>(torch::cuda::device_count()) : 0;
    const bool parts = options_.mode == "data_parallel" || options_.mode == "model_parallel";
    bool on_cpu = false;
    if (parts) {
      for (const std::string& name : options_.devices) {
        const torch::Device device(name == "cuda" ? "cuda:0" : name);
        if (device.is_cuda() && device.index() >= gpus) {
          return FailedPrecondition("devices names " + name + ", but this program finds " + std::to_string(gpus) +
                                    " GPUs; name others, or cpu");
        }
        on_cpu |= device.is_cpu();
        devices_.push_back(device);
      }
    } else {
      const int index = place_ ? place_->local_rank : 0;
      if (options_.device == "cuda" && index >= gpus) {
        return FailedPrecondition("device is cuda, but this program finds " + std::to_string(gpus) +
                                  " GPUs and needs number " + std::to_string(index) +
                                  " (too few are visible, or its LibTorch is built without CUDA); use device auto or "
                                  "cpu");
      }
      on_cpu = options_.device == "cpu" || index >= gpus;
      devices_ = {on_cpu ? torch::Device(torch::kCPU) : torch::Device(torch::kCUDA, static_cast<int8_t>(index))};
    }
    // The ranks of this machine share the lease.
    threads_ = std::max(1, Trial::cpus() / (place_ ? place_->local_size : 1));
    if (on_cpu) {
      at::set_num_threads(threads_);
      if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);  // can be set once only
    }
    std::string text = parts ? options_.mode + " on " + Join(options_.devices, ", ") : devices_[0].str();
    if (on_cpu) text += ", " + std::to_string(threads_) + (threads_ == 1 ? " thread" : " threads");
    speaks_ = !place_ || place_->rank == 0;
    Say("running on " + text);
    return OkStatus();
  }

  Status JoinRanks() {
    batch_size_ = options_.batch_size;
    if (!place_) return OkStatus();
    if (options_.batch_per_rank > 0) batch_size_ = options_.batch_per_rank * place_->size;
    TS_ASSIGN_OR_RETURN(ranks_, Ranks::Meet(*place_, options_.peer_timeout, devices_[0]));
    Say("ddp: " + std::to_string(ranks_->size()) + " ranks over " + ranks_->backend() + " through " + place_->address +
        ":" + std::to_string(place_->port) + ", " + std::to_string(batch_size_) + " rows a batch of all ranks");
    return OkStatus();
  }

  void PlaceModel() {
    if (options_.mode == "model_parallel") {
      split_ = std::make_unique<SplitModel>(model_, devices_);
      Say("model_parallel: " + split_->Text());
    } else {
      model_->to(devices_[0]);
    }
    if (options_.mode == "data_parallel") replicas_ = std::make_unique<Replicas>(model_, devices_, threads_);
  }

  // Every rank goes on with rank 0's parameters and buffers. Ranks that were given something else would drift apart.
  void StartTogether(const std::string& what) {
    ranks_->DemandSame("options or data", what);
    torch::NoGradGuard no_grad;
    for (const torch::Tensor& tensor : model_->parameters()) ranks_->Broadcast(tensor);
    for (const torch::Tensor& tensor : model_->buffers()) ranks_->Broadcast(tensor);
    buckets_ = std::make_unique<GradientBuckets>(model_->parameters(), *ranks_);
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

  // The rows of epoch `epoch` (from 1) in their order: a function of the seed and the epoch alone,
  // so that a resumed run needs no memory of it.
  torch::Tensor Order(int64_t epoch) const {
    std::vector<int64_t> order(static_cast<size_t>(data_.train().size()));
    std::iota(order.begin(), order.end(), 0);
    Rng rng = Rng::ForLabels(
        {static_cast<uint64_t>(options_.seed), kShuffleStream, static_cast<uint64_t>(epoch)});
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
    return torch::tensor(order, torch::kLong).to(devices_.front());
  }

  // Trains the rest of the current epoch. False: asked to leave in the midst of it.
  bool TrainEpoch() {
    model_->train();
    const std::vector<torch::Tensor> batches = Order(progress_.epoch + 1).split(batch_size_);
    if (ranks_) {
      SeedRank();
      if (ranks_->Any(trial_.ShouldStop())) return false;
    }
    while (progress_.batch < static_cast<int64_t>(batches.size())) {
      const torch::Tensor& rows = batches[static_cast<size_t>(progress_.batch)];
      if (ranks_) {
        const bool leave = SumGradients(rows);
        optimizer_->step();
        ++progress_.batch;
        // After the last batch FinishEpoch goes first; the next epoch asks again.
        if (leave && progress_.batch < static_cast<int64_t>(batches.size())) return false;
      } else {
        if (trial_.ShouldStop()) return false;
        optimizer_->zero_grad();
        Backward(rows, rows.size(0));
        optimizer_->step();
        ++progress_.batch;
      }
    }
    return true;
  }

  torch::Tensor Forward(const torch::Tensor& x) { return split_ ? split_->Forward(x) : model_->forward(x); }

  // Adds these rows' part of the gradients of the mean loss over a batch of `count`.
  void Backward(const torch::Tensor& rows, int64_t count) {
    const torch::Tensor x = data_.Ready(data_.train().rows.index_select(0, rows));
    const torch::Tensor labels = data_.train().labels.index_select(0, rows.to(devices_.back()));
    torch::Tensor loss;
    if (replicas_) {
      loss = replicas_->Backward(x, labels).to(devices_.back());
    } else {
      loss = LossSum(Forward(x), labels);
      (loss / static_cast<double>(count)).backward();
    }
    loss_sum_ += loss.detach().to(torch::kDouble);
  }

  // This rank's share of a batch, and the gradients of all of it: each row weighs the same, however uneven the shares.
  // Whether any rank was asked to leave goes with them, so that all leave after the same step.
  bool SumGradients(const torch::Tensor& rows) {
    buckets_->Begin(trial_.ShouldStop());
    const RowShare share = ShareOf(rows.size(0), ranks_->rank(), ranks_->size());
    if (share.begin < share.end) Backward(rows.slice(0, share.begin, share.end), rows.size(0));
    return buckets_->Finish();
  }

  // Ranks above 0 drop other units than rank 0, whose generator goes with the checkpoints: theirs follow from the place
  // in training.
  void SeedRank() {
    if (ranks_->rank() == 0) return;
    torch::manual_seed(Rng::ForLabels({static_cast<uint64_t>(options_.seed), kRankStream,
                                       static_cast<uint64_t>(ranks_->rank()), static_cast<uint64_t>(progress_.epoch),
                                       static_cast<uint64_t>(progress_.batch)})
                           .NextU64());
  }

  void Evaluate() {
    torch::NoGradGuard no_grad;
    model_->eval();
    double loss = 0;
    int64_t right = 0;
    const int64_t rows = data_.test().size();
    const RowShare share = ranks_ ? ShareOf(rows, ranks_->rank(), ranks_->size()) : RowShare{0, rows};
    for (int64_t at = share.begin; at < share.end; at += kEvaluateRows) {
      const int64_t end = std::min(share.end, at + kEvaluateRows);
      const torch::Tensor labels = data_.test().labels.slice(0, at, end);
      const torch::Tensor logits = Forward(data_.Ready(data_.test().rows.slice(0, at, end)));
      loss += LossSum(logits, labels).item<double>();
      right += logits.argmax(1).eq(labels).sum().item<int64_t>();
    }
    torch::Tensor sums =
        torch::tensor({loss, static_cast<double>(right), loss_sum_.item<double>()}, torch::kDouble);
    if (ranks_) {
      sums = sums.to(devices_[0]);
      ranks_->Sum(sums);
    }
    scores_ = {sums[0].item<double>() / static_cast<double>(rows), sums[1].item<double>() / static_cast<double>(rows),
               sums[2].item<double>() / static_cast<double>(data_.train().size())};
  }

  void FinishEpoch() {
    Evaluate();
    loss_sum_.zero_();
    progress_ = {progress_.epoch + 1, 0};
    if (ranks_ && options_.check_ranks == "yes") {
      char hash[20];
      std::snprintf(hash, sizeof hash, "%016llx",
                    static_cast<unsigned long long>(ranks_->DemandEqual(model_->parameters())));
      Say("after epoch " + std::to_string(progress_.epoch) + " all ranks hold the parameters " + hash);
    }
    const bool last = progress_.epoch == options_.epochs;
    const bool due =
        options_.checkpoint_every > 0 && (last || progress_.epoch % options_.checkpoint_every == 0);
    Report(due && SaveCheckpoint() ? CheckpointName(progress_) : "");
  }

  void Report(const std::string& checkpoint) {
    if (!speaks_) return;
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
    std::string reason = trial_.StopReason();
    if (ranks_) {
      if (reason.empty()) reason = "another rank was asked to leave";
      ranks_->Sum(loss_sum_);
    }
    if (progress_ > Progress{} && progress_ != saved_) SaveCheckpoint();
    Say("leaving after epoch " + std::to_string(progress_.epoch) +
        (reason.empty() ? "" : ": " + reason));
  }

  // False when this is not the rank that writes, there is nowhere to write, or writing failed (which is said, and
  // training goes on).
  bool SaveCheckpoint() {
    const std::string directory = trial_.checkpoint_dir();
    if (directory.empty() || !speaks_) return false;
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
    if (devices_.front().is_cuda()) archive.write("cuda_generator", GeneratorState(devices_.front()));
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

  // Of a ddp run rank 0 reads and the others get the same bytes: there is no need for a shared disk.
  Status Resume() {
    std::string payload;
    std::string name;
    if (speaks_ && !trial_.resume_from().empty()) ReadNewest(trial_.resume_from(), &payload, &name);
    if (ranks_) {
      name = ranks_->Broadcast(name);
      payload = ranks_->Broadcast(payload);
    }
    if (name.empty()) return OkStatus();
    TS_RETURN_IF_ERROR(LoadCheckpoint(payload, name));
    if (ranks_ && !speaks_) loss_sum_.zero_();  // rank 0 has what all had together
    Say("resumed from " + name);
    // Said again, since nobody here can know whether it arrived: the attempt before may have been
    // killed between its checkpoint and its report, or its machine lost with the report unsent.
    if (progress_.epoch > 0) Report("");
    return OkStatus();
  }

  void ReadNewest(const std::string& from, std::string* payload, std::string* name) {
    for (const Progress& progress : ListCheckpoints(from)) {
      auto read = ReadCheckpoint(from, progress);
      if (read.ok()) {
        *payload = *std::move(read);
        *name = CheckpointName(progress);
        return;
      }
      Say("passing over a checkpoint: " + Message(read.status()));
    }
    Say("no checkpoint to resume from in " + from + "; starting from the beginning");
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
    split_ ? split_->Place() : model_->to(devices_[0]);
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
    loss_sum_ = ReadTensor(archive, "loss_sum").to(devices_.back());
    const torch::Tensor scores = ReadTensor(archive, "scores");
    scores_ = {scores[0].item<double>(), scores[1].item<double>(), scores[2].item<double>()};
    SetGeneratorState(torch::kCPU, ReadTensor(archive, "cpu_generator"));
    torch::Tensor cuda_generator;
    if (devices_.front().is_cuda() && archive.try_read("cuda_generator", cuda_generator)) {
      SetGeneratorState(devices_.front(), cuda_generator);
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
  const std::optional<RankPlace>& place_;
  Trial& trial_;
  bool speaks_ = true;                   // whether this is the process that reports and saves
  std::vector<torch::Device> devices_;   // rows enter at the first, logits come out at the last
  int threads_ = 1;
  int64_t batch_size_ = 1;               // of all ranks together
  nn::Sequential model_{nullptr};
  std::string model_text_;
  std::unique_ptr<SplitModel> split_;    // model_parallel
  std::unique_ptr<Replicas> replicas_;   // data_parallel
  std::unique_ptr<Ranks> ranks_;         // ddp; before buckets_, which refer to it
  std::unique_ptr<GradientBuckets> buckets_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  PreparedData data_;
  Progress progress_;
  Progress saved_;          // of the newest checkpoint
  torch::Tensor loss_sum_;  // over the rows of this epoch so far; stays on the device
  Scores scores_;           // of the last whole epoch
};

}  // namespace

Status Train(const TrainerOptions& options, const std::optional<RankPlace>& place, Dataset data, Trial& trial) {
  // LibTorch throws; nothing else here does. Its messages go on with a C++ stack trace that helps
  // no user.
  try {
    return Training(options, place, trial).Run(std::move(data));
  } catch (const RankError& e) {
    return Unavailable(e.what());
  } catch (const c10::Error& e) {
    return Internal(std::string("LibTorch: ") + e.what_without_backtrace());
  } catch (const std::exception& e) {
    return Internal(std::string("training failed: ") + e.what());
  }
}

}  // namespace tunesmith::trainer
