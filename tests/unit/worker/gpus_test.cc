#include "worker/gpus/gpus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

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

// All that worker/gpus asks of a driver, over the library that the end-to-end tests use.
TEST(NvmlTest, MemoryAndProcessesAreRead) {
  char folder[] = "/tmp/tunesmith-nvml-test-XXXXXX";
  const std::string dir = mkdtemp(folder);
  std::filesystem::create_directories(dir + "/GPU-a");
  std::filesystem::create_directories(dir + "/GPU-b");
  std::ofstream(dir + "/devices") << "GPU-a 1000 Fake A\nGPU-b 2000 Fake B 80GB\n";
  ::setenv("TUNESMITH_FAKE_NVML", dir.c_str(), 1);
  const auto driver = OpenNvml(TUNESMITH_FAKE_NVML_LIBRARY);
  ASSERT_TRUE(driver.ok()) << driver.status();
  const std::vector<Gpu> all = (*driver)->All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].uuid, "GPU-b");
  EXPECT_EQ(all[1].name, "Fake B 80GB");
  EXPECT_EQ(all[1].memory_bytes, 2000);
  EXPECT_EQ((*driver)->UsedBytes("GPU-a"), 0);
  EXPECT_EQ((*driver)->Processes("GPU-a")->size(), 0u);
  EXPECT_EQ((*driver)->UsedBytes("GPU-c"), std::nullopt);
  EXPECT_FALSE((*driver)->Processes("GPU-c").has_value());
  // More than fit into the first answer: one that lives, one that has ended, and leaks.
  std::ofstream(dir + "/GPU-b/lives") << getpid() << " 100\n";
  std::ofstream(dir + "/GPU-b/ended") << 1999999999 << " 100\n";
  for (int i = 0; i < 40; ++i) std::ofstream(dir + "/GPU-b/leak" + std::to_string(i)) << 7000 + i << " 10 kept\n";
  EXPECT_EQ((*driver)->UsedBytes("GPU-b"), 500);
  const auto processes = (*driver)->Processes("GPU-b");
  ASSERT_EQ(processes->size(), 41u);
  const auto mine = std::find_if(processes->begin(), processes->end(),
                                 [](const GpuProcess& one) { return one.pid == getpid(); });
  ASSERT_NE(mine, processes->end());
  EXPECT_EQ(mine->bytes, 100);
  std::ofstream(dir + "/GPU-a/desktop") << getpid() << " 70 graphics\n";
  ASSERT_EQ((*driver)->Processes("GPU-a")->size(), 1u) << "who draws counts as well";
  EXPECT_EQ((*driver)->Processes("GPU-a")->at(0).bytes, 70);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace tunesmith::worker
