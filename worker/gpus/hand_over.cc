#include "worker/gpus/hand_over.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/log.h"
#include "common/text.h"

namespace tunesmith::worker {
namespace {

constexpr int64_t kDeviceSlackBytes = 128 << 20;  // a driver's own bookkeeping may grow by so much
constexpr int64_t kLookMs = 100;                  // at what is waited for; a look takes below 1 ms
constexpr int64_t kLookAtQuarantinedMs = 1'000;
constexpr size_t kPidsNamedMax = 4;

std::string HoldersText(const std::vector<GpuProcess>& processes) {
  std::vector<std::string> names;
  for (const GpuProcess& one : processes) {
    if (names.size() == kPidsNamedMax) {
      names.push_back("...");
      break;
    }
    names.push_back("pid " + std::to_string(one.pid) +
                    (one.bytes.has_value() ? " (" + MemoryText(*one.bytes) + ")" : ""));
  }
  return Join(names, ", ");
}

}  // namespace

void HandOver::OnGone(const GoneAttempt& attempt, Time now) {
  if (options_.driver == nullptr || attempt.uses.empty()) {
    settled_.push_back(attempt.key);
    return;
  }
  for (const DeviceUse& use : attempt.uses) {
    all_.push_back({attempt.key, attempt.name, use, attempt.pids, now, false, ""});
  }
  Look(now);
}

void HandOver::Run(Time now) {
  if (now >= next_look_) Look(now);
}

Time HandOver::NextDeadline() const { return next_look_; }

std::vector<std::string> HandOver::TakeSettled() { return std::exchange(settled_, {}); }

std::optional<int64_t> HandOver::Unclaimed(const std::string& device) const {
  if (options_.driver == nullptr) return std::nullopt;
  auto used = options_.driver->UsedBytes(device);
  if (!used.has_value()) return std::nullopt;
  const auto processes = options_.driver->Processes(device);
  for (const GpuProcess& one : processes.value_or(std::vector<GpuProcess>())) {
    if (options_.alive(one.pid)) *used -= one.bytes.value_or(0);
  }
  return std::max<int64_t>(0, *used);
}

std::string HandOver::StillHeld(const Held& held) const {
  const std::string after = " after all processes of " + held.name + " have ended";
  auto processes = options_.driver->Processes(held.use.device);
  if (processes.has_value()) {
    std::erase_if(*processes, [&](const GpuProcess& one) {
      return options_.alive(one.pid) || (!held.use.whole && held.pids.count(one.pid) == 0);
    });
  }
  const bool named = processes.has_value() && !processes->empty();
  if (!held.use.whole) return named ? "memory is still held by " + HoldersText(*processes) + after : "";
  const auto now = Unclaimed(held.use.device);
  if (!now.has_value() || !held.use.unclaimed_before.has_value()) return "";
  const int64_t more = *now - *held.use.unclaimed_before;
  if (more <= kDeviceSlackBytes) return "";
  return MemoryText(more) + " of its memory are not back" + after +
         (named ? "; held by " + HoldersText(*processes) : "");
}

void HandOver::Look(Time now) {
  std::set<std::string> open_before, open_after;
  for (const Held& held : all_) {
    if (!held.quarantined) open_before.insert(held.key);
  }
  std::erase_if(all_, [&](Held& held) {
    held.reason = StillHeld(held);
    if (held.reason.empty()) {
      if (held.quarantined) Log(LogLevel::kInfo, "device_is_back", {{"device", held.use.device}});
      return true;
    }
    if (!held.quarantined && now - held.since >= options_.limit) {
      held.quarantined = true;
      Log(LogLevel::kWarning, "device_quarantined", {{"device", held.use.device}, {"reason", held.reason}});
    }
    return false;
  });
  for (const Held& held : all_) {
    if (!held.quarantined) open_after.insert(held.key);
  }
  std::set_difference(open_before.begin(), open_before.end(), open_after.begin(), open_after.end(),
                      std::back_inserter(settled_));

  std::vector<HeldDevice> devices;
  for (const Held& held : all_) {
    const auto same = std::find_if(devices.begin(), devices.end(),
                                   [&](const HeldDevice& one) { return one.uuid == held.use.device; });
    if (same == devices.end()) {
      devices.push_back({held.use.device, held.quarantined, held.reason});
    } else if (held.quarantined && !same->quarantined) {
      *same = {held.use.device, true, held.reason};
    }
  }
  std::sort(devices.begin(), devices.end(),
            [](const HeldDevice& a, const HeldDevice& b) { return a.uuid < b.uuid; });
  // Words change with every byte; people are told anew only when the device's state changes.
  for (HeldDevice& device : devices) {
    const auto before = std::find_if(held_.begin(), held_.end(), [&](const HeldDevice& one) {
      return one.uuid == device.uuid && one.quarantined == device.quarantined;
    });
    if (before != held_.end()) device.reason = before->reason;
  }
  held_ = std::move(devices);

  next_look_ = kTimeNever;
  for (const Held& held : all_) {
    const Time due = now + Milliseconds(held.quarantined ? kLookAtQuarantinedMs : kLookMs);
    next_look_ = std::min(next_look_, due);
  }
}

}  // namespace tunesmith::worker
