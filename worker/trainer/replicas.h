// One process, a copy of the model on each of several devices. Include only where LibTorch is needed anyway.
#pragma once

#include <torch/torch.h>

#include <barrier>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

namespace tunesmith::trainer {

// Data parallel training in one process: the parameters are replicated to every device, a batch's rows are scattered
// over them, each replica computes forward and backward in a thread of its own, and losses and gradients are gathered
// and added up on the first device. (torch::nn::parallel::data_parallel gathers logits instead, which is more to move.)
class Replicas {
 public:
  // `model` is the first replica and lies on devices[0]. `threads`: that all replicas on the CPU share.
  Replicas(torch::nn::Sequential model, const std::vector<torch::Device>& devices, int threads);
  ~Replicas();
  Replicas(const Replicas&) = delete;
  Replicas& operator=(const Replicas&) = delete;

  // Adds the gradients of the mean cross-entropy over the batch to the model's; returns the sum of the losses.
  torch::Tensor Backward(const torch::Tensor& x, const torch::Tensor& labels);

 private:
  struct Replica {
    torch::nn::Sequential model{nullptr};
    torch::Device device{torch::kCPU};
    std::vector<torch::Tensor> parameters;
    torch::Tensor x;       // scattered; undefined: no rows in this batch
    torch::Tensor labels;
    torch::Tensor loss;
    std::exception_ptr failure;
  };

  void Replicate();
  void Scatter(const torch::Tensor& x, const torch::Tensor& labels);
  void Apply(Replica* replica, double weight);
  torch::Tensor Gather();

  std::vector<Replica> replicas_;
  double weight_ = 1;  // of a row: 1 / rows of the batch
  bool leaving_ = false;
  std::barrier<> start_;  // all threads and the caller, before a batch and after it
  std::barrier<> done_;
  std::vector<std::thread> threads_;
};

}  // namespace tunesmith::trainer
