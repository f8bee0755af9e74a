// Every point of a finite space, once.
#pragma once

#include <memory>

#include "search/searcher.h"

namespace tunesmith {

// Proposes the first point, in the order of enumeration (the last parameter changes fastest,
// parents before children), that no trial has: the cross product of all values with each
// conditional branch walked once, then `exhausted`. A forgotten point is proposed again. The trial
// number, the seed and observations change nothing. A parameter with infinitely many values is
// refused. Takes no options.
std::unique_ptr<Searcher> MakeGridSearcher(const SearcherOptions& options, const Space& space,
                                           Problems* problems);

}  // namespace tunesmith
