//! The limit finds itself: concurrency limited by what is measured, not by what is guessed.
