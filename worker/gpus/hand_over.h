// The hand-over of a device from one attempt to the next: what an attempt has left behind on its
// devices after its last process is gone, and when that is back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/limits.h"
#include "common/time.h"
#include "worker/agent/types.h"
#include "worker/gpus/gpus.h"

namespace tunesmith::worker {

struct HandOverOptions {
  const GpuDriver* driver = nullptr;  // may be null: then nothing is ever held
  // After it a device that is not back is quarantined.
  Duration limit = Milliseconds(kDeviceReleaseMsMax);
  // Whether the process lives. Numbers of processes are given anew: one that lives is not the one
  // that ended.
  std::function<bool(int64_t)> alive = [](int64_t) { return false; };
};

// What an attempt had of one device.
struct DeviceUse {
  std::string device;
  // Alone: it is back when Unclaimed is what it was before, kDeviceSlackBytes apart. Else others come
  // and go, and it is back when the driver names none of the attempt's processes.
  bool whole = true;
  std::optional<int64_t> unclaimed_before = std::nullopt;  // nullopt: the driver did not say
};

// An attempt all of whose processes are gone.
struct GoneAttempt {
  std::string key;
  std::string name;  // for people: "digits/12#1"
  std::vector<DeviceUse> uses;
  std::set<int64_t> pids;  // of its processes, as far as they were seen
};

// Loop thread only. What the driver does not tell is taken for free: no device is held for ever by a
// driver that keeps silent.
class HandOver {
 public:
  explicit HandOver(HandOverOptions options) : options_(std::move(options)) {}

  // Bytes in use on the device, less those of living processes that the driver names: a stranger who
  // draws or computes on it as well is not in the way of a hand-over. nullopt: the driver does not say.
  std::optional<int64_t> Unclaimed(const std::string& device) const;
  void OnGone(const GoneAttempt& attempt, Time now);
  // Looks at what is held, if that is due.
  void Run(Time now);
  Time NextDeadline() const;

  // By device, each once; quarantined ones stay until their memory is back.
  const std::vector<HeldDevice>& held() const { return held_; }
  // Keys of attempts all of whose devices are back or quarantined, since the last call: nobody waits for them
  // any more.
  std::vector<std::string> TakeSettled();

 private:
  struct Held {
    std::string key;
    std::string name;
    DeviceUse use;
    std::set<int64_t> pids;
    Time since;
    bool quarantined = false;
    std::string reason;
  };
  // What is still held, in words; "" if it is back.
  std::string StillHeld(const Held& held) const;
  void Look(Time now);

  HandOverOptions options_;
  std::vector<Held> all_;
  std::vector<HeldDevice> held_;
  std::vector<std::string> settled_;
  Time next_look_ = kTimeNever;
};

}  // namespace tunesmith::worker
