// The ranks of a ddp run and what they say to each other. Include only where LibTorch is needed anyway.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "worker/trainer/rank_place.h"

namespace tunesmith::trainer {

// Another rank is gone, does not answer, or holds something else; what() says what, who and what to do.
class RankError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// This process among its peers. Every rank must make the same calls in the same order. Calls throw RankError within
// the timeout when a peer does not take part; after that the process can only leave.
class Ranks {
 public:
  // Waits for all ranks. UNAVAILABLE names those that did not come within `timeout_s`; FAILED_PRECONDITION: this build
  // has no ProcessGroup for `device`, or two processes have the same rank.
  static StatusOr<std::unique_ptr<Ranks>> Meet(const RankPlace& place, double timeout_s, torch::Device device);
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  // "gloo" or "nccl".
  std::string backend() const;

  // A sum under way; its tensor may not be touched before Wait().
  class PendingSum {
   public:
    virtual ~PendingSum() = default;
    virtual void Wait() = 0;
  };
  // Sums `tensor` over all ranks, in place on each of them.
  std::unique_ptr<PendingSum> StartSum(const torch::Tensor& tensor);
  void Sum(const torch::Tensor& tensor) { StartSum(tensor)->Wait(); }
  // Whether any rank says true.
  bool Any(bool mine);
  // Rank 0's content on every rank.
  void Broadcast(const torch::Tensor& tensor);
  std::string Broadcast(const std::string& bytes);

  // Throws on every rank when a rank's `text` is another than rank 0's; names both.
  void DemandSame(const std::string& what, const std::string& text);
  // Throws on every rank when the bytes of `tensors` differ between ranks, and names those that differ from rank 0.
  // Returns the common hash.
  uint64_t DemandEqual(const std::vector<torch::Tensor>& tensors);

 private:
  struct Link;

  Ranks(const RankPlace& place, torch::Device device);
  Status Connect(double timeout_s);
  // What another rank's failure looks like from here, as a RankError.
  [[noreturn]] void Lost(const char* during, const std::string& why);

  RankPlace place_;
  torch::Device device_;
  double timeout_s_ = 0;
  std::unique_ptr<Link> link_;
};

}  // namespace tunesmith::trainer
