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
