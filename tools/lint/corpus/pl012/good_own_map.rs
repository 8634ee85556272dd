//! A map that nobody else has.
pub fn distinct(names: Vec<String>) -> usize {
    let mut seen = HashMap::new();
    for name in names {
        if !seen.contains_key(&name) {
            seen.insert(name, ());
        }
    }
    seen.len()
}
