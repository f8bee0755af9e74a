// Needs a function that no library of the process has.
#include "worker/sdk/plugin.h"

void InNoLibrary(tunesmith::Trial& trial);

TUNESMITH_PLUGIN(InNoLibrary)
