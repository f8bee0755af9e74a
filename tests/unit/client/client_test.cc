#include "client/api/client.h"

#include <thread>

#include <gtest/gtest.h>

#include "client/api/connection.h"
#include "client/api/watch_reader.h"
#include "tests/unit/client/fake_controller.h"
#include "tests/unit/client/messages.h"
#include "tunesmith/v1/error.pb.h"

namespace tunesmith {
namespace {

ClientOptions InProcess() {
  ClientOptions options;
  options.address = "in-process";
  return options;
}

TEST(Client, RepeatsACallWhileTheControllerIsUnavailable) {
  FakeController fake;
  fake.sweeps = {MakeSweep("digits", v1::Sweep::ACTIVE)};
  fake.unavailable_calls = 2;
  Client client(fake.InProcess(), InProcess());
  const auto sweep = client.GetSweep("digits");
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_EQ(fake.calls("GetSweep"), 3);
}

TEST(Client, RepeatsACreationWithTheSameRequestId) {
  FakeController fake;
  fake.sweeps = {MakeSweep("digits", v1::Sweep::ACTIVE)};
  fake.unavailable_calls = 1;
  Client client(fake.InProcess(), InProcess());
  v1::CreateSweepRequest request;
  request.set_request_id(NewRequestId());
  ASSERT_TRUE(client.CreateSweep(request).ok());
  ASSERT_EQ(fake.request_ids().size(), 2u);
  EXPECT_EQ(fake.request_ids()[0], fake.request_ids()[1]);
  EXPECT_EQ(fake.request_ids()[0].size(), 32u);
}

TEST(Client, GivesUpWhenTheTimeForRetriesIsOver) {
  FakeController fake;
  fake.unavailable_calls = 1'000'000;
  ClientOptions options;
  options.address = "lab:7070";
  options.retry_for_ms = 120;
  Client client(fake.InProcess(), options);
  const Status status = client.GetSweep("digits").status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(Message(status).find("lab:7070"), std::string::npos);
  EXPECT_GE(fake.calls("GetSweep"), 2);
}

TEST(Client, NamesTheAddressWhereNobodyListens) {
  std::string address;
  {
    FakeController fake;
    address = fake.address();
  }
  ClientOptions options;
  options.address = address;
  options.retry_for_ms = 0;
  auto client = Client::Create(options);
  ASSERT_TRUE(client.ok());
  const Status status = (*client)->GetSweep("digits").status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(Message(status).find("the controller at " + address + " can't be reached"),
            std::string::npos)
      << Message(status);
}

TEST(Client, GivesTheFieldsThatTheControllerObjectsTo) {
  FakeController fake;
  v1::ErrorDetail detail;
  detail.set_reason("SWEEP_INVALID");
  detail.set_more(3);
  v1::FieldProblem* problem = detail.add_problems();
  problem->set_field("parameters.lr.loguniform");
  problem->set_message("lower bound 0 must be greater than 0");
  problem->set_hint("use uniform");
  fake.create_status = {grpc::StatusCode::INVALID_ARGUMENT, "the sweep is wrong"};
  fake.create_status_detail = detail.SerializeAsString();
  Client client(fake.InProcess(), InProcess());
  v1::CreateSweepRequest request;
  request.set_request_id("r");
  const Status status = client.CreateSweep(request).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(fake.calls("CreateSweep"), 1);
  EXPECT_EQ(ReasonOf(status), "SWEEP_INVALID");
  const Problems problems = ProblemsOf(status);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0], (Problem{"parameters.lr.loguniform",
                                  "lower bound 0 must be greater than 0", "use uniform"}));
  EXPECT_EQ(problems[1].message, "and 3 more problems");
}

TEST(Client, FollowsThePagesToTheEndAndStopsWhenToldTo) {
  FakeController fake;
  for (uint32_t i = 0; i < 5; ++i) fake.trials.push_back(MakeTrial(i, v1::Trial::PENDING));
  Client client(fake.InProcess(), InProcess());
  std::vector<uint32_t> seen;
  v1::ListTrialsRequest request;
  ASSERT_TRUE(client
                  .ForEachTrial(request,
                                [&](const v1::Trial& trial) {
                                  seen.push_back(trial.number());
                                  return true;
                                })
                  .ok());
  EXPECT_EQ(seen, (std::vector<uint32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(fake.calls("ListTrials"), 3);
  seen.clear();
  ASSERT_TRUE(client
                  .ForEachTrial(request,
                                [&](const v1::Trial& trial) {
                                  seen.push_back(trial.number());
                                  return seen.size() < 2;
                                })
                  .ok());
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(fake.calls("ListTrials"), 4);
}

TEST(ResolveSweep, TakesIdsAndUniquePrefixesAndSuggestsTheClosest) {
  FakeController fake;
  for (const char* id : {"digits", "digits-2", "cifar-resnet"}) {
    fake.sweeps.push_back(MakeSweep(id, v1::Sweep::ACTIVE));
  }
  Client client(fake.InProcess(), InProcess());
  EXPECT_EQ(ResolveSweep(&client, "digits")->id(), "digits");
  EXPECT_EQ(ResolveSweep(&client, "cif")->id(), "cifar-resnet");
  EXPECT_NE(Message(ResolveSweep(&client, "dig").status()).find("digits, digits-2"),
            std::string::npos);
  EXPECT_NE(
      Message(ResolveSweep(&client, "cifra-resnet").status()).find("did you mean cifar-resnet?"),
      std::string::npos);
  EXPECT_EQ(ResolveSweep(&client, "zzz").status().code(), StatusCode::kNotFound);
}

TEST(WatchReader, GivesEveryMessageThenTheEnd) {
  FakeController fake;
  fake.watches = {
      {std::vector<v1::WatchSweepResponse>(200, Delta(MakeSweep("digits", v1::Sweep::ACTIVE))),
       grpc::Status::OK}};
  Client client(fake.InProcess(), InProcess());
  WatchReader reader(client.Watch("digits", 0));
  size_t count = 0;
  std::optional<Status> end;
  while (!end.has_value()) count += reader.Take(&end).size();
  EXPECT_EQ(count, 200u);
  EXPECT_TRUE(end->ok());
}

TEST(WatchReader, CanBeDroppedWhileMessagesWait) {
  FakeController fake;
  fake.watches = {
      {std::vector<v1::WatchSweepResponse>(500, Delta(MakeSweep("digits", v1::Sweep::ACTIVE))),
       grpc::Status::OK, true}};
  Client client(fake.InProcess(), InProcess());
  WatchReader reader(client.Watch("digits", 0));
  std::optional<Status> end;
  while (reader.Take(&end).empty()) std::this_thread::yield();
}

}  // namespace
}  // namespace tunesmith
