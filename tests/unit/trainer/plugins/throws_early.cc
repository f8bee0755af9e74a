// Throws while the system's loader makes its static objects.
#include <stdexcept>

#include "worker/sdk/plugin.h"

namespace {

struct Licence {
  Licence() { throw std::runtime_error("no licence file"); }
};
const Licence licence;

}  // namespace

TUNESMITH_PLUGIN([](tunesmith::Trial&) {})
