// What a plug-in of a later interface may look like: only the first two members are where they are now. Its function
// must not be called.
#include <cstdint>
#include <cstdlib>

namespace {

struct LaterStamp {
  char mark[24];
  uint32_t interface_version;
  void (*something)();
  uint64_t more[8];
};

}  // namespace

extern "C" {
extern const LaterStamp tunesmith_plugin;
const LaterStamp tunesmith_plugin = {"tunesmith plug-in", 7, std::abort, {}};
}
