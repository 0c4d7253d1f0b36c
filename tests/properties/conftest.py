"""How many examples: a few that are always the same in `make test`, many in `make properties`."""

from hypothesis import HealthCheck, settings

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "quick", derandomize=True, max_examples=4, stateful_step_count=8, deadline=None, suppress_health_check=CHECKS
)
settings.register_profile(
    "long",
    derandomize=False,
    max_examples=400,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=CHECKS,
    print_blob=True,
)
settings.load_profile("quick")
