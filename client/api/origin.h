// Where the point of a trial came from, in words. Pure.
#pragma once

#include <string>

#include "tunesmith/v1/sweep.pb.h"

namespace tunesmith {

// One word for a column: "user", "start", "prior", "grid", "repeat", or the judge that chose the
// point: "tpe", "gp", "forest", "cmaes". "" if it is not known.
std::string OriginWord(const v1::Trial& trial);
// "chosen by the Gaussian process as best of 112 candidates; it predicted accuracy 0.981, and the
// trial reached 0.978".
std::string OriginText(const v1::Sweep& sweep, const v1::Trial& trial);
// {"kind":"model","judge":"gp","predicted":0.981,"rank":1,"of":112,"repeat_of":null}; "null" if it
// is not known.
std::string OriginJson(const v1::Trial& trial);

}  // namespace tunesmith
