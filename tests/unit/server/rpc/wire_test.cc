// What needs no server: statuses, page tokens, conversions, the registry and the side thread.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "common/limits.h"
#include "server/rpc/convert.h"
#include "server/rpc/page_token.h"
#include "server/rpc/registry.h"
#include "server/rpc/side_thread.h"
#include "server/rpc/status_map.h"
#include "tunesmith/v1/error.pb.h"

namespace tunesmith::rpc {
namespace {

TEST(StatusMapTest, CodeMessageReasonAndProblemsArriveInTheDetail) {
  const grpc::Status status = ToGrpc(InvalidArgument("lr: wrong"), "SWEEP_INVALID", {{"lr", "wrong", "be right"}});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "lr: wrong");
  v1::ErrorDetail detail;
  ASSERT_TRUE(detail.ParseFromString(status.error_details()));
  EXPECT_EQ(detail.reason(), "SWEEP_INVALID");
  ASSERT_EQ(detail.problems_size(), 1);
  EXPECT_EQ(detail.problems(0).hint(), "be right");
  EXPECT_EQ(detail.more(), 0);
  ASSERT_TRUE(detail.ParseFromString(ToGrpc(Internal("x")).error_details()));
  EXPECT_EQ(detail.reason(), "INTERNAL");
  EXPECT_TRUE(ToGrpc(OkStatus()).ok());
}

TEST(StatusMapTest, ManyOrLongProblemsStayWithinTheLimitAndTheRestIsCounted) {
  for (const size_t length : {1U, 30U, 400U, 100'000U}) {
    Problems problems;
    for (int i = 0; i < 300; ++i) {
      problems.push_back({std::string(length, 'f'), std::string(length, 'm'), std::string(length, 'h')});
    }
    const grpc::Status status = ToGrpc(InvalidArgument(std::string(length * 10, 'x')), "SWEEP_INVALID", problems);
    EXPECT_LE(status.error_details().size(), kErrorDetailBytesMax);
    EXPECT_LE(status.error_message().size(), kErrorDetailBytesMax);
    v1::ErrorDetail detail;
    ASSERT_TRUE(detail.ParseFromString(status.error_details()));
    EXPECT_GE(detail.problems_size(), 1) << length;
    EXPECT_EQ(detail.problems_size() + detail.more(), 300);
  }
}

TEST(StatusMapTest, ACutTextIsStillUtf8) {
  std::string text;
  for (int i = 0; i < 2'000; ++i) text += "\xC3\xA9";
  const grpc::Status status = ToGrpc(InvalidArgument("a" + text));
  EXPECT_EQ(status.error_message().size() % 2, 0U) << "1 byte, whole characters of 2, and 3 dots";
  EXPECT_EQ(status.error_message().substr(status.error_message().size() - 3), "...");
}

TEST(PageTokenTest, ATokenGivesItsPositionBackToItsOwnListOnly) {
  const uint64_t key = ListKey({1, 2});
  EXPECT_NE(key, ListKey({2, 1}));
  for (const PagePosition position : {PagePosition{0, 0}, PagePosition{UINT64_MAX, 1}, PagePosition{123, UINT64_MAX}}) {
    bool present = false;
    const std::string token = EncodePageToken(key, position);
    const auto decoded = DecodePageToken(token, key, &present);
    ASSERT_TRUE(decoded.ok());
    EXPECT_TRUE(present);
    EXPECT_EQ(*decoded, position);
    EXPECT_FALSE(DecodePageToken(token, ListKey({1, 3}), &present).ok());
    for (size_t i = 0; i < token.size(); ++i) {
      std::string changed = token;
      changed[i] = changed[i] == '0' ? '1' : '0';
      EXPECT_FALSE(DecodePageToken(changed, key, &present).ok()) << changed;
    }
    EXPECT_FALSE(DecodePageToken(token + "0", key, &present).ok());
  }
  bool present = true;
  EXPECT_TRUE(DecodePageToken("", key, &present).ok());
  EXPECT_FALSE(present);
}

TEST(PageTokenTest, SizesHaveADefaultAndAMaximum) {
  EXPECT_EQ(*PageSize(0), kPageSizeDefault);
  EXPECT_EQ(*PageSize(7), 7U);
  EXPECT_EQ(*PageSize(INT32_MAX), kPageSizeMax);
  EXPECT_FALSE(PageSize(-1).ok());
}

TEST(ConvertTest, EveryKindOfValueArrives) {
  const auto convert = [](const Value& value) {
    v1::ParameterValue out;
    FillValue(value, &out);
    return out;
  };
  EXPECT_EQ(convert(true).bool_value(), true);
  EXPECT_EQ(convert(int64_t{-5}).int_value(), -5);
  EXPECT_EQ(convert(0.25).double_value(), 0.25);
  EXPECT_EQ(convert(std::string("adam")).string_value(), "adam");
  EXPECT_EQ(convert(JsonValue{"[1,2]"}).json_value(), "[1,2]");
  EXPECT_EQ(convert(std::monostate()).kind_case(), v1::ParameterValue::KIND_NOT_SET);
}

TEST(ConvertTest, AVerdictHasWordsOnlyWhereSomethingWasJudged) {
  v1::Verdict out;
  FillVerdict(Verdict{}, "no rung was reached", &out);
  EXPECT_EQ(out.action(), v1::Verdict::CONTINUE);
  EXPECT_EQ(out.reason(), "");
  EXPECT_FALSE(out.has_cutoff());
  Verdict stop;
  stop.action = Action::kStop;
  stop.reason = Reason::kBelowCutoff;
  stop.milestone = 3;
  stop.recorded = true;
  stop.value = 0.61;
  stop.cutoff = 0.48;
  stop.has_cutoff = true;
  stop.rank = 7;
  stop.peers = 9;
  FillVerdict(stop, "worse", &out);
  EXPECT_EQ(out.action(), v1::Verdict::STOP);
  EXPECT_EQ(out.reason(), "worse");
  EXPECT_EQ(out.cutoff(), 0.48);
  EXPECT_EQ(out.rank(), 7U);
}

TEST(ConvertTest, AHelloIsCheckedFieldByField) {
  v1::Hello hello;
  hello.set_name("w");
  hello.set_boot_id("b");
  hello.set_cpus(2);
  hello.set_reconnects(true);
  v1::Device* device = hello.add_devices();
  device->set_uuid("GPU-1");
  device->set_memory_bytes(80);
  v1::AttemptRef* ref = hello.add_attempts();
  ref->set_sweep(3);
  ref->set_trial(1);
  ref->set_attempt(2);
  ref->set_epoch(9);
  *hello.add_attempts() = *ref;
  const auto good = HelloFromProto(hello);
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->devices[0].memory_bytes, 80);
  EXPECT_TRUE(good->reconnects);
  ASSERT_EQ(good->attempts.size(), 1U) << "named twice, answered once";
  EXPECT_EQ(good->attempts[0].epoch, LeaseEpoch(9));
  *hello.add_devices() = *device;
  EXPECT_EQ(Message(HelloFromProto(hello).status()), "hello.devices[1].uuid: is listed twice: GPU-1");
  hello.clear_devices();
  hello.set_cpus(-1);
  EXPECT_FALSE(HelloFromProto(hello).ok());
  hello.set_cpus(1);
  hello.set_boot_id("");
  EXPECT_FALSE(HelloFromProto(hello).ok());
}

TEST(ConvertTest, RecordsKeepWhatTheySayAndAnEndIsCutToItsLimit) {
  v1::Records records;
  v1::Record* record = records.add_records();
  record->mutable_attempt()->set_sweep(1);
  record->mutable_attempt()->set_attempt(1);
  record->mutable_attempt()->set_epoch(4);
  record->set_sequence(5);
  record->set_time_ms(1234);
  v1::Record::Ended* ended = record->mutable_ended();
  ended->set_signal(9);
  ended->set_out_of_memory(true);
  std::string reason = "a";
  for (int i = 0; i < 5'000; ++i) reason += "\xC3\xA9";
  ended->set_reason(reason);
  std::vector<WorkerRecord> out;
  ASSERT_TRUE(RecordsFromProto(&records, &out).ok());
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].kind, WorkerRecord::Kind::kEnded);
  EXPECT_EQ(out[0].sequence, 5U);
  EXPECT_EQ(out[0].time, Time{1234});
  EXPECT_FALSE(out[0].exit.exit_code.has_value());
  EXPECT_TRUE(out[0].exit.out_of_memory);
  EXPECT_EQ(out[0].exit.reason.size(), 1'999U) << "cut between characters";
}

struct FakeStream : LiveStream {
  std::atomic<int> closed{0};
  void CloseWith(const Status&) override { ++closed; }
};

TEST(RegistryTest, ADrainClosesAllRefusesNewOnesAndWaitsForTheLast) {
  Registry registry(2);
  auto first = std::make_shared<FakeStream>();
  auto second = std::make_shared<FakeStream>();
  auto third = std::make_shared<FakeStream>();
  EXPECT_TRUE(registry.Add(first).ok());
  EXPECT_TRUE(registry.Add(second).ok());
  EXPECT_EQ(registry.Add(third).code(), StatusCode::kResourceExhausted);
  registry.Remove(third.get());
  registry.BeginDrain();
  EXPECT_EQ(registry.Add(third).code(), StatusCode::kUnavailable);
  registry.CloseAll(Unavailable("x"));
  EXPECT_EQ(first->closed + second->closed + third->closed, 3);
  EXPECT_FALSE(registry.WaitEmpty(std::chrono::milliseconds(1)));
  std::thread remover([&] {
    registry.Remove(first.get());
    registry.Remove(second.get());
    registry.Remove(third.get());
  });
  EXPECT_TRUE(registry.WaitEmpty(std::chrono::seconds(30)));
  remover.join();
}

TEST(SideThreadTest, TasksRunByTimeAndAFullQueueRefuses) {
  std::vector<int> order;
  std::promise<void> release;
  std::promise<void> done;
  {
    SideThread side(3);
    std::promise<void> begun;
    ASSERT_TRUE(side.Post([&] {
      begun.set_value();
      release.get_future().wait();
    }));
    begun.get_future().wait();
    EXPECT_TRUE(side.PostAfter(std::chrono::milliseconds(5), [&] {
      order.push_back(3);
      done.set_value();
    }));
    EXPECT_TRUE(side.Post([&] { order.push_back(1); }));
    EXPECT_TRUE(side.Post([&] { order.push_back(2); }));
    EXPECT_FALSE(side.Post([&] { order.push_back(4); }));
    release.set_value();
    done.get_future().wait();
  }
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

}  // namespace
}  // namespace tunesmith::rpc
