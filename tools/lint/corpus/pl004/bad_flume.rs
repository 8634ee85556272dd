//! flume's own word for it.
pub fn pipeline() -> Pipeline {
    let (input, lines) = flume::unbounded(); //~ PL004
    Pipeline { input, lines }
}
