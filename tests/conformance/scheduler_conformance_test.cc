#include <utility>

#include "tests/conformance/scheduler_suite.h"

namespace tunesmith {
namespace {

INSTANTIATE_TEST_SUITE_P(Fifo, SchedulerSuite,
                         testing::Values(SchedulerOptions{.type = "fifo"},
                                         SchedulerOptions{.type = "fifo", .max_t = 9}));

INSTANTIATE_TEST_SUITE_P(
    Asha, SchedulerSuite,
    testing::Values(
        SchedulerOptions{.type = "asha"},
        SchedulerOptions{.type = "asha", .goal = Goal::kMax, .max_t = 27, .reduction_factor = 3},
        SchedulerOptions{
            .type = "asha", .seed = 5, .max_t = 30, .reduction_factor = 2, .brackets = 3},
        SchedulerOptions{.type = "asha", .max_t = 30, .reduction_factor = 1.5},
        SchedulerOptions{.type = "asha", .max_t = 20, .stop_last_trials = false}));

INSTANTIATE_TEST_SUITE_P(
    AshaPromotion, SchedulerSuite,
    testing::Values(
        SchedulerOptions{.type = "asha", .promotion = true},
        SchedulerOptions{
            .type = "asha", .goal = Goal::kMax, .max_t = 27, .reduction_factor = 3, .promotion = true},
        SchedulerOptions{
            .type = "asha", .seed = 5, .max_t = 30, .reduction_factor = 2, .brackets = 3, .promotion = true},
        SchedulerOptions{.type = "asha", .max_t = 30, .reduction_factor = 1.5, .promotion = true}));

INSTANTIATE_TEST_SUITE_P(
    AshaAsRay, SchedulerSuite,
    testing::Values(
        SchedulerOptions{.type = "asha", .max_t = 27, .reduction_factor = 3, .compat_ray = true},
        SchedulerOptions{.type = "asha",
                         .goal = Goal::kMax,
                         .seed = 5,
                         .max_t = 30,
                         .reduction_factor = 2,
                         .brackets = 3,
                         .compat_ray = true},
        SchedulerOptions{
            .type = "asha", .max_t = 20, .stop_last_trials = false, .compat_ray = true}));

INSTANTIATE_TEST_SUITE_P(
    HyperBand, SchedulerSuite,
    testing::Values(
        SchedulerOptions{.type = "hyperband"},
        SchedulerOptions{.type = "hyperband", .goal = Goal::kMax, .max_t = 9},
        SchedulerOptions{.type = "bohb", .max_t = 30, .reduction_factor = 2},
        SchedulerOptions{.type = "hyperband", .max_t = 40, .grace_period = 3, .reduction_factor = 1.5},
        SchedulerOptions{.type = "hyperband", .max_t = 9, .reduction_factor = 1.1},
        SchedulerOptions{.type = "hyperband", .max_t = 2},
        SchedulerOptions{.type = "hyperband", .max_t = 20, .stop_last_trials = false}));

INSTANTIATE_TEST_SUITE_P(
    HyperBandAsRay, SchedulerSuite,
    testing::Values(
        SchedulerOptions{.type = "hyperband", .compat_ray = true},
        SchedulerOptions{.type = "hyperband", .goal = Goal::kMax, .max_t = 10, .compat_ray = true},
        SchedulerOptions{.type = "hyperband", .max_t = 16, .reduction_factor = 2, .compat_ray = true},
        SchedulerOptions{.type = "hyperband", .max_t = 50, .reduction_factor = 2.5, .compat_ray = true},
        SchedulerOptions{
            .type = "hyperband", .max_t = 20, .stop_last_trials = false, .compat_ray = true}));

INSTANTIATE_TEST_SUITE_P(
    Median, SchedulerSuite,
    testing::Values(
        SchedulerOptions{.type = "median"},
        SchedulerOptions{.type = "median", .goal = Goal::kMax, .max_t = 27, .grace_period = 3},
        SchedulerOptions{.type = "median", .min_samples_required = 1},
        SchedulerOptions{.type = "median", .max_t = 20, .stop_last_trials = false}));

INSTANTIATE_TEST_SUITE_P(
    MedianAsRay, SchedulerSuite,
    testing::Values(
        SchedulerOptions{.type = "median", .compat_ray = true},
        SchedulerOptions{.type = "median",
                         .goal = Goal::kMax,
                         .max_t = 27,
                         .grace_period = 2.5,
                         .min_samples_required = 1,
                         .compat_ray = true}));

SchedulerOptions Pbt(Goal goal, PbtOptions pbt, bool compat_ray = false, int64_t max_t = 0) {
  return {.type = "pbt", .goal = goal, .seed = 5, .max_t = max_t, .compat_ray = compat_ray, .pbt = std::move(pbt)};
}

INSTANTIATE_TEST_SUITE_P(
    PopulationBasedTraining, SchedulerSuite,
    testing::Values(Pbt(Goal::kMin, {.perturbation_interval = 3}),
                    Pbt(Goal::kMax, {.perturbation_interval = 5, .burn_in_period = 12, .quantile_fraction = 0.5}),
                    Pbt(Goal::kMin, {.perturbation_interval = 4, .synch = true}),
                    Pbt(Goal::kMax, {.perturbation_interval = 1, .quantile_fraction = 0}, false, 30)));

INSTANTIATE_TEST_SUITE_P(
    PopulationBasedTrainingAsRay, SchedulerSuite,
    testing::Values(Pbt(Goal::kMin, {.perturbation_interval = 3}, true),
                    Pbt(Goal::kMax, {.perturbation_interval = 5, .burn_in_period = 12}, true, 30),
                    Pbt(Goal::kMin, {.perturbation_interval = 4, .quantile_fraction = 0.5, .synch = true}, true)));

}  // namespace
}  // namespace tunesmith
