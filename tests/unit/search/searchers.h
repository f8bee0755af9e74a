// Short ways to make searchers in tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "search/searcher.h"

namespace tunesmith::testing_searchers {

// The options must suit the space.
inline std::unique_ptr<Searcher> Create(const Space& space, const SearcherOptions& options) {
  Problems problems;
  auto searcher = MakeSearcher(options, space, &problems);
  for (const Problem& p : problems) ADD_FAILURE() << p.field << ": " << p.message;
  return searcher;
}

// The one reason why they do not.
inline Problem Refusal(const SearcherOptions& options, const Space& space) {
  Problems problems;
  EXPECT_EQ(MakeSearcher(options, space, &problems), nullptr);
  EXPECT_EQ(problems.size(), 1u);
  return problems.empty() ? Problem() : problems[0];
}

// Runs trials one after the other: every suggestion lies in the space. `seed` is told where one does not.
inline void ExpectValidSuggestions(Searcher* searcher, const Space& space, uint32_t trials, uint64_t seed) {
  for (uint32_t n = 0; n < trials; ++n) {
    const Suggestion s = searcher->Suggest(n);
    if (s.exhausted) break;
    std::string why;
    ASSERT_TRUE(space.Contains(s.point, &why)) << seed << " " << why;
    searcher->Add(n, s.point);
    searcher->Observe({.trial = n, .value = static_cast<double>((n * 7) % 11), .step = 1});
  }
}

}  // namespace tunesmith::testing_searchers
