#include "worker/gpus/gpus.h"

#include <algorithm>
#include <charconv>

namespace tunesmith::worker {
namespace {

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    std::string part = text.substr(begin, end - begin);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    parts.push_back(std::move(part));
    begin = end + 1;
  }
  return parts;
}

// The device that `entry` names among `gpus`; nullptr if none or several.
const Gpu* FindGpu(const std::vector<Gpu>& gpus, const std::string& entry) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), index);
  if (error == std::errc() && end == entry.data() + entry.size())
    return index < gpus.size() ? &gpus[index] : nullptr;
  if (entry.compare(0, 4, "GPU-") != 0) return nullptr;
  const Gpu* found = nullptr;
  for (const Gpu& gpu : gpus) {
    if (gpu.uuid.compare(0, entry.size(), entry) != 0) continue;
    if (found != nullptr) return nullptr;
    found = &gpu;
  }
  return found;
}

std::string Describe(const std::vector<Gpu>& gpus) {
  if (gpus.empty()) return "there is none";
  std::string text = "there are";
  for (size_t i = 0; i < gpus.size(); ++i)
    text += (i > 0 ? ", " : " ") + std::to_string(i) + " (" + gpus[i].uuid + ")";
  return text;
}

bool Contains(const std::vector<Gpu>& gpus, const Gpu& gpu) {
  return std::any_of(gpus.begin(), gpus.end(),
                     [&](const Gpu& other) { return other.uuid == gpu.uuid; });
}

}  // namespace

StatusOr<std::vector<Gpu>> ChooseGpus(const std::vector<Gpu>& all, const std::string& choice,
                                      const std::optional<std::string>& mask) {
  std::vector<Gpu> visible = all;
  if (mask.has_value()) {
    visible.clear();
    for (const std::string& entry : Split(*mask)) {
      const Gpu* gpu = FindGpu(all, entry);
      if (gpu == nullptr || Contains(visible, *gpu)) break;
      visible.push_back(*gpu);
    }
  }
  if (choice == "none") return std::vector<Gpu>();
  if (choice == "auto") return visible;
  std::vector<Gpu> chosen;
  for (const std::string& entry : Split(choice)) {
    const Gpu* gpu = FindGpu(visible, entry);
    if (gpu == nullptr) {
      return InvalidArgument("--gpus: no GPU \"" + entry + "\"; " + Describe(visible) +
                             (mask.has_value() ? " (CUDA_VISIBLE_DEVICES=" + *mask + ")" : ""));
    }
    if (Contains(chosen, *gpu)) return InvalidArgument("--gpus: \"" + entry + "\" is named twice");
    chosen.push_back(*gpu);
  }
  return chosen;
}

}  // namespace tunesmith::worker
