#include "worker/gpus/gpus.h"

#include <gtest/gtest.h>

namespace tunesmith::worker {
namespace {

const std::vector<Gpu> kAll = {
    {"GPU-aa11", "A", 0, 80}, {"GPU-aa22", "B", 1, 80}, {"GPU-bb33", "C", 2, 80}};

std::string Chosen(const std::string& choice, const std::optional<std::string>& mask) {
  const auto gpus = ChooseGpus(kAll, choice, mask);
  if (!gpus.ok()) return "error: " + Message(gpus.status());
  std::string text;
  for (const Gpu& gpu : *gpus) text += gpu.name;
  return text;
}

TEST(ChooseGpusTest, MaskIsReadAsCudaReadsIt) {
  EXPECT_EQ(Chosen("auto", std::nullopt), "ABC");
  EXPECT_EQ(Chosen("auto", ""), "");
  EXPECT_EQ(Chosen("auto", "2,0"), "CA");
  EXPECT_EQ(Chosen("auto", "GPU-bb33, 1"), "CB");
  EXPECT_EQ(Chosen("auto", "GPU-bb"), "C");
  EXPECT_EQ(Chosen("auto", "GPU-aa"), "") << "ambiguous";
  EXPECT_EQ(Chosen("auto", "1,9,0"), "B") << "what follows the first unknown entry is invisible";
  EXPECT_EQ(Chosen("auto", "1,-1,0"), "B");
  EXPECT_EQ(Chosen("auto", "1,1"), "B");
  EXPECT_EQ(Chosen("none", std::nullopt), "");
}

TEST(ChooseGpusTest, ChoiceCountsWithinTheMask) {
  EXPECT_EQ(Chosen("0,2", std::nullopt), "AC");
  EXPECT_EQ(Chosen("0", "2,1"), "C");
  EXPECT_EQ(Chosen("GPU-aa22", "2,1"), "B");
  EXPECT_EQ(Chosen("2", "2,1"),
            "error: --gpus: no GPU \"2\"; there are 0 (GPU-bb33), 1 (GPU-aa22) "
            "(CUDA_VISIBLE_DEVICES=2,1)");
  EXPECT_EQ(Chosen("0,0", std::nullopt), "error: --gpus: \"0\" is named twice");
  EXPECT_EQ(Chosen("x", ""), "error: --gpus: no GPU \"x\"; there is none (CUDA_VISIBLE_DEVICES=)");
}

TEST(NvmlTest, MachineWithoutADriverIsNoError) {
  const auto driver = OpenNvml("libno-such-library.so.1");
  ASSERT_FALSE(driver.ok());
  EXPECT_EQ(driver.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(OpenNvml("libm.so.6").status().code(), StatusCode::kInternal)
      << "a library that is not NVML";
}

TEST(NvmlTest, DriverTellsItsDevices) {
  const auto driver = OpenNvml();
  if (!driver.ok()) GTEST_SKIP() << Message(driver.status());
  for (const Gpu& gpu : (*driver)->All()) {
    EXPECT_EQ(gpu.uuid.substr(0, 4), "GPU-");
    EXPECT_GT(gpu.memory_bytes, 0);
    EXPECT_TRUE((*driver)->UsedBytes(gpu.uuid).has_value());
  }
}

}  // namespace
}  // namespace tunesmith::worker
