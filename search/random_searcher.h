// Independent draws from the prior; with `grid` parameters, the cross product of their values in
// order.
#pragma once

#include <memory>

#include "search/searcher.h"

namespace tunesmith {

// Trial n takes cell n % cells of the cross product of the `grid` parameters (the last declared one
// changes fastest) and draws the other parameters anew. No point is proposed twice while the space
// has a free one; if the cell is used up, any other free point is taken; when none is left the
// suggestion is `exhausted`. Observations change nothing. Takes no options.
std::unique_ptr<Searcher> MakeRandomSearcher(const SearcherOptions& options, const Space& space,
                                             Problems* problems);

}  // namespace tunesmith
