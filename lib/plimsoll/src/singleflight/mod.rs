//! One call per key, whose result all callers share.
