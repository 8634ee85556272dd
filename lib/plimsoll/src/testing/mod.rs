//! Virtual time for tests: drives a limiter through a load profile and tells what was admitted.
