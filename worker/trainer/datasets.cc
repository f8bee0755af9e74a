#include "worker/trainer/datasets.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/rng.h"
#include "worker/trainer/csv_file.h"
#include "worker/trainer/file_bytes.h"
#include "worker/trainer/image_files.h"

namespace tunesmith::trainer {
namespace {

constexpr uint64_t kSplitSeed = 20220127;  // fixed: all trials of all sweeps hold out the same rows
constexpr uint64_t kCentreStream = 1;
constexpr uint64_t kRowStream = 2;

// The rows of `from` that `order` lists.
Samples Rows(const Samples& from, int64_t features, const std::vector<int64_t>& order) {
  Samples out;
  for (int64_t row : order) {
    const ptrdiff_t at = row * features;
    if (!from.values.empty()) {
      out.values.insert(out.values.end(), from.values.begin() + at,
                        from.values.begin() + at + features);
    }
    if (!from.pixels.empty()) {
      out.pixels.insert(out.pixels.end(), from.pixels.begin() + at,
                        from.pixels.begin() + at + features);
    }
    out.labels.push_back(from.labels[static_cast<size_t>(row)]);
  }
  return out;
}

// A row of n x n numbers may be read as a grey image.
ImageShape SquareShape(int64_t features) {
  const int64_t side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(features))));
  if (side < 4 || side * side != features) return {};
  return {1, side, side};
}

StatusOr<Dataset> FromCsv(const std::string& path, const CsvFormat& format,
                          const TrainerOptions& options) {
  std::string text;
  TS_ASSIGN_OR_RETURN(text, ReadFileBytes(path));
  CsvTable table;
  TS_ASSIGN_OR_RETURN(table, ParseCsv(text, path, format));
  Dataset out;
  out.name = options.dataset;
  out.features = table.columns;
  out.classes = static_cast<int64_t>(table.label_names.size());
  out.shape = SquareShape(table.columns);
  Samples all{std::move(table.values), {}, std::move(table.labels)};
  SplitByClass(std::move(all), out.features, out.classes, options.test_fraction, kSplitSeed,
               &out.train, &out.test);
  if (out.test.size() == 0) {
    return InvalidArgument(path + ": no class has two rows, so nothing can be held out");
  }
  return out;
}

StatusOr<Dataset> LoadDigits(const TrainerOptions& options, const DataPlaces& places) {
  std::vector<std::string> tried;
  if (!options.data.empty()) {
    tried = {options.data, options.data + "/digits.csv.gz"};
  } else {
    if (!places.data_dir.empty()) tried.push_back(places.data_dir + "/digits.csv.gz");
    tried.push_back(places.executable_dir + "/../share/tunesmith/digits.csv.gz");
    tried.push_back(TUNESMITH_SOURCE_DIGITS);
  }
  for (const std::string& path : tried) {
    if (FileExists(path)) return FromCsv(path, {.label_column = "", .header = "no"}, options);
  }
  std::string message = "no digits.csv.gz; looked for";
  for (const std::string& path : tried) message += "\n  " + path;
  return NotFound(message +
                  "\ngive its path with the option data, or its folder in TUNESMITH_DATA_DIR");
}

// The folders where files of `dataset` may lie: the one given, the usual one, and what other
// programs make of it.
StatusOr<std::vector<std::string>> Folders(const TrainerOptions& options, const DataPlaces& places,
                                           const std::string& inner) {
  std::string base = options.data;
  if (base.empty() && !places.data_dir.empty()) base = places.data_dir + "/" + options.dataset;
  if (base.empty()) {
    return NotFound(
        "dataset " + options.dataset +
        " needs its folder: give it with the option data, or set TUNESMITH_DATA_DIR to the "
        "folder that holds " +
        options.dataset + "/");
  }
  return std::vector<std::string>{base, base + "/" + inner, base + "/" + options.dataset};
}

// The content of the first of `names` (or of the same with .gz) in `folders`.
StatusOr<std::string> ReadFirst(const std::vector<std::string>& folders,
                                const std::vector<std::string>& names, std::string* path) {
  std::vector<std::string> all = names;
  for (const std::string& name : names) all.push_back(name + ".gz");
  *path = FirstExisting(folders, all);
  if (path->empty()) {
    return NotFound("no file " + names[0] + " (or " + names[0] + ".gz) in " + folders[0]);
  }
  return ReadFileBytes(*path);
}

StatusOr<Samples> ReadMnistPart(const std::vector<std::string>& folders, const std::string& part,
                                ImageShape* shape) {
  std::string image_path;
  std::string label_path;
  std::string content;
  TS_ASSIGN_OR_RETURN(
      content,
      ReadFirst(folders, {part + "-images-idx3-ubyte", part + "-images.idx3-ubyte"}, &image_path));
  IdxFile images;
  TS_ASSIGN_OR_RETURN(images, ParseIdx(content, image_path));
  TS_ASSIGN_OR_RETURN(
      content,
      ReadFirst(folders, {part + "-labels-idx1-ubyte", part + "-labels.idx1-ubyte"}, &label_path));
  IdxFile labels;
  TS_ASSIGN_OR_RETURN(labels, ParseIdx(content, label_path));
  if (images.sizes.size() != 3)
    return InvalidArgument(image_path + ", byte 3: labels where images are needed");
  if (labels.sizes.size() != 1)
    return InvalidArgument(label_path + ", byte 3: images where labels are needed");
  if (images.sizes[0] != labels.sizes[0]) {
    return InvalidArgument(image_path + " holds " + std::to_string(images.sizes[0]) + " images, " +
                           label_path + " " + std::to_string(labels.sizes[0]) + " labels");
  }
  if (shape->channels != 0 &&
      (shape->height != images.sizes[1] || shape->width != images.sizes[2])) {
    return InvalidArgument(image_path + ": images of another size than those to train on");
  }
  *shape = {1, images.sizes[1], images.sizes[2]};
  return Samples{{}, std::move(images.bytes), {labels.bytes.begin(), labels.bytes.end()}};
}

