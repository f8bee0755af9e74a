// Drives a real tunesmith-server over loopback as 64 worker daemons and prints what it can take, each figure beside a
// peer or a limit measured in the same run: the disk's own fdatasync, SQLite alone with the same rows, and (with
// --optuna SCRIPT) Optuna's report-and-prune loop.
//
//   load_bench [--server PATH] [--folder DIR] [--streams 64] [--measurements 1000000] [--trials 20000]
//              [--optuna SCRIPT]
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "server/journal/schema.h"
#include "tunesmith/v1/tuning_service.grpc.pb.h"
#include "tunesmith/v1/worker_service.grpc.pb.h"

extern char** environ;

namespace tunesmith {
namespace {

using Clock = std::chrono::steady_clock;
using v1::ControllerMessage;
using v1::WorkerMessage;

double SecondsOf(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "load_bench: %s\n", why.c_str());
  std::_Exit(1);
}

struct Options {
  std::string server;
  std::string folder;
  int streams = 64;
  int64_t measurements = 1'000'000;
  int64_t trials = 20'000;
  std::string optuna;
};

// p in [0, 1] of unsorted values.
double Percentile(std::vector<double> values, double p) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(p * static_cast<double>(values.size())))];
}

// Milliseconds of one 4 KiB write + fdatasync each: appended to a file that grows, or over what is there already (as a
// write-ahead log does once it has its size).
std::vector<double> MeasureDisk(const std::string& folder, int count, bool append) {
  const std::string path = folder + "/fdatasync";
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) Die("cannot write " + path);
  const std::vector<char> page(4096, 'x');
  if (!append) {
    for (int i = 0; i < count; ++i) {
      if (write(fd, page.data(), page.size()) != 4096) Die("cannot write " + path);
    }
    if (fsync(fd) != 0) Die("cannot sync " + path);
    lseek(fd, 0, SEEK_SET);
  }
  std::vector<double> ms;
  for (int i = 0; i < count; ++i) {
    const auto begin = Clock::now();
    if (write(fd, page.data(), page.size()) != 4096 || fdatasync(fd) != 0) Die("cannot sync " + path);
    ms.push_back(SecondsOf(Clock::now() - begin) * 1e3);
  }
  close(fd);
  std::filesystem::remove(path);
  return ms;
}

// The server as a child process.
class Server {
 public:
  Server(const Options& options, std::string data) : options_(options), data_(std::move(data)) {}
  ~Server() {
    if (pid_ > 0) Stop(SIGKILL);
  }

  // Returns seconds from exec to serving.
  double Start() {
    const std::string port_file = data_ + "/port";
    std::filesystem::remove(port_file);
    std::vector<std::string> args = {options_.server, "--listen",  "127.0.0.1:0", "--data-dir", data_,
                                     "--port-file",   port_file,   "--log-level", "warning"};
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    const auto begin = Clock::now();
    if (posix_spawn(&pid_, options_.server.c_str(), nullptr, nullptr, argv.data(), environ) != 0) {
      Die("cannot start " + options_.server);
    }
    address_.clear();
    while (address_.empty()) {
      std::ifstream in(port_file);
      std::getline(in, address_);
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) Die("the server ended while starting");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      if (Clock::now() - begin > std::chrono::seconds(120)) Die("the server does not come up");
    }
    return SecondsOf(Clock::now() - begin);
  }
  void Stop(int signal) {
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  const std::string& address() const { return address_; }

  double CpuSeconds() const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/stat");
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    std::istringstream fields(text.substr(text.rfind(')') + 2));
    std::string skip;
    for (int i = 0; i < 11; ++i) fields >> skip;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  double ResidentBytes() const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/statm");
    double total = 0, resident = 0;
    in >> total >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
  }

 private:
  const Options& options_;
  std::string data_;
  std::string address_;
  pid_t pid_ = 0;
};

enum class Mode { kFlood, kPaced, kNoop };

struct Shared {
  std::atomic<Mode> mode{Mode::kNoop};
  std::atomic<int64_t> acked{0};      // measurements acknowledged (flood, paced)
  std::atomic<int64_t> ended{0};      // trials ended (noop)
  std::atomic<int64_t> remaining{0};  // measurements left to send (flood)
  std::atomic<int> assigned{0};
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::vector<double> latencies_ms;   // guarded by mutex
};

constexpr int kFloodBatch = 250;         // measurements a message
constexpr uint64_t kFloodWindow = 4'000; // unacknowledged ones a stream

