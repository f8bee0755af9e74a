// Ranks as threads of one process: what the trainer's own data is too well-behaved to show.
#include "worker/trainer/ranks.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/trainer/gradient_buckets.h"
#include "worker/trainer/split_model.h"

namespace tunesmith::trainer {
namespace {

using ::testing::HasSubstr;

uint16_t FreePort() {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
  close(fd);
  return ntohs(address.sin_port);
}

// Runs `body` on `size` ranks and gives what each threw, "" if nothing.
std::vector<std::string> OnRanks(int size, const std::function<void(Ranks&)>& body, RankPlace base = {}) {
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  base.size = base.local_size = size;
  base.address = "127.0.0.1";
  if (base.port == 0) base.port = FreePort();
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      RankPlace place = base;
      place.rank = place.local_rank = rank;
      auto ranks = Ranks::Meet(place, 20, torch::kCPU);
      try {
        ranks.ok() ? body(**ranks) : throw RankError(Message(ranks.status()));
      } catch (const std::exception& e) {
        errors[static_cast<size_t>(rank)] = e.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

TEST(RanksTest, ManyBucketsGiveTheSumAlsoFromARankWithoutRows) {
  const auto errors = OnRanks(3, [](Ranks& ranks) {
    torch::nn::Sequential model(torch::nn::Linear(4, 8), torch::nn::Linear(8, 8), torch::nn::Linear(8, 2));
    torch::NoGradGuard no_grad;
    for (torch::Tensor& parameter : model->parameters()) parameter.fill_(0.25);
    // 32 and 8, 64 and 8, 16 and 2 numbers: a bucket a layer.
    GradientBuckets buckets(model->parameters(), ranks, 4 * 72);
    EXPECT_EQ(buckets.count(), 3u);
    for (int step = 0; step < 3; ++step) {
      buckets.Begin(/*flag=*/step == 1 && ranks.rank() == 2);
      if (ranks.rank() != 1) {
        torch::AutoGradMode with_grad(true);
        model->forward(torch::full({1, 4}, ranks.rank() + 1.0)).sum().backward();
        EXPECT_EQ(buckets.started_early(), 3u);  // while the backward pass ran
      }
      EXPECT_EQ(buckets.Finish(), step == 1);
      // Inputs 1 and 3: the first layer's weights get input * 8 * 0.25 * 2 * 0.25, summed, and biases twice the rest.
      EXPECT_TRUE(torch::allclose(model->parameters()[0].grad(), torch::full({8, 4}, 4.0)));
      EXPECT_TRUE(torch::allclose(model->parameters()[5].grad(), torch::full({2}, 2.0)));
    }
  });
  EXPECT_THAT(errors, ::testing::Each(""));
}

TEST(RanksTest, ParametersThatDifferAreAnErrorOnEveryRankAndNameTheRank) {
  const auto errors = OnRanks(3, [](Ranks& ranks) {
    torch::Tensor numbers = torch::arange(7, torch::kFloat);
    EXPECT_NE(ranks.DemandEqual({numbers}), 0u);
    if (ranks.rank() == 1) numbers[6] += 1e-6;
    ranks.DemandEqual({numbers});
  });
  EXPECT_THAT(errors, ::testing::Each(HasSubstr("the parameters of rank 1 differ from those of rank 0")));
}

TEST(RanksTest, BytesAndTensorsOfRank0ArriveAndAnyIsAny) {
  const auto errors = OnRanks(2, [](Ranks& ranks) {
    const std::string big(100'000, 'x');
    EXPECT_EQ(ranks.Broadcast(ranks.rank() == 0 ? big : std::string("mine")), big);
    EXPECT_EQ(ranks.Broadcast(std::string()), "");
    const torch::Tensor tensor = torch::full({3}, ranks.rank() + 5);
    ranks.Broadcast(tensor);
    EXPECT_EQ(tensor.sum().item<int64_t>(), 15);
    EXPECT_TRUE(ranks.Any(ranks.rank() == 1));
    EXPECT_FALSE(ranks.Any(false));
  });
  EXPECT_THAT(errors, ::testing::Each(""));
}

TEST(RanksTest, TwoProcessesWithOneRankAreRefused) {
  // The store as torchrun keeps it, with somebody in place already.
  RankPlace place;
  place.port = FreePort();
  place.store_is_there = true;
  place.store_prefix = "/worker/attempt_0";
  c10d::TCPStoreOptions options;
  options.port = place.port;
  options.isServer = true;
  options.waitWorkers = false;
  const auto store = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  const auto sum_of_one = [](Ranks& ranks) { ranks.Sum(torch::ones({1})); };
  EXPECT_THAT(OnRanks(2, sum_of_one, place), ::testing::Each(""));
  EXPECT_THAT(OnRanks(2, sum_of_one, place), ::testing::Contains(HasSubstr("two processes have RANK=")));
  place.store_prefix = "/worker/attempt_1";
  EXPECT_THAT(OnRanks(2, sum_of_one, place), ::testing::Each(""));
}

TEST(SplitModelTest, EveryDeviceGetsALayerAndTooFewLayersAreRefused) {
  torch::nn::Sequential model(torch::nn::Linear(100, 100), torch::nn::ReLU(), torch::nn::Linear(100, 1));
  SplitModel split(model, {torch::kCPU, torch::kCPU});
  EXPECT_EQ(split.Text(), "layers 0-1 on cpu, 2-2 on cpu");
  const torch::Tensor x = torch::ones({2, 100});
  EXPECT_TRUE(torch::equal(split.Forward(x), model->forward(x)));
  EXPECT_THROW(SplitModel(model, {torch::kCPU, torch::kCPU, torch::kCPU}), std::runtime_error);
}

}  // namespace
}  // namespace tunesmith::trainer
