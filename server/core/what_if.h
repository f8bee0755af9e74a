// Places as they would be, for those who weigh what to do with them.
#pragma once

#include <utility>
#include <vector>

#include "server/core/controller.h"

namespace tunesmith {

// Undone when it goes out of scope; what is leased meanwhile stays.
class Controller::WhatIf {
 public:
  explicit WhatIf(Controller* controller) : controller_(controller) {}
  ~WhatIf() {
    while (!done_.empty()) {
      const auto& [attempt, occupied] = done_.back();
      LiveWorker& worker = controller_->live_.at(attempt.worker);
      occupied ? VacatePlace(&worker, attempt) : OccupyPlace(&worker, attempt);
      done_.pop_back();
    }
  }
  WhatIf(const WhatIf&) = delete;
  WhatIf& operator=(const WhatIf&) = delete;

  void Release(const Attempt& attempt) { Change(attempt, false); }
  void Occupy(const Attempt& attempt) { Change(attempt, true); }

 private:
  void Change(const Attempt& attempt, bool occupies) {
    const auto live = controller_->live_.find(attempt.worker);
    if (live == controller_->live_.end() || !live->second.session) return;
    Attempt place;
    place.worker = attempt.worker;
    place.cpus = attempt.cpus;
    place.gpus = attempt.gpus;
    place.devices = attempt.devices;
    occupies ? OccupyPlace(&live->second, place) : VacatePlace(&live->second, place);
    done_.emplace_back(std::move(place), occupies);
  }

  Controller* controller_;
  std::vector<std::pair<Attempt, bool>> done_;
};

}  // namespace tunesmith
