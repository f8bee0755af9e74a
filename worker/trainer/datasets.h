// Labelled samples in memory, split into what is trained on and what is held out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "worker/trainer/options.h"

namespace tunesmith::trainer {

// Rows of equal length, row after row, either as numbers or as bytes (pixels); the other vector is
// empty.
struct Samples {
  std::vector<float> values;
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;  // one a row, from 0
  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

struct ImageShape {
  int64_t channels = 0;  // 0: the rows are no images
  int64_t height = 0;
  int64_t width = 0;
};

struct Dataset {
  std::string name;
  int64_t features = 0;  // numbers a row
  int64_t classes = 0;
  ImageShape shape;
  Samples train;
  Samples test;
};

// Where files are looked for when the options name none.
struct DataPlaces {
  std::string data_dir;        // TUNESMITH_DATA_DIR; "" = not set
  std::string executable_dir;  // of the running program
};

// Reads, checks and splits the data set of `options`. Files are split with a fixed seed: every
// trial is measured on the same held-out rows. Errors say which file is expected where, or name the
// file with the line or byte.
StatusOr<Dataset> LoadDataset(const TrainerOptions& options, const DataPlaces& places);

// Moves about `fraction` of every class of `all` to the test part (at least one row of each class
// with two rows or more), in an order drawn from `seed`.
void SplitByClass(Samples all, int64_t features, int64_t classes, double fraction, uint64_t seed,
                  Samples* train, Samples* test);

}  // namespace tunesmith::trainer
