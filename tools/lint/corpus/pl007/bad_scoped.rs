//! A scope joins them, and lets as many start as there are items.
pub fn parse_all(inputs: &[Input]) {
    std::thread::scope(|scope| {
        for input in inputs {
            scope.spawn(move || input.parse()); //~ PL007 medium
        }
    });
}
