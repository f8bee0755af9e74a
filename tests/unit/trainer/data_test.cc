#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "common/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/trainer/csv_file.h"
#include "worker/trainer/datasets.h"
#include "worker/trainer/file_bytes.h"
#include "worker/trainer/image_files.h"

namespace tunesmith::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

CsvTable Table(std::string_view text, const CsvFormat& format = {}) {
  auto table = ParseCsv(text, "t.csv", format);
  EXPECT_TRUE(table.ok()) << Message(table.status());
  return table.ok() ? *std::move(table) : CsvTable{};
}

std::string CsvRefusal(std::string_view text, const CsvFormat& format = {}) {
  const auto table = ParseCsv(text, "t.csv", format);
  EXPECT_FALSE(table.ok()) << text;
  return Message(table.status());
}

TEST(CsvTest, TheLastColumnIsTheLabel) {
  const CsvTable table = Table("1,2,7\n3,4,5\n");
  EXPECT_EQ(table.columns, 2);
  EXPECT_THAT(table.values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(table.labels, ElementsAre(1, 0));
  EXPECT_THAT(table.label_names, ElementsAre("5", "7"));
}

TEST(CsvTest, AHeaderIsRecognisedAndNamesTheLabel) {
  const CsvTable table = Table("kind,x,y\ncat,1,2\ndog,3,4\n", {.label_column = "kind"});
  EXPECT_THAT(table.values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(table.label_names, ElementsAre("cat", "dog"));
  EXPECT_THAT(Table("x,y,kind\n1,2,a\n3,4,b\n").labels, ElementsAre(0, 1));
}

TEST(CsvTest, AHeaderOfNumbersNeedsToBeSaid) {
  EXPECT_EQ(Table("0,1,2\n5,6,7\n8,9,1\n").labels.size(), 3u);
  EXPECT_EQ(Table("0,1,2\n5,6,7\n8,9,1\n", {.label_column = "", .header = "yes"}).labels.size(),
            2u);
}

TEST(CsvTest, TheLabelColumnMayBeANumberFromEitherEnd) {
  EXPECT_THAT(Table("a,1,2\nb,3,4\n", {.label_column = "0"}).values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Table("1,a,2\n3,b,4\n", {.label_column = "-2"}).values, ElementsAre(1, 2, 3, 4));
}

TEST(CsvTest, SemicolonsTabsQuotesBlankLinesAndCarriageReturnsAreRead) {
  EXPECT_THAT(Table("1;2;a\r\n\r\n3;4;b\r\n").values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Table("1\t2\ta\n3\t4\tb").values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Table("\xef\xbb\xbf 1 , +2e0,\"a, b\"\n3,\"4\",c\n").label_names,
              ElementsAre("a, b", "c"));
}

TEST(CsvTest, NumericLabelsAreOrderedAsNumbers) {
  EXPECT_THAT(Table("1,10\n1,9\n1,2\n").label_names, ElementsAre("2", "9", "10"));
}

TEST(CsvTest, ErrorsNameTheFileTheLineAndTheColumn) {
  EXPECT_EQ(CsvRefusal("1,2,a\n1,b\n"), "t.csv:2: 2 columns where the first line has 3");
  EXPECT_EQ(CsvRefusal("1,2,a\n\n1,x,b\n"), "t.csv:3: column 2 is 'x'; a finite number is needed");
  EXPECT_EQ(CsvRefusal("1,2,a\n1,,b\n"), "t.csv:2: column 2 is empty; a finite number is needed");
  EXPECT_EQ(CsvRefusal("1,2,a\n1,nan,b\n"),
            "t.csv:2: column 2 is 'nan'; a finite number is needed");
  EXPECT_THAT(CsvRefusal("1,2,a\n1,1e300,b\n"), StartsWith("t.csv:2: column 2"));
  EXPECT_EQ(CsvRefusal("1,2,a\n1,2,\n"), "t.csv:2: column 3, the label, is empty");
  EXPECT_THAT(CsvRefusal("1,2,a\n", {.label_column = "kind"}), HasSubstr("no column 'kind'"));
  EXPECT_THAT(CsvRefusal("1,2,a\n", {.label_column = "3"}), HasSubstr("no column '3'"));
  EXPECT_THAT(CsvRefusal(""), HasSubstr("no rows"));
  EXPECT_THAT(CsvRefusal("x,y\n"), HasSubstr("no rows"));
  EXPECT_THAT(CsvRefusal("1\n2\n"), HasSubstr("one column only"));
  EXPECT_THAT(CsvRefusal("1,a\n2,a\n"), HasSubstr("at least two classes"));
  EXPECT_THAT(CsvRefusal(std::string_view("\0,\0,\0\n", 6)), HasSubstr("binary data"));
  std::string many;
  for (int i = 0; i < 1500; ++i) many += "1," + std::to_string(i) + "\n";
  EXPECT_THAT(CsvRefusal(many), StartsWith("t.csv:1001: more than 1,000 different labels"));
}

std::string Idx(std::vector<uint32_t> sizes, const std::string& data) {
  std::string out{0, 0, 8, static_cast<char>(sizes.size())};
  for (uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xff);
  }
  return out + data;
}

std::string IdxRefusal(const std::string& content) {
  const auto file = ParseIdx(content, "f");
  EXPECT_FALSE(file.ok());
  return Message(file.status());
}

TEST(IdxTest, SizesAndBytesAreRead) {
  const auto file = ParseIdx(Idx({1, 2, 2}, "abcd"), "f");
  ASSERT_TRUE(file.ok()) << Message(file.status());
  EXPECT_THAT(file->sizes, ElementsAre(1, 2, 2));
  EXPECT_THAT(file->bytes, ElementsAre('a', 'b', 'c', 'd'));
}

TEST(IdxTest, ErrorsNameTheFileAndTheByte) {
  EXPECT_THAT(IdxRefusal(""), StartsWith("f, byte 0:"));
  EXPECT_THAT(IdxRefusal("PK\3\4zip"), StartsWith("f, byte 0: not an IDX file"));
  EXPECT_THAT(IdxRefusal(std::string("\0\0\x0d\1", 4)), StartsWith("f, byte 2: IDX data type 13"));
  EXPECT_THAT(IdxRefusal(std::string("\0\0\x08\2", 4)), StartsWith("f, byte 3: 2 dimensions"));
  EXPECT_THAT(IdxRefusal(Idx({3}, "ab")), StartsWith("f, byte 10: the sizes say 3"));
  EXPECT_THAT(IdxRefusal(Idx({1}, "ab")), StartsWith("f, byte 10: the sizes say 1"));
  EXPECT_THAT(IdxRefusal(Idx({0}, "")), StartsWith("f, byte 4: a size of 0"));
  EXPECT_THAT(IdxRefusal(Idx({~0u, ~0u, ~0u}, "x")), HasSubstr("above 2 GiB"));
  EXPECT_THAT(IdxRefusal(Idx({3}, "").substr(0, 6)), StartsWith("f, byte 6:"));
}

TEST(CifarTest, RecordsAreLabelAndPixels) {
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  const std::string record = std::string(1, 3) + std::string(3072, 'p');
  ASSERT_TRUE(AppendCifarBatch(record + record, "b", &pixels, &labels).ok());
  EXPECT_THAT(labels, ElementsAre(3, 3));
  EXPECT_EQ(pixels.size(), 2u * 3072);
}

TEST(CifarTest, ErrorsNameTheFileAndTheByte) {
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  const std::string good(3073, 1);
  const std::string bad = std::string(1, 10) + std::string(3072, 'p');
  EXPECT_THAT(Message(AppendCifarBatch(good + bad, "b", &pixels, &labels)),
              StartsWith("b, byte 3073: label 10"));
  EXPECT_THAT(Message(AppendCifarBatch(good + "x", "b", &pixels, &labels)),
              StartsWith("b, byte 3074: the file must hold whole records"));
  EXPECT_FALSE(AppendCifarBatch("", "b", &pixels, &labels).ok());
}

TEST(AnyBytesTest, TheyAreReadOrRefused) {
  const std::string csv = "x,y,kind\n1,2.5,\"a\"\n3,4,b\n-1e3,4,b\n";
  const std::string idx = Idx({2, 2, 2}, "abcdefgh");
  Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    for (const std::string& good : {csv, idx}) {
      std::string text = good.substr(0, 1 + rng.Below(good.size()));
      for (uint64_t k = rng.Below(4); k-- > 0;) {
        text[rng.Below(text.size())] = static_cast<char>(rng.Below(256));
      }
      const auto table = ParseCsv(text, "f", {});
      if (table.ok()) {
        EXPECT_EQ(table->values.size(), table->labels.size() * static_cast<size_t>(table->columns));
      }
      const auto file = ParseIdx(text, "f");
      EXPECT_TRUE(file.ok() || Message(file.status()).starts_with("f, byte "));
    }
  }
}

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "data-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& content) {
    const std::string path = directory_ + "/" + name;
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::string WriteGzip(const std::string& name, const std::string& content) {
    const std::string path = Write(name, "");
    const gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
    return path;
  }
  StatusOr<Dataset> Load(const std::vector<std::string>& settings, const DataPlaces& places = {}) {
    auto options = ParseOptions("", settings, {});
    EXPECT_TRUE(options.ok()) << Message(options.status());
    return LoadDataset(*options, places);
  }
  std::string Refusal(const std::vector<std::string>& settings, const DataPlaces& places = {}) {
    const auto data = Load(settings, places);
    EXPECT_FALSE(data.ok());
    return Message(data.status());
  }

  std::string directory_;
};

