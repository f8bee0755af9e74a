#include "client/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include <gtest/gtest.h>

#include "client/json_object.h"

namespace tunesmith {
namespace {

// What was written to a pipe; at most what fits in it.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(fds_, O_CLOEXEC), 0); }
  ~Pipe() {
    CloseReader();
    ::close(fds_[1]);
  }
  int writer() const { return fds_[1]; }
  void CloseReader() {
    if (fds_[0] >= 0) ::close(fds_[0]);
    fds_[0] = -1;
  }
  std::string Read() {
    std::string text(1 << 16, '\0');
    const ssize_t count = ::read(fds_[0], text.data(), text.size());
    text.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return text;
  }

 private:
  int fds_[2] = {-1, -1};
};

RecordWriter::Options In(OutputFormat format) {
  RecordWriter::Options options;
  options.format = format;
  return options;
}

TEST(Output, QuotesCsvFieldsAsRfc4180Says) {
  EXPECT_EQ(CsvField("plain"), "plain");
  EXPECT_EQ(CsvField("a,b"), "\"a,b\"");
  EXPECT_EQ(CsvField("say \"hi\""), "\"say \"\"hi\"\"\"");
  EXPECT_EQ(CsvField("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(CsvField(""), "");
}

TEST(Output, WritesCsvWithAHeaderAndCrlf) {
  Pipe pipe;
  Output out(pipe.writer());
  RecordWriter writer({{"trial"}, {"param.lr"}}, In(OutputFormat::kCsv), &out);
  writer.WriteCells({"0", "0.1"});
  writer.WriteCells({"1", "x,y"});
  writer.Finish();
  EXPECT_EQ(pipe.Read(), "trial,param.lr\r\n0,0.1\r\n1,\"x,y\"\r\n");
}

TEST(Output, LeavesTheCsvHeaderOutWhereItIsNotWanted) {
  Pipe pipe;
  Output out(pipe.writer());
  auto options = In(OutputFormat::kCsv);
  options.headers = false;
  RecordWriter writer({{"a"}}, options, &out);
  writer.WriteCells({""});
  writer.Finish();
  EXPECT_EQ(pipe.Read(), "\"\"\r\n");
}

TEST(Output, WritesAnEmptyJsonListForNoRecords) {
  Pipe pipe;
  Output out(pipe.writer());
  RecordWriter writer({{"a"}}, In(OutputFormat::kJson), &out);
  writer.Finish();
  EXPECT_EQ(pipe.Read(), "[]\n");
}

TEST(Output, WritesOneListInJsonAndOneLineEachInJsonLines) {
  Pipe pipe;
  Output out(pipe.writer());
  RecordWriter json({{"a"}}, In(OutputFormat::kJson), &out);
  json.WriteJson("{\"a\":1}");
  json.WriteJson("{\"a\":2}");
  json.Finish();
  EXPECT_EQ(pipe.Read(), "[{\"a\":1},\n {\"a\":2}]\n");
  RecordWriter lines({{"a"}}, In(OutputFormat::kJsonl), &out);
  lines.WriteJson("{\"a\":1}");
  lines.WriteJson("{\"a\":2}");
  lines.Finish();
  EXPECT_EQ(pipe.Read(), "{\"a\":1}\n{\"a\":2}\n");
}

TEST(Output, AlignsTablesByDisplayWidthAndMarksEmptyCells) {
  const auto lines = AlignedTable({{"name"}, {"value", true}},
                                  {{"größe", "1"}, {"学习率", "22"}, {"x", ""}}, true, 0, true);
  EXPECT_EQ(lines, (std::vector<std::string>{"NAME    VALUE", "größe       1", "学习率     22",
                                             "x           -"}));
}

TEST(Output, CutsTablesToTheWidthAndShowsControlCharactersHarmlessly) {
  const auto lines = AlignedTable({{"name"}, {"reason"}},
                                  {{"a", "exit \x1b[31mcode 1 and much more"}}, false, 16, true);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].find('\x1b'), std::string::npos);
  EXPECT_LE(lines[0].size(), 24u);
}

TEST(Output, TakesABrokenPipeInSilence) {
  const auto old = std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  Output out(pipe.writer());
  pipe.CloseReader();
  out.Write("lost");
  out.Flush();
  EXPECT_TRUE(out.broken());
  EXPECT_EQ(out.error(), "");
  std::signal(SIGPIPE, old);
}

TEST(Output, KeepsTheErrorOfAFullDisk) {
  const int fd = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  Output out(fd);
  out.Write("text");
  out.Flush();
  EXPECT_TRUE(out.broken());
  EXPECT_EQ(out.error(), "No space left on device");
  ::close(fd);
}

TEST(Output, WritesJsonMembersExactly) {
  JsonObject object;
  object.Text("a", "x\"y")
      .Number("b", 0.1)
      .Integer("c", uint64_t{1} << 63)
      .Bool("d", true)
      .Null("e");
  object.Raw("f", JsonList().Text("t").Number(2).Finish());
  EXPECT_EQ(object.Finish(),
            R"({"a":"x\"y","b":0.1,"c":9223372036854775808,"d":true,"e":null,"f":["t",2.0]})");
}

}  // namespace
}  // namespace tunesmith
