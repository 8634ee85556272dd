//! A function of this crate that has the name, and a bound.
fn unbounded() -> Limit {
    Limit::new(usize::MAX)
}

pub fn limits() -> Limit {
    unbounded()
}
