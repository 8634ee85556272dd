//! Drops what is least important when a queue stands.
