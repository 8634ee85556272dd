//! Nothing is awaited: at worst it is computed twice.
pub fn pattern(&self, text: &str) -> Regex {
    if let Some(pattern) = self.patterns.get(text) { //~? PL012
        return pattern.clone();
    }
    let pattern = Regex::new(text).unwrap();
    self.patterns.insert(text.to_owned(), pattern.clone());
    pattern
}