// One daemon. Reactions of one stream may run at the same time, hence the mutex.
class Worker : public grpc::ClientBidiReactor<WorkerMessage, ControllerMessage> {
 public:
  Worker(v1::WorkerService::Stub* stub, Shared* shared, int number, int cpus) : shared_(shared) {
    stub->async()->Session(&context_, this);
    auto hello = std::make_unique<WorkerMessage>();
    hello->mutable_hello()->set_name("bench-" + std::to_string(number));
    hello->mutable_hello()->set_boot_id("boot");
    hello->mutable_hello()->set_host("bench");
    hello->mutable_hello()->set_cpus(cpus);
    StartRead(&in_);
    {
      std::lock_guard lock(mutex_);
      Send(std::move(hello));
    }
    StartCall();
  }

  // One measurement now (paced mode).
  void SendOne() {
    std::lock_guard lock(mutex_);
    if (!has_attempt_ || closed_) return;
    auto message = std::make_unique<WorkerMessage>();
    AddMeasured(message->mutable_records());
    sent_at_.emplace_back(sequence_, Clock::now());
    Send(std::move(message));
  }

  void Heartbeat() {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    auto message = std::make_unique<WorkerMessage>();
    message->mutable_heartbeat();
    Send(std::move(message));
  }

  // Ends its attempt (flood, paced).
  void Finish() {
    std::lock_guard lock(mutex_);
    if (!has_attempt_ || closed_) return;
    auto message = std::make_unique<WorkerMessage>();
    AddRecord(message->mutable_records(), attempt_, ++sequence_)->mutable_ended()->set_exit_code(0);
    has_attempt_ = false;
    Send(std::move(message));
  }

  void Close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      if (writes_.empty() && !done_writing_) {
        done_writing_ = true;
        StartWritesDone();
      }
    }
    std::unique_lock lock(done_mutex_);
    if (!done_cv_.wait_for(lock, std::chrono::seconds(2), [this] { return done_; })) {
      context_.TryCancel();
      done_cv_.wait(lock, [this] { return done_; });
    }
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writes_.pop_front();
    if (!ok) {
      closed_ = true;
      writes_.clear();
      return;
    }
    if (!writes_.empty()) {
      StartWrite(writes_.front().get());
    } else if (closed_ && !done_writing_) {
      done_writing_ = true;
      StartWritesDone();
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    {
      std::lock_guard lock(mutex_);
      Handle(in_);
    }
    StartRead(&in_);
  }

  void OnDone(const grpc::Status& status) override {
    if (!status.ok() && !shared_->stopping) {
      std::fprintf(stderr, "stream ended: %s\n", status.error_message().c_str());
    }
    std::lock_guard lock(done_mutex_);
    done_ = true;
    done_cv_.notify_all();
  }

 private:
  void Send(std::unique_ptr<WorkerMessage> message) {
    writes_.push_back(std::move(message));
    if (writes_.size() == 1) StartWrite(writes_.front().get());
  }

  static v1::Record* AddRecord(v1::Records* records, const v1::AttemptRef& ref, uint64_t sequence) {
    v1::Record* record = records->add_records();
    *record->mutable_attempt() = ref;
    record->set_sequence(sequence);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    record->set_time_ms(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
    return record;
  }

  static void FillMeasured(v1::Record* record, int64_t step) {
    auto* measured = record->mutable_measured();
    measured->set_step(step);
    v1::MetricValue* loss = measured->add_metrics();
    loss->set_name("loss");
    loss->set_value(1.0 / static_cast<double>(step + 1));
    v1::MetricValue* accuracy = measured->add_metrics();
    accuracy->set_name("accuracy");
    accuracy->set_value(1.0 - 1.0 / static_cast<double>(step + 2));
  }

  void AddMeasured(v1::Records* records) { FillMeasured(AddRecord(records, attempt_, ++sequence_), ++step_); }

  void Flood() {
    while (has_attempt_ && sequence_ - acked_ < kFloodWindow && shared_->remaining.fetch_sub(kFloodBatch) > 0) {
      auto message = std::make_unique<WorkerMessage>();
      v1::Records* records = message->mutable_records();
      records->mutable_records()->Reserve(kFloodBatch);
      for (int i = 0; i < kFloodBatch; ++i) AddMeasured(records);
      Send(std::move(message));
    }
  }

  void Handle(const ControllerMessage& message) {
    if (message.has_assign()) {
      if (shared_->mode == Mode::kNoop) {
        // Starts, reports once and ends, all at once.
        auto out = std::make_unique<WorkerMessage>();
        v1::Records* records = out->mutable_records();
        AddRecord(records, message.assign().attempt(), 1)->mutable_started();
        FillMeasured(AddRecord(records, message.assign().attempt(), 2), 1);
        AddRecord(records, message.assign().attempt(), 3)->mutable_ended()->set_exit_code(0);
        Send(std::move(out));
        return;
      }
      attempt_ = message.assign().attempt();
      has_attempt_ = true;
      sequence_ = acked_ = 0;
      step_ = 0;
      ++shared_->assigned;
      if (shared_->mode == Mode::kFlood) Flood();
      return;
    }
    if (!message.has_ack()) return;
    const uint64_t sequence = message.ack().sequence();
    if (shared_->mode == Mode::kNoop) {
      if (sequence >= 3) ++shared_->ended;
      return;
    }
    if (sequence > acked_) {
      shared_->acked += static_cast<int64_t>(sequence - acked_);
      acked_ = sequence;
    }
    if (shared_->mode == Mode::kFlood) return Flood();
    const auto now = Clock::now();
    while (!sent_at_.empty() && sent_at_.front().first <= sequence) {
      std::lock_guard lock(shared_->mutex);
      shared_->latencies_ms.push_back(SecondsOf(now - sent_at_.front().second) * 1e3);
      sent_at_.pop_front();
    }
  }

  Shared* shared_;
  grpc::ClientContext context_;
  ControllerMessage in_;
  std::mutex mutex_;
  std::deque<std::unique_ptr<WorkerMessage>> writes_;
  bool closed_ = false;
  bool done_writing_ = false;
  v1::AttemptRef attempt_;
  bool has_attempt_ = false;
  uint64_t sequence_ = 0;
  uint64_t acked_ = 0;
  int64_t step_ = 0;
  std::deque<std::pair<uint64_t, Clock::time_point>> sent_at_;
  std::mutex done_mutex_;
  std::condition_variable done_cv_;
  bool done_ = false;
};

