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

}  // namespace
}  // namespace tunesmith
