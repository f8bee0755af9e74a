// The training of train.cc as a plug-in: tunesmith-trainer --plugin build/libsoftmax_plugin.so
#include <tunesmith/plugin.h>

void Train(tunesmith::Trial& trial);

TUNESMITH_PLUGIN(Train)
