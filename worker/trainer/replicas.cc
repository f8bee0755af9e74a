#include "worker/trainer/replicas.h"

#include <algorithm>
#include <utility>

#include "worker/trainer/rank_place.h"

namespace tunesmith::trainer {

namespace nn = torch::nn;

Replicas::Replicas(nn::Sequential model, const std::vector<torch::Device>& devices, int threads)
    : replicas_(devices.size()),
      start_(static_cast<std::ptrdiff_t>(devices.size())),
      done_(static_cast<std::ptrdiff_t>(devices.size())) {
  const auto on_cpu = std::count_if(devices.begin(), devices.end(), [](torch::Device d) { return d.is_cpu(); });
  const int share = std::max(1, threads / std::max(1, static_cast<int>(on_cpu)));
  for (size_t i = 0; i < devices.size(); ++i) {
    Replica& replica = replicas_[i];
    replica.device = devices[i];
    replica.model =
        i == 0 ? model : nn::Sequential(std::dynamic_pointer_cast<nn::SequentialImpl>(model->clone(devices[i])));
    replica.model->train();
    replica.parameters = replica.model->parameters();
  }
  at::set_num_threads(share);  // for this thread, which computes the first replica
  for (size_t i = 1; i < devices.size(); ++i) {
    threads_.emplace_back([this, i, share] {
      at::set_num_threads(share);
      for (start_.arrive_and_wait(); !leaving_; start_.arrive_and_wait()) {
        Apply(&replicas_[i], weight_);
        done_.arrive_and_wait();
      }
    });
  }
}

Replicas::~Replicas() {
  leaving_ = true;
  start_.arrive_and_wait();
  for (std::thread& thread : threads_) thread.join();
}

torch::Tensor Replicas::Backward(const torch::Tensor& x, const torch::Tensor& labels) {
  Replicate();
  Scatter(x, labels);
  weight_ = 1.0 / static_cast<double>(x.size(0));
  start_.arrive_and_wait();
  Apply(&replicas_[0], weight_);
  done_.arrive_and_wait();
  return Gather();
}

void Replicas::Replicate() {
  torch::NoGradGuard no_grad;
  const auto buffers = replicas_[0].model->buffers();
  for (size_t i = 1; i < replicas_.size(); ++i) {
    Replica& replica = replicas_[i];
    for (size_t k = 0; k < replica.parameters.size(); ++k) {
      replica.parameters[k].copy_(replicas_[0].parameters[k], /*non_blocking=*/true);
      if (replica.parameters[k].grad().defined()) replica.parameters[k].mutable_grad().zero_();
    }
    const auto copies = replica.model->buffers();
    for (size_t k = 0; k < copies.size(); ++k) copies[k].copy_(buffers[k]);
  }
}

void Replicas::Scatter(const torch::Tensor& x, const torch::Tensor& labels) {
  for (size_t i = 0; i < replicas_.size(); ++i) {
    Replica& replica = replicas_[i];
    const RowShare share = ShareOf(x.size(0), static_cast<int>(i), static_cast<int>(replicas_.size()));
    const bool any = share.begin < share.end;
    replica.x = any ? x.slice(0, share.begin, share.end).to(replica.device) : torch::Tensor();
    replica.labels = any ? labels.slice(0, share.begin, share.end).to(replica.device) : torch::Tensor();
    replica.loss = torch::Tensor();
    replica.failure = nullptr;
  }
}

void Replicas::Apply(Replica* replica, double weight) {
  if (!replica->x.defined()) return;
  // A thread that ended by an exception would end the program; the caller throws it again.
  try {
    const torch::Tensor loss =
        nn::functional::cross_entropy(replica->model->forward(replica->x), replica->labels,
                                      nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum));
    (loss * weight).backward();
    replica->loss = loss.detach();
  } catch (...) {
    replica->failure = std::current_exception();
  }
}

torch::Tensor Replicas::Gather() {
  torch::NoGradGuard no_grad;
  for (const Replica& replica : replicas_) {
    if (replica.failure) std::rethrow_exception(replica.failure);
  }
  torch::Tensor loss = replicas_[0].loss;
  for (size_t i = 1; i < replicas_.size(); ++i) {
    if (!replicas_[i].loss.defined()) continue;
    loss = loss + replicas_[i].loss.to(loss.device());
    for (size_t k = 0; k < replicas_[i].parameters.size(); ++k) {
      torch::Tensor& sum = replicas_[0].parameters[k].mutable_grad();
      sum += replicas_[i].parameters[k].grad().to(sum.device());
    }
  }
  return loss;
}

}  // namespace tunesmith::trainer
