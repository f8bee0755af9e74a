// Points that fill the space evenly, whatever the results.
#pragma once

#include <memory>

#include "search/searcher.h"

namespace tunesmith {

// Trial n takes point n of the scrambled Sobol sequence of the seed (sobol.h), mapped through the declared
// distributions and the tree of conditions. Where that point has been proposed already, in a space with few points, a
// free one is drawn; when none is left the suggestion is `exhausted`. Observations change nothing. Takes no options;
// `grid` parameters are refused.
std::unique_ptr<Searcher> MakeSobolSearcher(const SearcherOptions& options, const Space& space, Problems* problems);

}  // namespace tunesmith