TEST_F(FilesTest, PlainAndGzippedFilesReadTheSame) {
  const std::string content(3'000'000, 'x');
  EXPECT_EQ(*ReadFileBytes(Write("plain", content)), content);
  EXPECT_EQ(*ReadFileBytes(WriteGzip("packed.gz", content)), content);
}

TEST_F(FilesTest, ACutGzipFileIsDamagedAndNamed) {
  const std::string path = WriteGzip("t.csv.gz", std::string(100'000, 'x') + "end");
  fs::resize_file(path, fs::file_size(path) / 2);
  const auto bytes = ReadFileBytes(path);
  ASSERT_FALSE(bytes.ok());
  EXPECT_EQ(bytes.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(Message(bytes.status()), HasSubstr(path));
}

TEST_F(FilesTest, AFileAboveTheLimitIsRefused) {
  const std::string path = WriteGzip("big.gz", std::string(5'000'000, 'x'));
  EXPECT_EQ(ReadFileBytes(path, 1'000'000).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFileBytes("/dev/zero", 1'000'000).status().code(), StatusCode::kResourceExhausted);
}

TEST_F(FilesTest, TheDigitsAreFoundReadAndSplitByClass) {
  const auto data = Load({});
  ASSERT_TRUE(data.ok()) << Message(data.status());
  EXPECT_EQ(data->features, 64);
  EXPECT_EQ(data->classes, 10);
  EXPECT_EQ(data->shape.height, 8);
  EXPECT_EQ(data->train.size() + data->test.size(), 1797);
  std::map<int64_t, int> held;
  for (int64_t label : data->test.labels) ++held[label];
  ASSERT_EQ(held.size(), 10u);
  for (const auto& [label, count] : held) EXPECT_NEAR(count, 36, 2) << label;
}

TEST_F(FilesTest, EveryTrialHoldsOutTheSameRowsWhateverItsSeed) {
  EXPECT_EQ(Load({"seed=1"})->test.values, Load({"seed=2"})->test.values);
}

TEST_F(FilesTest, DigitsMayLieInTheDataFolderAndElsewhere) {
  const std::string path = Write("digits.csv.gz", "1,2,a\n3,4,b\n1,2,a\n3,4,b\n");
  EXPECT_EQ(Load({}, {directory_, ""})->features, 2);
  EXPECT_EQ(Load({"data=" + path})->features, 2);
  EXPECT_EQ(Load({"data=" + directory_})->features, 2);
  EXPECT_THAT(Refusal({"data=/nowhere"}), HasSubstr("/nowhere"));
}

TEST_F(FilesTest, SplittingLosesAndRepeatsNothing) {
  Samples all;
  for (int i = 0; i < 103; ++i) {
    all.values.push_back(static_cast<float>(i));
    all.labels.push_back(i < 100 ? i % 3 : 3);  // a class of 3 rows too
  }
  Samples train;
  Samples test;
  SplitByClass(all, 1, 4, 0.2, 1, &train, &test);
  std::multiset<float> rows(train.values.begin(), train.values.end());
  rows.insert(test.values.begin(), test.values.end());
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), all.values.begin(), all.values.end()));
  for (const Samples* part : {&train, &test}) {
    for (int64_t i = 0; i < part->size(); ++i) {
      const auto row = static_cast<size_t>(part->values[static_cast<size_t>(i)]);
      EXPECT_EQ(part->labels[static_cast<size_t>(i)], all.labels[row]);
    }
    EXPECT_EQ(std::set<int64_t>(part->labels.begin(), part->labels.end()).size(), 4u);
  }
  EXPECT_EQ(test.size(), 7 + 7 + 7 + 1);
}