// All the streams, and a thread that keeps their leases.
class Fleet {
 public:
  Fleet(const Options& options, const std::string& address, Shared* shared, int cpus) : shared_(shared) {
    for (int i = 0; i < options.streams; ++i) {
      // Eight streams a connection.
      if (i % 8 == 0) {
        grpc::ChannelArguments arguments;
        arguments.SetInt("bench.connection", i);
        stubs_.push_back(v1::WorkerService::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
      }
      workers_.push_back(std::make_unique<Worker>(stubs_.back().get(), shared, i, cpus));
    }
    heart_ = std::thread([this] {
      while (!shared_->stopping) {
        for (int i = 0; i < 20 && !shared_->stopping; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
        for (auto& worker : workers_) worker->Heartbeat();
      }
    });
  }
  ~Fleet() {
    shared_->stopping = true;
    heart_.join();
    for (auto& worker : workers_) worker->Close();
  }
  std::vector<std::unique_ptr<Worker>>& workers() { return workers_; }

 private:
  Shared* shared_;
  std::vector<std::unique_ptr<v1::WorkerService::Stub>> stubs_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::thread heart_;
};

std::unique_ptr<v1::SweepService::Stub> Sweeps(const std::string& address) {
  return v1::SweepService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
}

std::string CreateSweep(const std::string& address, const std::string& name, int64_t trials,
                        const std::string& search) {
  v1::CreateSweepRequest request;
  v1::SweepSpec* spec = request.mutable_spec();
  spec->set_name(name);
  spec->mutable_program()->add_command("true");
  spec->mutable_program()->add_command("${args}");
  for (int i = 0; i < 5; ++i) {
    v1::ParameterSpec* parameter = spec->add_parameters();
    parameter->set_name("x" + std::to_string(i));
    parameter->mutable_uniform()->set_hi(1);
  }
  spec->mutable_search()->set_type(search);
  spec->mutable_search()->set_metric("loss");
  spec->mutable_search()->set_goal(v1::GOAL_MIN);
  spec->mutable_search()->set_seed(1);
  spec->mutable_scheduler()->set_type("asha");
  spec->mutable_scheduler()->set_max_t(1'000'000'000);
  spec->mutable_budget()->set_trials(trials);
  grpc::ClientContext context;
  v1::Sweep sweep;
  const grpc::Status status = Sweeps(address)->CreateSweep(&context, request, &sweep);
  if (!status.ok()) Die("CreateSweep: " + status.error_message());
  return sweep.id();
}

v1::Sweep GetSweep(const std::string& address, const std::string& id) {
  v1::GetSweepRequest request;
  request.set_sweep(id);
  grpc::ClientContext context;
  v1::Sweep sweep;
  const grpc::Status status = Sweeps(address)->GetSweep(&context, request, &sweep);
  if (!status.ok()) Die("GetSweep: " + status.error_message());
  return sweep;
}

void WaitFor(const char* what, int seconds, const std::function<bool()>& done) {
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  while (!done()) {
    if (Clock::now() > end) Die(std::string("gave up waiting for ") + what);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void WaitForEnd(const Server& server, const std::string& sweep) {
  WaitFor("the end of the sweep", 60,
          [&] { return GetSweep(server.address(), sweep).state() >= v1::Sweep::SUCCEEDED; });
}

// Rows a second of SQLite alone: the same rows into the same table on the same disk, `batch` a transaction.
double SqliteAlone(const std::string& folder, int64_t rows, int batch) {
  const std::string path = folder + "/alone.db";
  sqlite3* db = nullptr;
  if (sqlite3_open(path.c_str(), &db) != SQLITE_OK) Die("cannot open " + path);
  const auto run = [&](const char* sql) {
    if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) Die(sqlite3_errmsg(db));
  };
  run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
  run(kSchema);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(db,
                     "INSERT INTO measurements(seq,sweep,trial,attempt,sequence,step,time_ms,m0,m1) "
                     "VALUES(?,1,?,1,?,?,1700000000000,?,?)",
                     -1, &insert, nullptr);
  const auto begin = Clock::now();
  for (int64_t row = 1; row <= rows; ++row) {
    if ((row - 1) % batch == 0) run("BEGIN IMMEDIATE");
    sqlite3_bind_int64(insert, 1, row);
    sqlite3_bind_int64(insert, 2, row % 64);
    sqlite3_bind_int64(insert, 3, row / 64);
    sqlite3_bind_int64(insert, 4, row / 64);
    sqlite3_bind_double(insert, 5, 1.0 / static_cast<double>(row));
    sqlite3_bind_double(insert, 6, 1.0 - 1.0 / static_cast<double>(row));
    if (sqlite3_step(insert) != SQLITE_DONE) Die(sqlite3_errmsg(db));
    sqlite3_reset(insert);
    if (row % batch == 0 || row == rows) run("COMMIT");
  }
  const double seconds = SecondsOf(Clock::now() - begin);
  sqlite3_finalize(insert);
  sqlite3_close(db);
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
  return static_cast<double>(rows) / seconds;
}

void BenchThroughput(const Options& options, Server* server) {
  Shared shared;
  shared.mode = Mode::kFlood;
  shared.remaining = options.measurements;
  Fleet fleet(options, server->address(), &shared, 1);
  const double cpu = server->CpuSeconds();
  const auto begin = Clock::now();
  const std::string sweep = CreateSweep(server->address(), "flood", options.streams, "random");
  WaitFor("measurements", 300, [&] { return shared.acked >= options.measurements; });
  const double seconds = SecondsOf(Clock::now() - begin);
  const auto acked = static_cast<double>(shared.acked);
  const double server_cpu = server->CpuSeconds() - cpu;
  for (auto& worker : fleet.workers()) worker->Finish();
  WaitForEnd(*server, sweep);
  const int64_t recorded = GetSweep(server->address(), sweep).counts().measurements();
  if (recorded < options.measurements) Die("acknowledged measurements are missing");
  const double alone = SqliteAlone(options.folder, options.measurements, 1000);
  std::printf("durable measurements, %d streams     %10.0f /s    bar 100000/s: x%.2f; SQLite alone %.0f/s: x%.2f\n",
              options.streams, acked / seconds, acked / seconds / 1e5, alone, acked / seconds / alone);
  std::printf("server CPU per measurement           %10.2f us\n", server_cpu / acked * 1e6);
}

void BenchLatency(const Options& options, Server* server) {
  Shared shared;
  shared.mode = Mode::kPaced;
  Fleet fleet(options, server->address(), &shared, 1);
  std::vector<double> disk = MeasureDisk(options.folder, 400, false);
  const std::vector<double> growing = MeasureDisk(options.folder, 400, true);
  const std::string sweep = CreateSweep(server->address(), "paced", options.streams, "random");
  WaitFor("assignments", 30, [&] { return shared.assigned >= options.streams; });
  constexpr int kPerSecond = 5'000;
  constexpr int kSecondsOfLoad = 6;
  const auto begin = Clock::now();
  int64_t sent = 0;
  while (sent < kPerSecond * kSecondsOfLoad) {
    const auto due = static_cast<int64_t>(SecondsOf(Clock::now() - begin) * kPerSecond);
    for (; sent < due; ++sent) fleet.workers()[static_cast<size_t>(sent) % fleet.workers().size()]->SendOne();
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  WaitFor("verdicts", 30, [&] { return shared.acked >= sent; });
  for (auto& worker : fleet.workers()) worker->Finish();
  WaitForEnd(*server, sweep);
  const std::vector<double> again = MeasureDisk(options.folder, 400, false);
  disk.insert(disk.end(), again.begin(), again.end());
  const double sync50 = Percentile(disk, 0.5);
  const double sync99 = Percentile(disk, 0.99);
  std::lock_guard lock(shared.mutex);
  const double p50 = Percentile(shared.latencies_ms, 0.5);
  const double p99 = Percentile(shared.latencies_ms, 0.99);
  std::printf("fdatasync of this disk               %10.3f ms p50, %.3f ms p99 (of a file that grows: %.3f, %.3f)\n",
              sync50, sync99, Percentile(growing, 0.5), Percentile(growing, 0.99));
  std::printf("verdict latency at %d/s            %10.3f ms p50   bar 2 fdatasync: x%.2f\n", kPerSecond, p50,
              p50 / (2 * sync50));
  std::printf("                                     %10.3f ms p99   bar 4 fdatasync: x%.2f (4 of its p99: x%.2f)\n",
              p99, p99 / (4 * sync50), p99 / (4 * sync99));
}

void BenchNoop(const Options& options, Server* server, const std::string& search) {
  Shared shared;
  shared.mode = Mode::kNoop;
  Fleet fleet(options, server->address(), &shared, 4);
  const double cpu = server->CpuSeconds();
  const double memory = server->ResidentBytes();
  const auto begin = Clock::now();
  const std::string sweep = CreateSweep(server->address(), "noop-" + search, options.trials, search);
  WaitFor("trials", 300, [&] { return shared.ended >= options.trials; });
  const double seconds = SecondsOf(Clock::now() - begin);
  const auto trials = static_cast<double>(options.trials);
  const double cpu_us = (server->CpuSeconds() - cpu) / trials * 1e6;
  const double bytes = (server->ResidentBytes() - memory) / trials;
  std::printf("no-op trials, %-8s               %10.0f /s    bar 2000/s: x%.2f; CPU %.0f us a trial (bar 300: x%.2f); "
              "memory %.0f B a trial (bar 2048: x%.2f)\n",
              search.c_str(), trials / seconds, trials / seconds / 2000, cpu_us, cpu_us / 300, bytes, bytes / 2048);
  WaitForEnd(*server, sweep);
}

int Main(int argc, char** argv) {
  Options options;
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  options.server = (here / "tunesmith-server").string();
  options.folder = (here.parent_path() / "load_bench_data").string();
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 >= argc) Die(flag + " needs a value");
    if (flag == "--server") {
      options.server = argv[i + 1];
    } else if (flag == "--folder") {
      options.folder = argv[i + 1];
    } else if (flag == "--streams") {
      options.streams = std::atoi(argv[i + 1]);
    } else if (flag == "--measurements") {
      options.measurements = std::atoll(argv[i + 1]);
    } else if (flag == "--trials") {
      options.trials = std::atoll(argv[i + 1]);
    } else if (flag == "--optuna") {
      options.optuna = argv[i + 1];
    } else {
      Die("unknown flag " + flag);
    }
  }
  std::filesystem::remove_all(options.folder);
  const std::string data = options.folder + "/server";
  std::filesystem::create_directories(data);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);

  Server server(options, data);
  server.Start();
  BenchNoop(options, &server, "random");
  BenchNoop(options, &server, "tpe");
  BenchLatency(options, &server);
  BenchThroughput(options, &server);
  server.Stop(SIGKILL);
  const double restart = server.Start();
  std::printf("restart with %.2f M measurements      %10.2f s     bar 3 s: x%.2f\n",
              static_cast<double>(options.measurements + 30'000 + 2 * options.trials) / 1e6, restart, restart / 3);
  server.Stop(SIGTERM);

  if (!options.optuna.empty()) {
    const std::string command = "/usr/bin/python3 " + options.optuna + " " + options.folder + "/optuna.db";
    if (std::system(command.c_str()) != 0) Die("the Optuna loop failed");
  }
  std::filesystem::remove_all(options.folder);
  return 0;
}

}  // namespace
}  // namespace tunesmith

int main(int argc, char** argv) { return tunesmith::Main(argc, argv); }
