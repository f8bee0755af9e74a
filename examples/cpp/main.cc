// The training of train.cc as a program.
#include <tunesmith/trial.h>

void Train(tunesmith::Trial& trial);

int main() {
  tunesmith::TrialOptions options;
  options.report_wait_ms = 50;  // epochs take a millisecond: without waiting a stop would come late
  return tunesmith::Run(Train, options);
}