TEST_F(FilesTest, ACsvFileOfAnyNameIsRead) {
  const std::string path = WriteGzip("iris.data", "sl,sw,name\n5,3,a\n6,2,b\n5,3,a\n6,2,b\n");
  const auto data = Load({"dataset=csv", "data=" + path, "label_column=name"});
  ASSERT_TRUE(data.ok()) << Message(data.status());
  EXPECT_EQ(data->features, 2);
  EXPECT_EQ(data->test.size(), 2);
  EXPECT_THAT(Refusal({"dataset=csv", "data=" + directory_}), HasSubstr("is a directory"));
  EXPECT_THAT(Refusal({"dataset=csv", "data=/nowhere.csv"}), HasSubstr("/nowhere.csv"));
  EXPECT_THAT(Refusal({"dataset=csv", "data=" + Write("one", "1,a\n2,b\n")}),
              HasSubstr("nothing can be held out"));
}

TEST_F(FilesTest, MnistIsReadFromItsFourFiles) {
  const std::string images = Idx({3, 4, 4}, std::string(48, 'x'));
  const std::string labels = Idx({3}, std::string("\0\1\2", 3));
  Write("mnist/train-images-idx3-ubyte", images);
  WriteGzip("mnist/train-labels-idx1-ubyte.gz", labels);
  WriteGzip("mnist/t10k-images.idx3-ubyte.gz", images);
  EXPECT_THAT(Refusal({"dataset=mnist"}, {directory_, ""}),
              HasSubstr("no file t10k-labels-idx1-ubyte (or t10k-labels-idx1-ubyte.gz) in " +
                        directory_ + "/mnist"));
  const std::string last = Write("mnist/t10k-labels-idx1-ubyte", labels);
  const auto data = Load({"dataset=mnist"}, {directory_, ""});
  ASSERT_TRUE(data.ok()) << Message(data.status());
  EXPECT_EQ(data->classes, 3);
  EXPECT_EQ(data->features, 16);
  EXPECT_EQ(data->train.pixels.size(), 48u);
  Write("mnist/t10k-labels-idx1-ubyte", Idx({2}, "ab"));
  EXPECT_THAT(Refusal({"dataset=mnist", "data=" + directory_ + "/mnist"}),
              HasSubstr("holds 3 images"));
  Write("mnist/t10k-labels-idx1-ubyte", images);
  EXPECT_THAT(Refusal({"dataset=mnist", "data=" + directory_}), HasSubstr(last));
}

