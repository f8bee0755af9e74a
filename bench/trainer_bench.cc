// What the trainer's own loop costs over a bare LibTorch loop, and what two ranks give against two threads.
//
//   trainer_bench [ROUNDS]    runs in pairs, in turn, and prints each pair's ratio and the median
//
// The bare loop is what one would write by hand for the same model and data: batches in a shuffled order, Adam,
// evaluation after each epoch, no reports, no verdicts, no options. Throughput is taken from the time between the
// reports of real tunesmith-trainer processes, so that starting up does not count.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "worker/sdk/trial.h"
#include "worker/trainer/datasets.h"
#include "worker/trainer/models.h"
#include "worker/trainer/options.h"
#include "worker/trainer/prepared_data.h"
#include "worker/trainer/training.h"

namespace tunesmith::trainer {
namespace {

namespace nn = torch::nn;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

TrainerOptions LoopOptions() {
  const auto options = ParseOptions("", {"device=cpu", "epochs=12", "seed=1"}, {});
  return *options;
}

double BareLoop(const TrainerOptions& options, const DataPlaces& places) {
  Dataset data = *LoadDataset(options, places);
  torch::manual_seed(1);
  nn::Sequential model = *MakeModel(options, data);
  const PreparedData prepared(std::move(data), options.model, torch::kCPU, torch::kCPU);
  torch::optim::Adam adam(model->parameters(), torch::optim::AdamOptions(options.lr));
  const double begin = Now();
  double sink = 0;
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    model->train();
    for (const torch::Tensor& rows : torch::randperm(prepared.train().size()).split(options.batch_size)) {
      adam.zero_grad();
      const torch::Tensor loss = nn::functional::cross_entropy(
          model->forward(prepared.train().rows.index_select(0, rows)), prepared.train().labels.index_select(0, rows));
      loss.backward();
      adam.step();
      sink += loss.item<double>();
    }
    torch::NoGradGuard no_grad;
    model->eval();
    const torch::Tensor logits = model->forward(prepared.test().rows);
    sink += nn::functional::cross_entropy(logits, prepared.test().labels).item<double>();
    sink += logits.argmax(1).eq(prepared.test().labels).sum().item<double>();
  }
  const double seconds = Now() - begin;
  if (sink < 0) std::printf("%f\n", sink);  // never: keeps the sums from being left out
  return seconds;
}

// Less what loading takes, which BareLoop does before it looks at the clock.
double TrainersLoop(TrainerOptions options, const DataPlaces& places) {
  const int64_t epochs = options.epochs;
  Trial trial;
  double seconds = 0;
  for (const int64_t run : {epochs + 1, int64_t{1}}) {
    options.epochs = run;
    Dataset data = *LoadDataset(options, places);
    const double begin = Now();
    const Status trained = Train(options, std::nullopt, std::move(data), trial);
    if (!trained.ok()) std::fprintf(stderr, "%s\n", Message(trained).c_str());
    seconds += (run > 1 ? 1 : -1) * (Now() - begin);
  }
  return seconds;
}

// Runs `ranks` trainers (1: single) with `threads` each; seconds from the first report to the last.
double Throughput(const std::string& trainer, int ranks, int threads, int port) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 0;
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  std::vector<pid_t> children;
  for (int rank = 0; rank < ranks; ++rank) {
    const pid_t child = fork();
    if (child == 0) {
      const auto set = [](const char* name, int value) { setenv(name, std::to_string(value).c_str(), 1); };
      set("RANK", rank);
      set("WORLD_SIZE", ranks);
      set("LOCAL_RANK", rank);
      set("LOCAL_WORLD_SIZE", ranks);
      set("MASTER_PORT", port);
      setenv("MASTER_ADDR", "127.0.0.1", 1);
      set("TUNESMITH_CPUS", ranks * threads);
      set("OMP_NUM_THREADS", threads);
      set("TUNESMITH_CHANNEL", ends[1]);
      dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
      execl(trainer.c_str(), trainer.c_str(), "--mode", ranks > 1 ? "ddp" : "single", "--set", "dataset=synthetic",
            "--set", "samples=8000", "--set", "features=512", "--set", "hidden=1024,1024", "--set", "epochs=4", "--set",
            "device=cpu", "--batch-size", "512", nullptr);
      _exit(127);
    }
    children.push_back(child);
  }
  close(ends[1]);
  std::string line;
  double first = 0;
  double last = 0;
  for (char c; read(ends[0], &c, 1) == 1;) {
    if (c != '\n') {
      line += c;
      continue;
    }
    if (line.find("\"report\"") != std::string::npos) (first == 0 ? first : last) = Now();
    line.clear();
  }
  close(ends[0]);
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  return last - first;
}

int Main(int rounds) {
  std::error_code error;
  const std::string folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
  const DataPlaces places{"", folder};
  // One thread for both, and the trainer's lines out of the way.
  setenv("TUNESMITH_CPUS", "1", 1);
  at::set_num_threads(1);
  const int out = dup(STDOUT_FILENO);
  FILE* results = fdopen(out, "w");
  dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);

  const TrainerOptions options = LoopOptions();
  std::vector<double> ratios;
  BareLoop(options, places);  // pages and allocators warm up
  for (int round = 0; round < rounds; ++round) {
    const double bare = BareLoop(options, places);
    const double ours = TrainersLoop(options, places);
    ratios.push_back(ours / bare);
    std::fprintf(results, "loop: bare %.3f s, trainer %.3f s, ratio %.3f\n", bare, ours, ratios.back());
  }
  std::fprintf(results, "overhead of the trainer's loop, median of %d: %+.1f %% (bar: 3 %%)\n", rounds,
               100 * (Median(ratios) - 1));

  ratios.clear();
  for (int round = 0; round < rounds; ++round) {
    const double threads = Throughput(folder + "/tunesmith-trainer", 1, 2, 0);
    const double ranks = Throughput(folder + "/tunesmith-trainer", 2, 1, 29'600 + round);
    ratios.push_back(threads / ranks);
    std::fprintf(results, "3 epochs: 1 rank of 2 threads %.2f s, 2 ranks of 1 thread %.2f s, throughput ratio %.2f\n",
                 threads, ranks, ratios.back());
  }
  std::fprintf(results, "throughput of 2 ranks against 2 threads, median of %d: %.2f\n", rounds, Median(ratios));
  std::fclose(results);
  return 0;
}

}  // namespace
}  // namespace tunesmith::trainer

int main(int argc, char** argv) {
  return tunesmith::trainer::Main(argc > 1 ? std::max(1, std::atoi(argv[1])) : 7);
}
