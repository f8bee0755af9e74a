// Something else under the name of the entry.
extern "C" const char tunesmith_plugin[128] = "a text that happens to have this name";
