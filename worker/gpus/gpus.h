// What the daemon can lease: the machine's GPUs, as far as it may use them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"

namespace tunesmith::worker {

struct Gpu {
  std::string uuid;  // "GPU-..." as CUDA_VISIBLE_DEVICES takes it
  std::string name;
  int index = 0;
  int64_t memory_bytes = 0;
};

// A process with memory on a device.
struct GpuProcess {
  int64_t pid = 0;  // as the driver counts them: in a container it may be nobody's there
  std::optional<int64_t> bytes = std::nullopt;  // nullopt if the driver does not say
};

// The driver. Loop thread only.
class GpuDriver {
 public:
  virtual ~GpuDriver() = default;
  virtual std::vector<Gpu> All() const = 0;
  // Memory in use on the device, whoever uses it; nullopt if the driver does not say.
  virtual std::optional<int64_t> UsedBytes(const std::string& uuid) const = 0;
  // Who computes or draws on the device, each once; nullopt if the driver does not say.
  virtual std::optional<std::vector<GpuProcess>> Processes(const std::string& uuid) const = 0;
};

// NVML, loaded at run time. UNAVAILABLE if there is no driver; INTERNAL if there is one and it does
// not work.
StatusOr<std::unique_ptr<GpuDriver>> OpenNvml(const std::string& library = "libnvidia-ml.so.1");

// The GPUs that `choice` and the mask leave, in the mask's order.
//   choice: "auto" (all of the mask), "none", or indices and UUIDs: "0,2", "GPU-8f2c...".
//   mask:   CUDA_VISIBLE_DEVICES of the daemon; nullopt = not set. As the CUDA runtime reads it: ""
//   = none, and what
//           follows the first unknown entry is invisible. UUIDs may be cut short where that is
//           unambiguous. Indices in `choice` count within the mask.
// INVALID_ARGUMENT says which entry is wrong and what there is.
StatusOr<std::vector<Gpu>> ChooseGpus(const std::vector<Gpu>& all, const std::string& choice,
                                      const std::optional<std::string>& mask);

}  // namespace tunesmith::worker
