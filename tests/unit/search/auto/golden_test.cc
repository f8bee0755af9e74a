// The very suggestions of recorded sweeps: another compiler, optimisation or machine must give the
// same, bit for bit. A change of the searcher's rules changes them: then the numbers of the failing
// test are the new ones.
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "search/searcher.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

Space Mixed() { return testing_spaces::Make(testing_spaces::MixedParameters()); }

// In operations that every machine rounds alike: no sum of a product, which some fuse.
double Loss(const Point& point) {
  double loss = 0;
  for (const Value& value : point) {
    const double x = ValueNumber(value);
    loss += std::isnan(x) ? static_cast<double>(HashValue(value) % 7) / 8
                          : std::fabs(x - 0.3) / (1 + std::fabs(x));
  }
  return loss;
}

// How the results of a sweep come in.
enum class Course : uint8_t {
  kOneByOne,
  kFourWorkers,  // up to four running, ending in any order, some failing or cancelled
  kRungs,        // the same, reporting at two rungs, the worse ones stopped
};

struct Recording {
  uint64_t all = 0;                 // of all points in their order
  std::vector<uint64_t> some = {};  // of every tenth point, so that a difference can be placed
};

Recording Record(uint64_t seed, Course course) {
  SearcherOptions options;
  options.type = "auto";
  options.seed = seed;
  const Space space = Mixed();
  Problems problems;
  const auto searcher = MakeSearcher(options, space, &problems);
  Recording recording;
  std::deque<std::pair<uint32_t, Point>> running;
  const auto finish = [&](size_t place) {
    const auto [trial, point] = std::move(running[place]);
    running.erase(running.begin() + static_cast<ptrdiff_t>(place));
    const double loss = Loss(point);
    const uint64_t dice = Mix64(seed ^ Mix64(trial)) % 12;
    if (course != Course::kOneByOne && dice == 0) return searcher->Forget(trial);
    Observation end = {.trial = trial, .value = loss, .step = 9};
    if (course != Course::kOneByOne && dice == 1) end.outcome = Outcome::kFailed;
    if (course == Course::kRungs) {
      searcher->Report({.trial = trial, .rung = 1, .value = loss + static_cast<double>(dice) / 16});
      if (loss > 3) {
        end.outcome = Outcome::kStopped;
      } else {
        searcher->Report(
            {.trial = trial, .rung = 3, .value = loss + static_cast<double>(dice) / 64});
      }
    }
    searcher->Observe(end);
  };
  for (uint32_t n = 0; n < 60; ++n) {
    const size_t workers = course == Course::kOneByOne ? 1 : 4;
    if (running.size() == workers) finish(Mix64(seed + n) % workers);
    Suggestion s = searcher->Suggest(n);
    const uint64_t hash = HashPoint(s.point);
    recording.all = Mix64(recording.all ^ hash);
    if (n % 10 == 9) recording.some.push_back(hash);
    searcher->Add(n, s.point);
    running.emplace_back(n, std::move(s.point));
  }
  return recording;
}

void ExpectRecording(uint64_t seed, Course course, const Recording& wanted) {
  const Recording got = Record(seed, course);
  std::string text;
  for (const uint64_t hash : got.some) text += std::to_string(hash) + "U, ";
  EXPECT_EQ(got.all, wanted.all) << "now: " << got.all << "U, {" << text << "}";
  for (size_t k = 0; k < got.some.size() && k < wanted.some.size(); ++k) {
    ASSERT_EQ(got.some[k], wanted.some[k])
        << "the first difference is at or before trial " << 10 * k + 9;
  }
}

TEST(AutoGoldenTest, OneByOne) {
  ExpectRecording(1, Course::kOneByOne,
                  {14351230285789698763U,
                   {14104011826850794623U, 2859772658725746302U, 17971553494063292524U,
                    15833919490374587668U, 11076647629412805445U, 462650209302953588U}});
}

TEST(AutoGoldenTest, FourWorkersAndFailures) {
  ExpectRecording(2, Course::kFourWorkers,
                  {9879305208278935908U,
                   {11879439562085234544U, 15657693547251390431U, 9204233024113580656U,
                    2826268497863654609U, 13807088882936337023U, 11921457692000132682U}});
}

TEST(AutoGoldenTest, Rungs) {
  ExpectRecording(3, Course::kRungs,
                  {15292670628723999483U,
                   {12603635986728402399U, 666807881118859087U, 10224616294676293291U,
                    6668312265040062001U, 7003471414983662408U, 3880572473729448251U}});
}

}  // namespace
}  // namespace tunesmith