TEST_F(FilesTest, Cifar10IsReadFromItsBatches) {
  const std::string record(3073, 1);
  for (int i = 1; i <= 5; ++i) {
    Write("cifar-10-batches-bin/data_batch_" + std::to_string(i) + ".bin", record + record);
  }
  EXPECT_THAT(Refusal({"dataset=cifar10", "data=" + directory_}), HasSubstr("test_batch.bin"));
  Write("cifar-10-batches-bin/test_batch.bin", record);
  const auto data = Load({"dataset=cifar10", "data=" + directory_});
  ASSERT_TRUE(data.ok()) << Message(data.status());
  EXPECT_EQ(data->train.size(), 10);
  EXPECT_EQ(data->test.size(), 1);
}

TEST_F(FilesTest, ADataSetWithoutAPlaceSaysHowToGiveOne) {
  EXPECT_THAT(Refusal({"dataset=mnist"}), HasSubstr("TUNESMITH_DATA_DIR"));
  EXPECT_THAT(Refusal({"dataset=cifar10"}), HasSubstr("option data"));
}

TEST_F(FilesTest, SyntheticDataFollowsItsSeedAndItsSizes) {
  const std::vector<std::string> settings = {"dataset=synthetic", "samples=100", "classes=4",
                                             "features=6", "seed=5"};
  const auto data = Load(settings);
  ASSERT_TRUE(data.ok());
  EXPECT_EQ(data->features, 6);
  EXPECT_EQ(data->train.size() + data->test.size(), 100);
  EXPECT_EQ(data->train.values, Load(settings)->train.values);
  std::vector<std::string> other = settings;
  other.back() = "seed=6";
  EXPECT_NE(data->train.values, Load(other)->train.values);
  EXPECT_THAT(Refusal({"dataset=synthetic", "samples=10", "classes=9"}), HasSubstr("two samples"));
}

}  // namespace
}  // namespace tunesmith::trainer
