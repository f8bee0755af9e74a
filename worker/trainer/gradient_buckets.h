// Sums gradients over ranks while the backward pass still computes others. Include only where LibTorch is needed
// anyway.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/trainer/ranks.h"

namespace tunesmith::trainer {

// As PyTorch's DistributedDataParallel (Li et al. 2020, section 3.2): parameters are put into buckets in reverse order,
// since the backward pass comes to the last layers first. A hook on each parameter counts its bucket down, and a full
// bucket is summed over ranks at once. Buckets go out in the same order on every rank, whatever order hooks run in.
// Gradients are views into their bucket: nothing is copied, and the optimiser reads the sums.
class GradientBuckets {
 public:
  static constexpr int64_t kBucketBytes = 25 << 20;

  // All of one type and on one device. Takes over the parameters' gradients: zero_grad() must not be called again.
  GradientBuckets(const std::vector<torch::Tensor>& parameters, Ranks& ranks, int64_t bucket_bytes = kBucketBytes);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  // Before the backward pass: all gradients 0. `flag` travels with the last bucket, so that ranks agree on something
  // without a message of its own.
  void Begin(bool flag);
  // After it, also on a rank that had no rows and made none: waits until every gradient is the sum over ranks. Returns
  // whether any rank gave a true flag.
  bool Finish();

  size_t count() const { return buckets_.size(); }
  // Sums that were started before Finish(): those that the backward pass hid.
  size_t started_early() const { return started_early_; }

 private:
  struct Bucket {
    torch::Tensor flat;
    size_t parameters = 0;
    size_t left = 0;  // parameters without their gradient in this pass
    std::unique_ptr<Ranks::PendingSum> sum;
  };

  void OnGradient(size_t bucket);
  // Starts the buckets that are full and whose turn it is.
  void StartFull();

  Ranks& ranks_;
  std::vector<Bucket> buckets_;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators_;  // with our hooks; a parameter holds them weakly
  size_t next_ = 0;  // bucket to start next
  size_t started_early_ = 0;
};

}  // namespace tunesmith::trainer