StatusOr<Dataset> LoadMnist(const TrainerOptions& options, const DataPlaces& places) {
  std::vector<std::string> folders;
  TS_ASSIGN_OR_RETURN(folders, Folders(options, places, "MNIST/raw"));
  Dataset out;
  TS_ASSIGN_OR_RETURN(out.train, ReadMnistPart(folders, "train", &out.shape));
  TS_ASSIGN_OR_RETURN(out.test, ReadMnistPart(folders, "t10k", &out.shape));
  out.name = options.dataset;
  out.features = out.shape.height * out.shape.width;
  const auto highest = [](const Samples& s) {
    return *std::max_element(s.labels.begin(), s.labels.end());
  };
  out.classes = std::max<int64_t>(2, 1 + std::max(highest(out.train), highest(out.test)));
  return out;
}

StatusOr<Dataset> LoadCifar10(const TrainerOptions& options, const DataPlaces& places) {
  std::vector<std::string> folders;
  TS_ASSIGN_OR_RETURN(folders, Folders(options, places, "cifar-10-batches-bin"));
  Dataset out;
  const auto read = [&](const std::string& name, Samples* into) -> Status {
    std::string path;
    auto content = ReadFirst(folders, {name}, &path);
    if (!content.ok()) {
      return Annotate(content.status(),
                      "the binary version of CIFAR-10 (data_batch_1.bin to data_batch_5.bin and "
                      "test_batch.bin) is needed");
    }
    return AppendCifarBatch(*content, path, &into->pixels, &into->labels);
  };
  for (int i = 1; i <= 5; ++i) {
    TS_RETURN_IF_ERROR(read("data_batch_" + std::to_string(i) + ".bin", &out.train));
  }
  TS_RETURN_IF_ERROR(read("test_batch.bin", &out.test));
  out.name = options.dataset;
  out.shape = {3, 32, 32};
  out.features = 3 * 32 * 32;
  out.classes = 10;
  return out;
}

// Gaussian clouds around one centre a class; the centres are standard normal, so `noise` above
// about 1 makes them overlap.
Dataset MakeSynthetic(const TrainerOptions& options) {
  const uint64_t seed = static_cast<uint64_t>(options.seed);
  Dataset out;
  out.name = options.dataset;
  out.features = options.features;
  out.classes = options.classes;
  out.shape = SquareShape(options.features);
  Rng centre_rng(seed, kCentreStream);
  std::vector<double> centres(static_cast<size_t>(out.classes * out.features));
  for (double& x : centres) x = centre_rng.Normal();
  Rng row_rng(seed, kRowStream);
  Samples all;
  for (int64_t row = 0; row < options.samples; ++row) {
    const int64_t label = row % out.classes;
    all.labels.push_back(label);
    for (int64_t i = 0; i < out.features; ++i) {
      const double centre = centres[static_cast<size_t>(label * out.features + i)];
      all.values.push_back(static_cast<float>(centre + options.noise * row_rng.Normal()));
    }
  }
  SplitByClass(std::move(all), out.features, out.classes, options.test_fraction, seed, &out.train,
               &out.test);
  return out;
}

}  // namespace

void SplitByClass(Samples all, int64_t features, int64_t classes, double fraction, uint64_t seed,
                  Samples* train, Samples* test) {
  std::vector<std::vector<int64_t>> by_class(static_cast<size_t>(classes));
  for (int64_t row = 0; row < all.size(); ++row) {
    by_class[static_cast<size_t>(all.labels[static_cast<size_t>(row)])].push_back(row);
  }
  Rng rng(seed);
  std::vector<int64_t> train_rows;
  std::vector<int64_t> test_rows;
  for (std::vector<int64_t>& rows : by_class) {
    for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[rng.Below(i)]);
    const double share = std::round(fraction * static_cast<double>(rows.size()));
    size_t held = static_cast<size_t>(share);
    if (rows.size() >= 2) held = std::clamp<size_t>(held, 1, rows.size() - 1);
    test_rows.insert(test_rows.end(), rows.begin(), rows.begin() + static_cast<ptrdiff_t>(held));
    train_rows.insert(train_rows.end(), rows.begin() + static_cast<ptrdiff_t>(held), rows.end());
  }
  *train = Rows(all, features, train_rows);
  *test = Rows(all, features, test_rows);
}

StatusOr<Dataset> LoadDataset(const TrainerOptions& options, const DataPlaces& places) {
  if (options.dataset == "digits") return LoadDigits(options, places);
  if (options.dataset == "csv") {
    return FromCsv(options.data, {options.label_column, options.header}, options);
  }
  if (options.dataset == "mnist") return LoadMnist(options, places);
  if (options.dataset == "cifar10") return LoadCifar10(options, places);
  if (options.classes > options.samples / 2) {
    return InvalidArgument("classes is " + std::to_string(options.classes) + " and samples " +
                           std::to_string(options.samples) +
                           "; at least two samples a class are needed");
  }
  return MakeSynthetic(options);
}

}  // namespace tunesmith::trainer
