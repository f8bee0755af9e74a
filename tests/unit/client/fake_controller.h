// The controller's services as far as the client's tests need them: answers are what the test put
// in.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "tunesmith/v1/tuning_service.grpc.pb.h"

namespace tunesmith {

// Set the fields before the first call. Counts are guarded by the mutex.
class FakeController final : public v1::SweepService::Service, public v1::TrialService::Service {
 public:
  FakeController() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(static_cast<v1::SweepService::Service*>(this));
    builder.RegisterService(static_cast<v1::TrialService::Service*>(this));
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~FakeController() override { server_->Shutdown(std::chrono::system_clock::now()); }

  const std::string& address() const { return address_; }
  std::shared_ptr<grpc::Channel> InProcess() { return server_->InProcessChannel({}); }

  std::vector<v1::Sweep> sweeps;
  std::vector<v1::Trial> trials;
  grpc::Status create_status;
  std::string create_status_detail;
  int unavailable_calls = 0;  // GetSweep and CreateSweep fail so often first
  // One per WatchSweep call: what is sent, and how it ends. The last one is repeated.
  struct Watch {
    std::vector<v1::WatchSweepResponse> responses;
    grpc::Status status;
    bool until_cancelled = false;
  };
  std::vector<Watch> watches;

  int calls(const std::string& method) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return calls_[method];
  }
  std::vector<std::string> request_ids() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return request_ids_;
  }

  grpc::Status CreateSweep(grpc::ServerContext*, const v1::CreateSweepRequest* request,
                           v1::Sweep* sweep) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      request_ids_.push_back(request->request_id());
    }
    if (Count("CreateSweep") <= unavailable_calls)
      return {grpc::StatusCode::UNAVAILABLE, "starting"};
    if (!create_status.ok())
      return {create_status.error_code(), create_status.error_message(), create_status_detail};
    *sweep = sweeps.front();
    return grpc::Status::OK;
  }

  grpc::Status GetSweep(grpc::ServerContext*, const v1::GetSweepRequest* request,
                        v1::Sweep* sweep) override {
    if (Count("GetSweep") <= unavailable_calls) return {grpc::StatusCode::UNAVAILABLE, "starting"};
    for (const v1::Sweep& one : sweeps) {
      if (one.id() != request->sweep()) continue;
      *sweep = one;
      return grpc::Status::OK;
    }
    return {grpc::StatusCode::NOT_FOUND, "no such sweep"};
  }

  // Pages of two.
  grpc::Status ListSweeps(grpc::ServerContext*, const v1::ListSweepsRequest* request,
                          v1::ListSweepsResponse* response) override {
    Count("ListSweeps");
    Page(
        sweeps, request->page_token(), [&](const v1::Sweep& s) { *response->add_sweeps() = s; },
        response->mutable_next_page_token());
    return grpc::Status::OK;
  }

  grpc::Status ListTrials(grpc::ServerContext*, const v1::ListTrialsRequest* request,
                          v1::ListTrialsResponse* response) override {
    Count("ListTrials");
    Page(
        trials, request->page_token(), [&](const v1::Trial& t) { *response->add_trials() = t; },
        response->mutable_next_page_token());
    return grpc::Status::OK;
  }

  grpc::Status WatchSweep(grpc::ServerContext* context, const v1::WatchSweepRequest*,
                          grpc::ServerWriter<v1::WatchSweepResponse>* writer) override {
    const size_t call = static_cast<size_t>(Count("WatchSweep") - 1);
    const Watch& watch = watches[std::min(call, watches.size() - 1)];
    for (const v1::WatchSweepResponse& response : watch.responses) writer->Write(response);
    while (watch.until_cancelled && !context->IsCancelled()) std::this_thread::yield();
    return watch.status;
  }

 private:
  int Count(const std::string& method) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ++calls_[method];
  }

  template <typename Item, typename Add>
  static void Page(const std::vector<Item>& items, const std::string& token, const Add& add,
                   std::string* next) {
    const size_t start = token.empty() ? 0 : std::stoul(token);
    for (size_t i = start; i < items.size() && i < start + 2; ++i) add(items[i]);
    if (start + 2 < items.size()) *next = std::to_string(start + 2);
  }

  std::mutex mutex_;
  std::map<std::string, int> calls_;
  std::vector<std::string> request_ids_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace tunesmith
