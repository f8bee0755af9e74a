#include "worker/trainer/gradient_buckets.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <utility>

namespace tunesmith::trainer {
namespace {

// Runs after a parameter's gradient was added to.
class AfterGradient final : public torch::autograd::FunctionPostHook {
 public:
  explicit AfterGradient(std::function<void()> then) : then_(std::move(then)) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list& inputs) override {
    then_();
    return outputs;
  }

 private:
  std::function<void()> then_;
};

}  // namespace

GradientBuckets::GradientBuckets(const std::vector<torch::Tensor>& parameters, Ranks& ranks, int64_t bucket_bytes)
    : ranks_(ranks) {
  std::vector<std::vector<torch::Tensor>> groups;
  int64_t bytes = 0;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    const auto size = static_cast<int64_t>(parameter->nbytes());
    if (groups.empty() || bytes + size > bucket_bytes) {
      groups.emplace_back();
      bytes = 0;
    }
    groups.back().push_back(*parameter);
    bytes += size;
  }
  for (size_t i = 0; i < groups.size(); ++i) {
    int64_t numbers = i + 1 == groups.size() ? 1 : 0;  // the flag
    for (const torch::Tensor& parameter : groups[i]) numbers += parameter.numel();
    const torch::Tensor flat = torch::zeros({numbers}, parameters[0].options().requires_grad(false));
    buckets_.push_back({flat, groups[i].size(), 0, {}});
    int64_t at = 0;
    for (torch::Tensor& parameter : groups[i]) {
      parameter.mutable_grad() = buckets_[i].flat.narrow(0, at, parameter.numel()).view(parameter.sizes());
      at += parameter.numel();
      auto accumulator = torch::autograd::impl::grad_accumulator(parameter);
      accumulator->add_post_hook(std::make_unique<AfterGradient>([this, i] { OnGradient(i); }));
      accumulators_.push_back(std::move(accumulator));
    }
  }
}

GradientBuckets::~GradientBuckets() = default;

void GradientBuckets::Begin(bool flag) {
  for (Bucket& bucket : buckets_) {
    bucket.flat.zero_();
    bucket.left = bucket.parameters;
  }
  if (flag) buckets_.back().flat[-1] = 1;
  next_ = 0;
  started_early_ = 0;
}

void GradientBuckets::OnGradient(size_t bucket) {
  --buckets_[bucket].left;
  StartFull();
}

void GradientBuckets::StartFull() {
  for (; next_ < buckets_.size() && buckets_[next_].left == 0; ++next_) {
    buckets_[next_].sum = ranks_.StartSum(buckets_[next_].flat);
    ++started_early_;
  }
}

bool GradientBuckets::Finish() {
  for (; next_ < buckets_.size(); ++next_) buckets_[next_].sum = ranks_.StartSum(buckets_[next_].flat);
  for (Bucket& bucket : buckets_) {
    bucket.sum->Wait();
    bucket.sum.reset();
  }
  return buckets_.back().flat[-1].item<float>() > 0;
}

}  // namespace tunesmith::trainer
