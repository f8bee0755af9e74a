// Plug-in trainables: a shared object that tunesmith-trainer loads and trains with. C++17 and Linux.
//
//   #include <tunesmith/plugin.h>
//
//   void Train(tunesmith::Trial& trial) { ... }   // as in trial.h; throws where it fails
//   TUNESMITH_PLUGIN(Train)                       // once, in one source file, outside of namespaces
//
// In CMake: add_library(mine MODULE mine.cc) and target_link_libraries(mine PRIVATE Tunesmith::sdk).
// To run it: tunesmith-trainer --plugin ./libmine.so
#pragma once

#include <cstdint>
#include <string>

#include "trial.h"

namespace tunesmith {
inline namespace trial_sdk {

constexpr uint32_t kPluginInterface = 1;
constexpr char kPluginEntry[] = "tunesmith_plugin";
constexpr char kPluginMark[] = "tunesmith plug-in";

// What a plug-in says of itself: plain data, which the trainer compares with its own before it calls
// anything. In every version of the interface it begins with `mark` and `interface_version`.
//
// Only `train` is called, and no C++ type goes through it: the Trial is made and exceptions are
// caught in the plug-in's own code. So the plug-in may be of another version of this header, another
// compiler or another C++ standard. What the two share are the libraries of the process: hence the
// standard library, and its strings, have to be the same.
struct PluginStamp {
  char mark[24];
  uint32_t interface_version;
  uint32_t string_abi;        // libstdc++: _GLIBCXX_USE_CXX11_ABI; else 0
  char standard_library[16];  // "libstdc++", "libc++", "other"
  const char* compiler;       // for messages
  int (*train)();             // returns what the process should
};

namespace internal {

template <size_t size>
constexpr void CopyText(const char* from, char (&to)[size]) {
  for (size_t i = 0; i + 1 < size && from[i] != '\0'; ++i) to[i] = from[i];
}

constexpr PluginStamp StampOf(int (*train)()) {
  PluginStamp stamp = {};
  CopyText(kPluginMark, stamp.mark);
  stamp.interface_version = kPluginInterface;
#if defined(_GLIBCXX_USE_CXX11_ABI)
  stamp.string_abi = _GLIBCXX_USE_CXX11_ABI;
#endif
#if defined(__GLIBCXX__)
  CopyText("libstdc++", stamp.standard_library);
#elif defined(_LIBCPP_VERSION)
  CopyText("libc++", stamp.standard_library);
#else
  CopyText("other", stamp.standard_library);
#endif
  stamp.compiler = __VERSION__;
  stamp.train = train;
  return stamp;
}

// An epoch on small data is over before a verdict can arrive, and a stop should not come epochs late:
// a report waits as long as those of the built-in models.
inline TrialOptions PluginTrialOptions() {
  TrialOptions options;
  options.report_wait_ms = 50;
  return options;
}

}  // namespace internal
}  // namespace trial_sdk
}  // namespace tunesmith

// `train_function`: void(tunesmith::Trial&), or anything else that can be called like that.
#define TUNESMITH_PLUGIN(train_function)                                                             \
  extern "C" {                                                                                       \
  extern const ::tunesmith::PluginStamp tunesmith_plugin __attribute__((visibility("default")));     \
  constexpr ::tunesmith::PluginStamp tunesmith_plugin = ::tunesmith::internal::StampOf(              \
      [] { return ::tunesmith::Run(train_function, ::tunesmith::internal::PluginTrialOptions()); }); \
  }
