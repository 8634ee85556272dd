//! Words are not calls: `mpsc::unbounded_channel()` is not made here.
pub fn explain() -> &'static str {
    // Once this was tokio::sync::mpsc::unbounded_channel().
    "use mpsc::channel(n), never mpsc::unbounded_channel()"
}
