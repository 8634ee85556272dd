//! Within the arguments of a macro.
pub fn channels(names: &[&str]) -> Vec<(String, Pair)> {
    let mut all = vec![];
    for name in names {
        all.push((name.to_string(), Pair::from(tokio::sync::mpsc::unbounded_channel()))); //~ PL004
    }
    assert!(tokio::sync::mpsc::unbounded_channel::<()>().0.send(()).is_ok()); //~ PL004
    all
}
