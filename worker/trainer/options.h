// What a built-in trial can be told: the one table behind the configuration file, --set and --help.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tunesmith::trainer {

// A member that stands for "not given" is replaced by ParseOptions; nobody else sees it.
struct TrainerOptions {
  std::string model = "mlp";       // mlp, lenet
  std::string dataset = "digits";  // digits, csv, mnist, cifar10, synthetic
  std::string data;                // path of the file or directory; "" = the usual places
  double lr = 0;                   // not given: 0.001 for adam and adamw, 0.05 for sgd
  int64_t batch_size = 64;
  int64_t epochs = 0;           // not given: the scheduler's max_t, else 10
  std::vector<int64_t> hidden;  // widths of the fully connected layers; not given: by model
  int64_t layers = 0;           // repeats one width; not given: 1
  std::vector<int64_t> channels = {16, 32};  // lenet's two convolutions
  double dropout = 0;
  std::string activation = "relu";  // relu, tanh, gelu
  std::string optimizer = "adam";   // sgd, adam, adamw
  double momentum = 0;              // sgd only
  double weight_decay = 0;
  int64_t seed = -1;            // not given: the trial's
  double test_fraction = 0.2;   // digits, csv and synthetic; the others bring their own test files
  std::string label_column;     // csv: name, or number from 0, negative from the end; "" = the last
  std::string header = "auto";  // csv: auto, yes, no
  int64_t samples = 2000;       // synthetic
  int64_t classes = 10;         // synthetic
  int64_t features = 20;        // synthetic
  double noise = 1.0;           // synthetic: standard deviation around a class centre
  std::string device = "auto";  // auto, cpu, cuda
  int64_t checkpoint_every = 1;  // epochs; 0 = only when asked to leave
  std::string mode = "single";   // single, data_parallel, model_parallel, ddp
  std::vector<std::string> devices;  // data_parallel, model_parallel: "cpu", "cuda:1"; two or more
  int64_t batch_per_rank = 0;        // ddp; not given: batch_size counts the rows of all ranks
  double peer_timeout = 60;          // ddp: seconds to wait for another rank
  std::string check_ranks = "no";    // ddp: yes = compare the parameters after each epoch

  std::vector<std::string> notes;  // what was given and has no effect, one line each
};

// What the environment says where the configuration says nothing.
struct OptionDefaults {
  int64_t epochs = 0;  // the scheduler's max_t; 0 = unknown
  uint64_t seed = 0;
};

// `config`: a JSON object as in TUNESMITH_CONFIG ("" = none). `settings`: "name=value" each, which
// win over `config`. Names are matched without regard to case, '_' and '-'. INVALID_ARGUMENT names
// every wrong option, one a line: the name, the value, what is allowed, and the closest name where
// the name is unknown.
StatusOr<TrainerOptions> ParseOptions(std::string_view config,
                                      const std::vector<std::string>& settings,
                                      const OptionDefaults& defaults);

// `config`: a JSON object ("" = none). Its text with `settings` ("name=value" each) put in: JSON where a value is
// JSON, a list where it has commas, else text. INVALID_ARGUMENT says what is wrong. For programs with options of their
// own.
StatusOr<std::string> ConfigWithSettings(std::string_view config, const std::vector<std::string>& settings);

// The options as lines of --help.
std::string OptionsHelp();

// "adam lr=0.001 weight_decay=0.0": what an optimiser's own saved state leaves out.
std::string OptimizerText(const TrainerOptions& options);

}  // namespace tunesmith::trainer
