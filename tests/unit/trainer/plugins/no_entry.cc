// A shared object that is no plug-in.
int NobodyCallsThis() { return 1; }
