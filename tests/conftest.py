from hypothesis import HealthCheck, settings

# The same examples in every run, and no verdict by the clock.
settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    max_examples=25,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("deterministic")
